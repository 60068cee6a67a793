"""The events of a soak: micro-batches as `reelstream.stream.parse.check` hands them on, made without Kafka and Spark.

In: real ratings, and a seed. Out: Arrow tables with the columns of CHECKED; the same seed gives the same ones. Next:
`reelstream.stream.ingest` takes them, and `left` says what must be in the store afterwards.
"""

from __future__ import annotations

import itertools
import random
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from reelstream.events import ForgetEvent, RatingEvent
from reelstream.producer.ratings_csv import RatingRows, read_blocks
from reelstream.stream.parse import CHECKED, PARSED

TOPIC, PARTITIONS = "ratings", 4
FROM_MS = 1_700_000_000_000
"""Later than every real rating; each event is rated a second after the one before it."""
FIRST_NEW_USER, USERS_A_GENERATION, FIRST_NEW_MOVIE = 2**40, 10**6, 10**6
GENERATION = 20_000
FORGET_EVERY, KNOWN_EVERY = 50, 10
"""Micro-batches from one request to be forgotten to the next, and how many of these until one is of a known user."""


def real_rows(csv: Path) -> RatingRows:
    """All rows of a ratings.csv."""
    blocks = read_blocks(csv, rating_min=0.5, rating_max=5.0, now_ms=time.time_ns() // 1_000_000, on_bad=_refuse)
    return np.concatenate([block.rows for block in blocks])


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Stands for the DataFrame of a micro-batch, of which `reelstream.stream.ingest.ingest` needs `toArrow` alone."""

    rows: pa.Table

    def toArrow(self) -> pa.Table:  # noqa: N802  Spark's name
        return pa.Table.from_pylist([_parsed(row) for row in self.rows.to_pylist()], PARSED)


class Events:
    """`real()` once, then `batch()` again and again.

    New users rate as a real one each, so that refits find tastes to learn; the next generation of them comes after
    GENERATION of their ratings. Known users rate movies by popularity. Some change their stars or take them back, some rate
    a new movie; there are events that are not JSON, and users who ask to be forgotten.
    """

    def __init__(self, rows: RatingRows, seed: int, events_per_batch: int) -> None:
        self._rows, self._size = rows, events_per_batch
        self._choose = random.Random(seed)
        self._offsets = [0] * PARTITIONS
        self._time_ms = itertools.count(FROM_MS, 1000)
        self._new_movies = itertools.count(FIRST_NEW_MOVIE)
        self._new = self._new_ratings()
        self._numbers = itertools.count(1)
        self._newcomers: deque[int] = deque(maxlen=200)
        self._movies: deque[int] = deque([next(self._new_movies)], maxlen=5)
        self._recent: deque[tuple[int, int]] = deque(maxlen=1000)

    def real(self) -> pa.Table:
        """The real ratings, in one micro-batch."""
        return self._table([self._event(*row) for row in self._rows.tolist()])

    def batch(self) -> pa.Table:
        """The next micro-batch of `events_per_batch` events."""
        number = next(self._numbers)
        if number % FORGET_EVERY:
            return self._table([self._one() for _ in range(self._size)])
        events = [self._one() for _ in range(self._size - 1)]
        known = number % (FORGET_EVERY * KNOWN_EVERY) == 0
        user_id = self._real()[0] if known else self._choose.choice(self._newcomers)
        events.append(self._event(user_id, None, None, next(self._time_ms), forget=True))
        return self._table(events)

    def _one(self) -> dict[str, Any]:
        kind = self._choose.random()
        if kind < 0.02:
            return self._event(None, None, None, None, reason="not_json", raw=b"five stars")
        if kind < 0.08 and self._recent:
            user_id, movie_id = self._choose.choice(self._recent)
            stars = None if kind < 0.05 else self._real()[2]
            return self._event(user_id, movie_id, stars, next(self._time_ms))
        if kind < 0.20:
            user_id, (_, movie_id, stars, _) = self._real()[0], self._real()
        else:
            user_id, movie_id, stars = next(self._new)
            self._newcomers.append(user_id)
        movie = self._choose.random()
        if movie < 0.001:
            self._movies.append(next(self._new_movies))
        if movie < 0.03:
            movie_id = self._choose.choice(self._movies)
        self._recent.append((user_id, movie_id))
        return self._event(user_id, movie_id, stars, next(self._time_ms))

    def _new_ratings(self) -> Iterator[tuple[int, int, float]]:
        """(user, movie, stars) of new users, generation after generation; no pair comes twice."""
        for first in itertools.count(FIRST_NEW_USER, USERS_A_GENERATION):
            some = self._choose.sample(range(len(self._rows)), min(GENERATION, len(self._rows)))
            for user_id, movie_id, stars, _ in self._rows[some].tolist():
                yield first + user_id, movie_id, stars

    def _real(self) -> tuple[int, int, float, int]:
        row: tuple[int, int, float, int] = self._rows[self._choose.randrange(len(self._rows))].item()
        return row

    def _event(
        self, user_id: int | None, movie_id: int | None, rating: float | None, rated_at_ms: int | None, **more: Any
    ) -> dict[str, Any]:
        partition = (user_id or 0) % PARTITIONS
        offset = self._offsets[partition]
        self._offsets[partition] += 1
        event = {
            "forget": False,
            "user_id": user_id,
            "movie_id": movie_id,
            "rating": rating,
            "rated_at_ms": rated_at_ms,
        }
        return {**event, **more, "topic": TOPIC, "partition": partition, "offset": offset}

    def _table(self, events: list[dict[str, Any]]) -> pa.Table:
        received_at_ms = time.time_ns() // 1_000_000
        return pa.Table.from_pylist([{**event, "received_at_ms": received_at_ms} for event in events], CHECKED)


def _parsed(row: dict[str, Any]) -> dict[str, Any]:
    """As Spark hands it over: what is no plain rating has its bytes alone."""
    if row["forget"]:
        raw = ForgetEvent(row["user_id"], row["rated_at_ms"]).to_json()
    elif row["reason"] is None and row["rating"] is None:
        raw = RatingEvent(row["user_id"], row["movie_id"], None, row["rated_at_ms"]).to_json()
    else:
        raw = row["raw"]
    fields = dict.fromkeys(("user_id", "movie_id", "rating", "rated_at_ms")) if raw else {}
    return {**row, **fields, "raw": raw}


def left(batches: Iterable[pa.Table]) -> dict[tuple[int, int], float]:
    """(user, movie) → stars as they must stand after the micro-batches, whose events come in the order of `rated_at`."""
    stars: dict[int, dict[int, float]] = {}
    for event in _rows_of(batches):
        if event["forget"]:
            stars.pop(event["user_id"], None)
        elif event["rating"] is None:
            stars.get(event["user_id"], {}).pop(event["movie_id"], None)
        else:
            stars.setdefault(event["user_id"], {})[event["movie_id"]] = event["rating"]
    return {(user, movie): rating for user, movies in stars.items() for movie, rating in movies.items()}


def _rows_of(batches: Iterable[pa.Table]) -> Iterator[dict[str, Any]]:
    for table in batches:
        yield from (event for event in table.to_pylist() if event["reason"] is None)


def _refuse(row: object) -> None:
    raise SystemExit(f"the real ratings have a bad row: {row}")
