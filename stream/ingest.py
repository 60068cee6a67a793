"""One micro-batch: parsed records → ratings store → folded-in lists. All of it is one Spark job.

In: a micro-batch's DataFrame as `reelstream.stream.parse.parse` gives it. Out: rows in `ratings/`, `rejects/` and `updates/`.
Next: `reelstream.stream.trigger` counts the ratings and calls for a refit.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from reelstream.store.forgotten import is_forgotten, merged
from reelstream.store.rating_rows import next_offsets, not_yet_in
from reelstream.store.ratings import RatingsStore
from reelstream.store.ratings_state import RatingsState
from reelstream.store.schemas import RATINGS, REJECTS
from reelstream.stream.clocks import NONE_AHEAD, Ahead, ahead_of_records, waited_s
from reelstream.stream.fold_in import NOBODY, NOTHING, Folded, FoldInStage
from reelstream.stream.ids import new_ids
from reelstream.stream.parse import TOMBSTONE, check
from reelstream.stream.value_form import ValueForm


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What one micro-batch did, for `status`; the times are in seconds.

    queue_s: how long its events had waited in Kafka when it began, their median, None if no record's time tells;
    implausible_times: records that were left out of that; read_s: Kafka to checked rows.
    """

    state: RatingsState
    accepted: int = 0
    rejected: int = 0
    queue_s: float | None = None
    implausible_times: int = 0
    ahead: Ahead = NONE_AHEAD
    read_s: float = 0.0
    store_s: float = 0.0
    folded: Folded = NOTHING

    @property
    def seconds(self) -> float:
        """The whole micro-batch, without what Spark does before and after it."""
        return self.read_s + self.store_s + self.folded.score_s + self.folded.fold_in_s + self.folded.publish_s

    def times(self) -> dict[str, float]:
        """The seconds of each step, in order; without the queue if its time is not known."""
        steps = {} if self.queue_s is None else {"queue": self.queue_s}
        steps |= {"read": self.read_s, "store": self.store_s, "score": self.folded.score_s}
        return {**steps, "fold_in": self.folded.fold_in_s, "publish": self.folded.publish_s}


def ingest(batch: DataFrame, store: RatingsStore, fold_in: FoldInStage, form: ValueForm | None = None) -> BatchReport:
    """Takes one micro-batch in.

    1. read: Spark reads and parses the records; the rows come here as Arrow, and what is no plain rating is checked here
    2. leave out what the store has already (Kafka and Spark deliver at least once), and turn away what a user who
       asked to be forgotten had rated before
    3. store: movies hidden or dismissed, then directories written, then the pointer moved; from here on the events are in,
       whatever happens
    4. score the ratings by the models that have not seen them
    5. fold in: the touched users' lists, readable at once

    A crash before the pointer moves leaves no trace that counts, but for movies hidden or dismissed: these events come once
    more then, and change nothing. One after it leaves users to fold in, which the
    next start does, as `updates/` knows up to which micro-batch it has come.
    """
    began_s, started = time.time(), time.perf_counter()
    scale = fold_in.settings.scale
    rows = check(batch.toArrow(), rating_min=scale.rating_min, rating_max=scale.rating_max, form=form)
    read = time.perf_counter()
    before = store.state()
    rows = not_yet_in(rows, before.offsets)
    if not rows.num_rows:
        return BatchReport(before, read_s=read - started)
    queue_s, implausible = waited_s(rows["received_at_ms"].to_numpy(), int(began_s * 1000))
    rows = reject_forgotten(rows, store)
    known = store.ids.now()
    rows, text_ids, ids = new_ids(rows, before.text_ids, known)
    forget = requests(rows)
    events = rows.filter(pc.not_equal(pc.fill_null(rows["reason"], ""), TOMBSTONE))
    good = pc.is_null(events["reason"])
    rated = events.filter(pc.and_(good, pc.and_(pc.invert(events["forget"]), pc.is_null(events["action"]))))
    ahead = ahead_of_records(rated["rated_at_ms"].to_numpy(), rated["received_at_ms"].to_numpy())
    ratings = as_ratings(rated)
    rejects = as_rejects(events.filter(pc.invert(good)))
    others = events.filter(pc.and_(good, pc.is_valid(events["action"])))
    dismissers = NOBODY
    if others.num_rows:
        texts = replace(known, is_text={**known.is_text, **text_ids}).plus(ids)
        dismissers = fold_in.take(others, before.batch + 1, texts)
    state = store.append(
        ratings,
        rejects,
        next_offsets(rows),
        forget,
        others=others.num_rows,
        tombstones=rows.num_rows - events.num_rows,
        text_ids=text_ids,
        ids=ids,
    )
    stored = time.perf_counter()
    if forget:
        fold_in.forget(state.forgetting)  # the store's may be done by now, in the files
    folded = fold_in.fold(ratings, state.batch, dismissers)
    accepted = ratings.num_rows + len(forget) + others.num_rows
    return BatchReport(
        state,
        accepted,
        rejects.num_rows,
        queue_s=queue_s,
        implausible_times=implausible,
        ahead=ahead,
        read_s=read - started,
        store_s=stored - read,
        folded=folded,
    )


def requests(rows: pa.Table) -> list[tuple[int, int]]:
    """Who asks to be forgotten: (user_id, milliseconds up to which)."""
    asked = rows.filter(pc.and_(rows["forget"], pc.is_null(rows["reason"])))
    return list(zip(asked["user_id"].to_pylist(), asked["rated_at_ms"].to_pylist(), strict=True))


def reject_forgotten(rows: pa.Table, store: RatingsStore) -> pa.Table:
    """The rows, of which those that their user has asked to be forgotten have become rejects without bytes."""
    until_ms = {user: one.until_ms for user, one in merged(store.forgotten(), requests(rows), 0).items()}
    if not until_ms:
        return rows
    covered = pc.and_(is_forgotten(rows, until_ms, rated_at="rated_at_ms"), pc.invert(rows["forget"]))
    reason = pc.if_else(covered, "forgotten", rows["reason"])
    rows = rows.set_column(rows.schema.get_field_index("reason"), "reason", reason)
    raw = pc.if_else(covered, pa.scalar(None, pa.binary()), rows["raw"])  # an event with a text for its id has some
    return rows.set_column(rows.schema.get_field_index("raw"), "raw", raw)


def as_ratings(rows: pa.Table) -> pa.Table:
    columns = {name: rows[name] for name in RATINGS.names if name != "rated_at"}
    return pa.table({**columns, "rated_at": _time(rows["rated_at_ms"])}).select(RATINGS.names).cast(RATINGS)


def as_rejects(rows: pa.Table) -> pa.Table:
    columns = {name: rows[name] for name in REJECTS.names if name != "received_at"}
    return pa.table({**columns, "received_at": _time(rows["received_at_ms"])}).select(REJECTS.names).cast(REJECTS)


def _time(milliseconds: pa.ChunkedArray) -> pa.ChunkedArray:
    return milliseconds.cast(pa.timestamp("ms", tz="UTC"))
