"""The stream fast-forward: neither Kafka nor Spark is there, and all the rest is what runs in `reelstream up`, on real files.

In: ratings, and a warehouse. Out: micro-batches taken in one after the other, the maintenance in a thread beside them, a
reader in a process of its own, and the store compared with the events. Next: `bench.soak` and `bench.publishes`.
"""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

import reelstream
from bench.harness import Figures
from reelstream.batch.refit import refit
from reelstream.events import ForgetEvent, RatingEvent
from reelstream.ids import number_of
from reelstream.settings import Settings
from reelstream.store import pointer, ratings
from reelstream.store.rating_rows import latest
from reelstream.store.recommendations import RecommendationsStore
from reelstream.stream.fold_in import FoldInStage
from reelstream.stream.ingest import ingest
from reelstream.stream.maintenance import Maintenance
from reelstream.stream.parse import PARSED
from reelstream.stream.run import WATCH_S
from tests.crash.audit import whole_lists

Event = RatingEvent | ForgetEvent | None
"""None is one that is no JSON."""
SEED, PARTITIONS = 6, 4
FROM_MS = 1_700_000_000_000
"""Later than every real rating; each event is rated a second after the one before it."""
FIRST_NEW_USER, FIRST_GUEST, USERS_A_GENERATION, FIRST_NEW_MOVIE = 2**40, 2**50, 10**6, 10**6
READ_USERS, READ_MOVIES = 200, 100
GENERATION, NEW_MOVIE_EVERY, KNOWN_LEAVES_EVERY = 20_000, 50, 500
"""Ratings of a generation of new users; micro-batches."""


class FastForward:
    """`with fast_forward(…) as run:` then `run.take()` again and again; `run.read` once the block has ended."""

    def __init__(self, settings: Settings, table: pa.Table, size: int, forget_every: int) -> None:
        self.store, self.failed = _CountingStore(settings.warehouse), list[str]()
        self.batches, self.reader, self.read = 0, 0, Figures()
        self._fold_in, self._again = FoldInStage(settings), partial(micro_batches, table, size, forget_every)
        self._batches, self._sent = self._again(), 0
        self.maintenance = Maintenance(self.store, self._fold_in)

    def take(self) -> tuple[float, float]:
        """Takes the next micro-batch in: the seconds, and the CPU time of this thread."""
        batch = next(self._batches)
        rows, self._sent, self.batches = parsed(batch, self._sent), self._sent + len(batch), self.batches + 1
        frame = cast(DataFrame, SimpleNamespace(toArrow=lambda: rows))  # all that `ingest` needs of one
        began = time.perf_counter(), time.thread_time()
        ingest(frame, self.store, self._fold_in)
        return time.perf_counter() - began[0], time.thread_time() - began[1]

    def maintain(self, stopping: threading.Event) -> None:
        """As in `reelstream.stream.run`, until it is asked to stop and there is nothing more to do."""
        more, last = False, False
        while more or not last:
            last = stopping.is_set() or stopping.wait(0 if more else WATCH_S)
            more = self.maintenance.once()
            if self.maintenance.error:
                self.failed.append(f"maintenance: {self.maintenance.error}")
                more = False
        self._fold_in.quality.close()

    def compared(self) -> Figures:
        """What is in the store beside what was sent, rating by rating: lost, or there with other stars or for nothing."""
        state, batches = self.store.state(), list(itertools.islice(self._again(), self.batches))
        kinds, expected = Counter(kind(event) for event in itertools.chain(*batches)), left(batches)
        user, movie, stars = (latest(self.store.read())[name].to_pylist() for name in ("user_id", "movie_id", "rating"))
        found = dict(zip(zip(user, movie, strict=True), stars, strict=True))
        return {
            "events_sent": kinds.total(),
            "of_which": dict(kinds),
            "accepted": state.accepted,
            "rejected": state.rejected,
            "missing": kinds.total() - state.accepted - state.rejected,
            "ratings_lost": len(expected.keys() - found.keys()),
            "ratings_wrong": sum(expected.get(pair) != stars for pair, stars in found.items()),
            "users_forgotten": sum(one.removed is not None for one in self.store.forgotten().values()),
            "compactions": self.store.compactions,
            "rows_in_snapshot": state.snapshot.rows if state.snapshot else 0,
        }


class _CountingStore(ratings.RatingsStore):
    compactions = 0

    def compact(self) -> bool:
        done = super().compact()
        self.compactions += done
        return done


