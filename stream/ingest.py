"""One micro-batch: parsed records → ratings store → folded-in lists. All of it is one Spark job.

In: a micro-batch's DataFrame with the columns of `stream.parse`. Out: rows in `ratings/`, `rejects/` and `updates/`.
Next: `stream.trigger` counts the ratings and calls for a refit.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from reelstream.store.ratings import RatingsState, RatingsStore, next_offsets, not_yet_in
from reelstream.store.schemas import RATINGS, REJECTS
from stream.fold_in import Folder


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What one micro-batch did, for `status`; the times are in seconds."""

    state: RatingsState
    accepted: int
    rejected: int
    users: int
    read_s: float
    store_s: float
    fold_in_s: float

    @property
    def seconds(self) -> float:
        """The whole micro-batch, without what Spark does before and after it."""
        return self.read_s + self.store_s + self.fold_in_s


def ingest(batch: DataFrame, store: RatingsStore, folder: Folder) -> BatchReport:
    """Takes one micro-batch in.

    1. read: Spark reads, parses and checks the records; the rows come here as Arrow
    2. leave out what the store has already (Kafka and Spark deliver at least once)
    3. store: folders written, then the pointer moved; from here on the events are in, whatever happens
    4. fold in: the touched users' lists, readable at once

    A crash before the pointer moves leaves no trace that counts; one after it leaves users to fold in, which the
    next start does, as `updates/` knows up to which micro-batch it has come.
    """
    started = time.perf_counter()
    rows = batch.toArrow()
    read = time.perf_counter()
    before = store.state()
    rows = not_yet_in(rows, before.offsets)
    if not rows.num_rows:
        return BatchReport(before, 0, 0, 0, read - started, 0.0, 0.0)
    good = pc.is_null(rows["reason"])
    ratings, rejects = as_ratings(rows.filter(good)), as_rejects(rows.filter(pc.invert(good)))
    state = store.append(ratings, rejects, next_offsets(rows))
    stored = time.perf_counter()
    users = folder.fold(ratings, state.batch)
    return BatchReport(
        state,
        ratings.num_rows,
        rejects.num_rows,
        users,
        read - started,
        stored - read,
        time.perf_counter() - stored,
    )


def as_ratings(rows: pa.Table) -> pa.Table:
    columns = {name: rows[name] for name in RATINGS.names if name != "rated_at"}
    return pa.table({**columns, "rated_at": _time(rows["rated_at_ms"])}).select(RATINGS.names).cast(RATINGS)


def as_rejects(rows: pa.Table) -> pa.Table:
    columns = {name: rows[name] for name in REJECTS.names if name != "received_at"}
    return pa.table({**columns, "received_at": _time(rows["received_at_ms"])}).select(REJECTS.names).cast(REJECTS)


def _time(milliseconds: pa.ChunkedArray) -> pa.ChunkedArray:
    return milliseconds.cast(pa.timestamp("ms", tz="UTC"))
