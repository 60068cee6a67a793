"""Has processes killed at their failpoints, again and again on one warehouse and one topic.

In: a broker, and a warehouse of its own. Out: a warehouse that many processes have died on, and the ledger of all that
went into it. Next: `tests.crash.audit`.

Each start of a stream is also the recovery from the kill before, so a kill costs one start.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
from kafka import KafkaProducer

import reelstream
from reelstream.batch.refit import refit
from reelstream.events import DismissEvent, ForgetEvent, HideEvent, RatingEvent
from reelstream.failpoint import FAILPOINTS
from reelstream.ids import number_of
from reelstream.kafka_io.topic import ensure_topic
from reelstream.settings import Settings
from reelstream.store import ratings as ratings_store
from reelstream.store import run_files
from reelstream.store.compaction import FAN
from reelstream.store.movies import MoviesStore
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from reelstream.store.schemas import RATINGS, REJECTS
from reelstream.store.updates import Updates
from tests.crash import seed
from tests.crash.audit import Ledger, all_taken, look
from tests.crash.killed_process import killed_at, process, said, wait_until
from tests.crash.seed import MOVIES, USERS

FIRST_NEW, FIRST_UNKNOWN = 5_000_000_000, 10_000
NTH = {
    "table-aside": 3,
    "pointer-aside": 3,
    "directory-written": 2,
    "lists-written": 2,
    "lists-stored": 2,
    "file-rewritten": 3,
    "hidden-taken-off": 3,
    "table-written": 3,
    "model-written": 2,
}
"""A process comes to these points several times; the kills take turns."""
REFIT = ("table-written", "model-written", "version-written", "version-published", "version-linked")
ROLLBACK = ("rollback-published", "rollback-linked")
TITLES = ("titles-written", "titles-stored")
TUNE = ("trial-written",)
STREAM = tuple(point for point in FAILPOINTS if point not in (*REFIT, *ROLLBACK, *TITLES, *TUNE))


class Crashes:
    """`with crashes(settings) as crash: crash.kill("batch-written"); crash.recover(); audit(…, crash.ledger)`"""

    def __init__(self, settings: Settings, kafka: KafkaProducer) -> None:
        self.ledger = Ledger(settings.topic)
        self._settings = settings
        self._warehouse = settings.warehouse
        self._store = RatingsStore(settings.warehouse)
        self._kafka = kafka
        self._kills = 0
        self._to_forget = iter(range(1, USERS // 2))
        self._unrated = iter(seed.pairs(range(USERS // 2, USERS + 1), are_rated=False))

    def seed(self) -> None:
        """A version that knows all users and movies, before the first kill."""
        self._append(seed.everyone_rates(1))
        self._store.compact()
        self.ledger.seeded = set(seed.pairs(range(1, USERS + 1), are_rated=True))
        refit(self._settings)

    def kill(self, point: str, number: int = 0) -> None:
        """Has a process killed at the point; `number` counts its kills. Then reads as users do.

        Raises RuntimeError if the process ends otherwise, or comes not there, and what `look` raises.
        """
        self._kills += 1
        at = f"{point}:{1 + number % NTH.get(point, 1)}"
        if point in REFIT:
            self._kill_refit(at)
        elif point in ROLLBACK:
            self._kill_rollback(at)
        elif point in TITLES:
            self._kill_titles(at)
        elif point in TUNE:
            values = ",".join(str(value) for value in range(10, 13 + number))
            killed_at(at, self._settings, "tune", "--split", "random", "--param", f"rating_prior_count={values}")
        else:
            PREPARE.get(point, Crashes._nothing_more)(self, point)
            self._rate(point)
            end_when = self._all_taken if point.startswith("quality-") else None
            killed_at(at, self._settings, "stream", end_when=end_when)
        look(self._warehouse, [USERS, FIRST_NEW, next(iter(self.ledger.forgotten), 1)])

    def recover(self) -> None:
        """A stream takes over from the last kill and does all that is left to do, then ends in order."""
        with process("", self._settings, "stream") as stream:
            wait_until(self._all_taken, stream, self._settings)
        if stream.returncode:
            raise RuntimeError(f"the last stream ended with exit code {stream.returncode}: {said(self._settings)}")

    # What brings a stream to a point

    def _nothing_more(self, point: str) -> None:
        pass

    def _small_directories(self, _point: str) -> None:
        while self._snapshot_due():
            self._store.compact()  # else it would take the small directories in
        for _ in range(FAN):
            rows = seed.everyone_rates(time.time_ns() // 1_000_000)
            self._append(rows.filter(pc.equal(rows["user_id"], USERS)).slice(0, 1))

    def _many_ratings(self, _point: str) -> None:
        while not self._snapshot_due():
            rows = seed.everyone_rates(time.time_ns() // 1_000_000)
            self._append(rows.filter(pc.invert(pc.is_in(rows["user_id"], pa.array(self.ledger.forgotten, pa.int64())))))

    def _small_updates(self, _point: str) -> None:
        published = RecommendationsStore(self._warehouse)
        version = published.current()
        updates = Updates(version.path)
        for _ in range(FAN):
            lists = published.read_users(version, [USERS])
            newest = pa.repeat(pa.scalar(datetime.now(UTC), lists.schema.field("as_of").type), lists.num_rows)
            lists = lists.set_column(lists.schema.get_field_index("as_of"), "as_of", newest)
            updates.append(lists, updates.batch())

    def _unknown_movie(self, point: str) -> None:
        for user_id in (USERS - 1, USERS):
            self._send(point, RatingEvent(user_id, FIRST_UNKNOWN + self._kills, 4.5, time.time_ns() // 1_000_000))

    def _hide_and_dismiss(self, _point: str) -> None:
        """A movie that is on lists is to be on none; a known user and one without a rating dismiss the first of theirs."""
        table = reelstream.open(self._warehouse).recommendations()
        hidden: int = table["movie_id"][self._kills % table.num_rows].as_py()
        self._send_other(HideEvent(hidden, True, time.time_ns() // 1_000_000))
        self.ledger.hidden.add(hidden)
        for user_id in (USERS, FIRST_NEW - 1 - self._kills):
            movie_id = reelstream.open(self._warehouse).recommend(user_id, 1)[0].movie_id
            self._send_other(DismissEvent(user_id, movie_id, True, time.time_ns() // 1_000_000))
            self.ledger.dismissed.add((user_id, movie_id))

    def _send_other(self, event: HideEvent | DismissEvent) -> None:
        self._kafka.send(self._settings.topic, event.to_json(), event.key()).get(60)
        self.ledger.others += 1

    def _forget(self, point: str) -> None:
        """Someone rates, sends what is no rating, and asks to be forgotten; every second one comes back."""
        user_id, now_ms = next(self._to_forget), time.time_ns() // 1_000_000
        [(_, unrated), *_] = seed.pairs(range(user_id, user_id + 1), are_rated=False)
        self._send(point, RatingEvent(user_id, 1, 3.0, now_ms - 2), off_scale=True)
        self._send(point, RatingEvent(user_id, unrated, 3.0, now_ms - 1))
        self._request(ForgetEvent(user_id, now_ms), point)
        if self._kills % 2:
            self._send(point, RatingEvent(user_id, 1, 4.0, now_ms + 1))

    def _rate(self, point: str) -> None:
        """A known user and a new one rate, and one event is no rating."""
        now_ms = time.time_ns() // 1_000_000
        user_id, movie_id = next(self._unrated)
        self._send(point, RatingEvent(user_id, movie_id, 4.5, now_ms))
        self._send(point, RatingEvent(FIRST_NEW + self._kills, 1 + self._kills % MOVIES, 5.0, now_ms))
        self._send(point, RatingEvent(FIRST_NEW, 1 + self._kills, 1.0, now_ms), off_scale=True)

    def _send(self, point: str, event: RatingEvent, *, off_scale: bool = False) -> None:
        value = event.to_json()
        user_id, movie_id = number_of(event.user_id), number_of(event.movie_id)
        content: tuple[int, int, float] | bytes = (user_id, movie_id, event.rating or 0.0)
        if off_scale:
            content = value = value.replace(b'"rating":', b'"rating":99')
        at = self._kafka.send(self._settings.topic, value, event.key()).get(60)
        self.ledger.sent[at.partition, at.offset] = (point, user_id, content)

    def _request(self, event: ForgetEvent, point: str) -> None:
        self._kafka.send(self._settings.topic, event.to_json(), event.key()).get(60)
        self.ledger.forget(number_of(event.user_id), point)

    def _append(self, rows: pa.Table) -> None:
        """As if an earlier topic had brought them; no stream runs."""
        first = self.ledger.seeded_rows
        rows = rows.append_column("offset", pa.array(range(first, first + rows.num_rows))).cast(RATINGS)
        self.ledger.seeded_rows += rows.num_rows
        self._store.append(rows, REJECTS.empty_table(), {seed.TOPIC: {0: self.ledger.seeded_rows}})

    def _snapshot_due(self) -> bool:
        state = self._store.state()
        rows = sum(directory.rows for directory in state.ratings)
        return rows >= max(ratings_store.SNAPSHOT_FROM_ROWS, state.snapshot.rows if state.snapshot else 0)

    # The kills

    def _all_taken(self, pid: int) -> bool:
        """By a stream that is up: before, it would end without a word when it is asked to."""
        status = run_files.read(self._warehouse, "stream") or {}
        up = (status.get("pid"), status.get("state")) == (pid, "running")
        return up and all_taken(self._warehouse, self.ledger)

    def _kill_refit(self, at: str) -> None:
        published = RecommendationsStore(self._warehouse)
        before = published.current().name
        killed_at(at, self._settings, "refit", "--force", "--json")
        moved = published.current().name > before
        if moved != at.startswith(("version-published", "version-linked")):
            raise RuntimeError(f"version {published.current().name} is current after {at}, it was {before}")

    def _kill_rollback(self, at: str) -> None:
        """From a version that was made for it to the one before."""
        published = RecommendationsStore(self._warehouse)
        before = published.current().name
        refit(self._settings, force=True)
        killed_at(at, self._settings, "rollback", "--json")
        if published.current().name != before:
            raise RuntimeError(f"version {published.current().name} is current after {at}, not {before}")

    def _kill_titles(self, at: str) -> None:
        csv = self._warehouse / "run" / "titles.csv"
        csv.write_text(f"movieId,title\n1,Title {self._kills}\n")
        killed_at(at, self._settings, "movies", "load", str(csv))
        changed = f"Title {self._kills}" in MoviesStore(self._warehouse).read()["title"].to_pylist()
        if changed != at.startswith("titles-stored"):
            raise RuntimeError(f"the title is {'new' if changed else 'old'} after {at}")


PREPARE: dict[str, Callable[[Crashes, str], None]] = {
    "hidden-stored": Crashes._hide_and_dismiss,
    "hidden-taken-off": Crashes._hide_and_dismiss,
    "dismissed-written": Crashes._hide_and_dismiss,
    "dismissed-stored": Crashes._hide_and_dismiss,
    "directory-written": Crashes._hide_and_dismiss,
    "batch-written": Crashes._hide_and_dismiss,
    "batch-stored": Crashes._hide_and_dismiss,
    "lists-written": Crashes._hide_and_dismiss,
    "lists-stored": Crashes._hide_and_dismiss,
    "merge-written": Crashes._small_updates,
    "merge-stored": Crashes._small_updates,
    "compaction-written": Crashes._small_directories,
    "compaction-stored": Crashes._small_directories,
    "snapshot-written": Crashes._many_ratings,
    "snapshot-stored": Crashes._many_ratings,
    "movies-folded": Crashes._unknown_movie,
    "similar-folded": Crashes._unknown_movie,
    "ratings-rewritten": Crashes._forget,
    "rejects-rewritten": Crashes._forget,
    "file-rewritten": Crashes._forget,
    "forget-removed": Crashes._forget,
    "forget-stored": Crashes._forget,
}


@contextmanager
def crashes(settings: Settings) -> Iterator[Crashes]:
    """On an empty warehouse, whose settings name a broker."""
    servers = settings.bootstrap_servers or ""
    ensure_topic(servers, settings.topic, settings.partitions, {})
    kafka = KafkaProducer(bootstrap_servers=servers, acks="all")
    try:
        crash = Crashes(settings, kafka)
        crash.seed()
        yield crash
    finally:
        kafka.close()