@contextmanager
def fast_forward(
    settings: Settings,
    table: pa.Table,
    every: Mapping[str, int],
    *,
    size: int,
    forget_every: int,
    snapshot_from_rows: int = ratings.SNAPSHOT_FROM_ROWS,
) -> Iterator[FastForward]:
    """On an empty warehouse, with a first version. every: what the reader asks for; size: events of a micro-batch."""
    with patch.object(ratings, "SNAPSHOT_FROM_ROWS", snapshot_from_rows):
        run, stopping = FastForward(settings, table, size, forget_every), threading.Event()
        run.take()
        refit(settings)
        run.maintenance.once()
        with reading(settings.warehouse, table, every) as (run.reader, read), ThreadPoolExecutor(1) as beside:
            maintenance = beside.submit(run.maintain, stopping)
            try:
                yield run
            finally:
                stopping.set()
            maintenance.result()
        run.read = read.result()


def micro_batches(table: pa.Table, size: int, forget_every: int) -> Iterator[list[Event]]:
    """The ratings in one micro-batch, then micro-batches of `size` events without an end, the same ones each time.

    New users rate as a real one each, so that refits find tastes to learn. Known users rate movies by popularity. Some change
    their stars or take them back, some rate a new movie, some send what is no JSON. In each micro-batch a guest rates, or asks
    to be forgotten if it is the last one of `forget_every`. Now and then so does a known user, whose id is odd.
    """
    choose, at_ms = random.Random(SEED), itertools.count(FROM_MS, 1000)
    rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    leaving = iter(sorted({user for user, *_ in rows if user % 2}))
    new = (
        (FIRST_NEW_USER + first + user, movie, stars)
        for first in itertools.count(0, USERS_A_GENERATION)
        for user, movie, stars, _ in choose.sample(rows, min(GENERATION, len(rows)))
    )
    yield [RatingEvent(*row) for row in rows]
    for number in itertools.count(1):
        batch, guest = list[Event](), FIRST_GUEST + (number - 1) // forget_every
        for _ in range(size - 1):
            dice, (user, movie, stars, _) = choose.random(), choose.choice(rows)
            if dice < 0.02:
                batch.append(None)
                continue
            if dice < 0.08:
                stars = None if dice < 0.05 else choose.choice(rows)[2]
            else:
                user, movie, stars = next(new) if dice > 0.20 else (choose.choice(rows)[0], movie, stars)
                movie = FIRST_NEW_MOVIE + number // NEW_MOVIE_EVERY if choose.random() < 0.03 else movie
            batch.append(RatingEvent(user, movie, stars, next(at_ms)))
        user = next(leaving, guest) if number % KNOWN_LEAVES_EVERY == 0 else guest
        if user != guest or number % forget_every == 0:
            batch.append(ForgetEvent(user, next(at_ms)))
        else:
            batch.append(RatingEvent(guest, choose.choice(rows)[1], 4.5, next(at_ms)))
        yield batch


def parsed(batch: list[Event], offset: int) -> pa.Table:
    """As Spark hands it over: what is no plain rating has its bytes alone. offset: of the first event, whatever partition."""
    received_at_ms, rows = time.time_ns() // 1_000_000, list[Figures]()
    for at, event in enumerate(batch, offset):
        bytes_alone = {"raw": event.to_json() if event else b"five stars"}
        fields = asdict(event) if kind(event) == "rating" and event else bytes_alone
        partition = event.user_id % PARTITIONS if event else 0
        place = {"topic": "ratings", "partition": partition, "offset": at, "received_at_ms": received_at_ms}
        rows.append({**fields, **place})
    return pa.Table.from_pylist(rows, PARSED)


def kind(event: Event) -> str:
    if isinstance(event, RatingEvent):
        return "taken_back" if event.rating is None else "rating"
    return "forget" if event else "not_json"


def left(batches: Iterable[list[Event]]) -> dict[tuple[int, int], float]:
    """(user, movie) → stars as they must stand after the micro-batches, whose events come in the order of `rated_at`."""
    stars: defaultdict[int, dict[int, float | None]] = defaultdict(dict)
    for event in itertools.chain(*batches):
        if isinstance(event, ForgetEvent):
            stars.pop(number_of(event.user_id), None)
        elif event:
            stars[number_of(event.user_id)][number_of(event.movie_id)] = event.rating
    rated = ((user, movie, rating) for user, movies in stars.items() for movie, rating in movies.items())
    return {(user, movie): rating for user, movie, rating in rated if rating is not None}


def files_opened(warehouse: Path) -> Counter[str]:
    """Files that a reader of each table opens by now, the pointers among them; for `updates`, the reader of a user's list:
    the pointers of versions, updates and titles, the lists of the refit, and the updates."""
    state, version = ratings.RatingsStore(warehouse).state(), RecommendationsStore(warehouse).current_or_none()
    updates = version and pointer.read(version.path / "updates" / "CURRENT")
    quality = pointer.read(warehouse / "quality" / "CURRENT")
    opened = {"ratings": 1 + len(state.directories), "rejects": 1 + len(state.rejects)}
    lists = {"updates": 4 + len((updates or {}).get("files", ())), "quality": 1 + len((quality or {}).get("files", ()))}
    return Counter({**opened, **lists})


def files_on_disk(warehouse: Path) -> Counter[str]:
    """Parquet files of each table, with those that were replaced and stay for a minute or two; `updates` of all versions
    that are kept."""
    counts = Counter[str]()
    for directory, _, files in os.walk(warehouse):  # which passes over what is removed meanwhile
        for name in {"ratings", "rejects", "updates", "quality"} & {*Path(directory).relative_to(warehouse).parts}:
            counts[name] += sum(file.endswith(".parquet") for file in files)
    return counts


@contextmanager
def reading(warehouse: Path, table: pa.Table, every: Mapping[str, int]) -> Iterator[tuple[int, Future[Figures]]]:
    """A reader in a process of its own, which asks through `reelstream.open` without a pause: its process id, and what it
    counts until the block ends. every: what it asks for, and at each how manieth turn."""
    spawn, users = get_context("spawn"), pc.unique(table["user_id"]).to_pylist()
    movies = [movie for movie, _ in Counter(table["movie_id"].to_pylist()).most_common(READ_MOVIES)]
    with spawn.Manager() as manager, ProcessPoolExecutor(1, spawn) as pool:
        pid, stopping = pool.submit(os.getpid).result(), manager.Event()
        try:
            yield pid, pool.submit(_read, warehouse, users[:: 1 + len(users) // READ_USERS], movies, every, stopping)
        finally:
            stopping.set()


def _read(
    warehouse: Path, users: list[int], movies: list[int], every: Mapping[str, int], stopping: threading.Event
) -> Figures:
    recommender, turn = reelstream.open(warehouse), 0
    reads, versions, mixed, errors = Counter[str](), set[str](), 0, list[str]()
    while not stopping.is_set():
        asked = looks(recommender, users, users[turn % len(users)], movies[turn % len(movies)])
        for name in [name for name, each in every.items() if turn % each == 0]:
            reads[name] += 1
            try:
                found = asked[name]()
            except Exception as error:  # whatever it is, no reader may see it
                errors.append(f"{name}: {type(error).__name__}: {error}")
                continue
            mixed += len(found) > 1
            versions |= found
        turn += 1
    counts = {"versions_seen": len(versions), "errors": len(errors), "mixed": mixed}
    return {"reads": dict(reads), **counts, "first_errors": errors[:5]}


def looks(
    recommender: reelstream.Recommender, users: list[int], user: int, movie: int
) -> dict[str, Callable[[], set[str]]]:
    """What a reader asks for; each answers with the versions of its rows. Users of even ids are never forgotten."""

    def versions(rows: Iterable[Any], empty: str = "") -> set[str]:
        if empty and not rows:
            raise ValueError(empty)
        return {row.version for row in rows}

    def all_lists() -> set[str]:
        table = recommender.recommendations()
        whole_lists(table)
        if lost := {one for one in users if one % 2 == 0} - set(pc.unique(table["user_id"]).to_pylist()):
            raise ValueError(f"users {lost} have no list")
        return set(pc.unique(table["version"]).to_pylist())

    def of_ratings() -> set[str]:
        rated = recommender.ratings(user)["movie_id"].to_pylist()
        if rated != sorted(set(rated)) or (user % 2 == 0 and not rated):
            raise ValueError(f"ratings of user {user} are lost or doubled")
        return set()

    return {
        "recommend": lambda: versions(recommender.recommend(user), f"user {user} has no list"),
        "recommendations": all_lists,
        "similar": lambda: versions(recommender.similar(movie)),
        "popular": lambda: versions(recommender.popular(), "there are no popular movies"),
        "predict": lambda: versions([recommender.predict(user, movie)]),
        "ratings": of_ratings,
    }
