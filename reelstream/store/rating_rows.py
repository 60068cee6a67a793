"""Which rows count: the latest rating of each pair, and the events whose offsets are not in the store yet.

In: rows of RATINGS, as a micro-batch or the store has them. Out: those that count. Next: `reelstream.stream.ingest`
appends what is not yet in; the ratings store, fold-in and refits take the latest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reelstream.als.arrays import I32, ages_of, latest_rows

Offsets = Mapping[str, Mapping[int, int]]
"""topic → partition → the next offset to take: all events below it are in the store."""


def latest(table: pa.Table, *, taken_back: bool = False) -> pa.Table:
    """The newest rating of each (user, movie), sorted by user, then movie.

    Newest by `rated_at`, then by partition and offset, so a late or doubled event cannot bring an old rating back.
    Where the newest takes the rating back there is no row; with `taken_back` there is one with a null rating.
    """
    user, movie, partition, offset = (table[name].to_numpy() for name in ("user_id", "movie_id", "partition", "offset"))
    rated_at = table["rated_at"].cast(pa.int64()).to_numpy()
    newest = table.take(pa.array(latest_rows(user, movie, rated_at, (partition, offset))))
    return newest if taken_back else newest.filter(pc.is_valid(newest["rating"]))


def in_order(table: pa.Table) -> pa.Table:
    """Rows of RATINGS in the order in which they were rated, by the same rule."""
    return table.sort_by([(name, "ascending") for name in ("rated_at", "partition", "offset")])


def ages_in(latest: pa.Table) -> I32:
    """How many of the user's ratings are newer than each of them, int32[L], by the same rule; sorted by user."""
    user_id = latest["user_id"].to_numpy()
    row = np.cumsum(np.diff(user_id, prepend=user_id[:1]) != 0)  # [L]
    place = (latest["partition"].to_numpy(), latest["offset"].to_numpy())
    return ages_of(row, latest["rated_at"].cast(pa.int64()).to_numpy(), place)


def not_yet_in(table: pa.Table, offsets: Offsets) -> pa.Table:
    """The rows of a table with topic, partition and offset that lie at or after `offsets`."""
    return table.filter(pc.invert(_below(table, offsets)))


def already_in(table: pa.Table, offsets: Offsets) -> pa.Table:
    """The other rows of it, those below `offsets`."""
    return table.filter(_below(table, offsets))


def with_next(offsets: Offsets, newer: Offsets) -> Offsets:
    """The offsets, with those of the partitions that moved."""
    merged = {topic: dict(ends) for topic, ends in offsets.items()}
    for topic, ends in newer.items():
        merged.setdefault(topic, {}).update(ends)
    return merged


def offsets_of_json(value: Mapping[str, Mapping[str, int]]) -> Offsets:
    """JSON has text for the partitions' numbers."""
    return {topic: {int(partition): end for partition, end in ends.items()} for topic, ends in value.items()}


def _below(table: pa.Table, offsets: Offsets) -> Any:
    below: Any = pa.array(np.zeros(len(table), np.bool_))
    for topic, partitions in offsets.items():
        for partition, next_offset in partitions.items():
            of_partition = pc.and_(pc.equal(table["topic"], topic), pc.equal(table["partition"], partition))
            below = pc.or_(below, pc.and_(of_partition, pc.less(table["offset"], next_offset)))
    return below


def next_offsets(table: pa.Table) -> dict[str, dict[int, int]]:
    """The offsets after the last row of each partition in a table with topic, partition and offset."""
    ends: dict[str, dict[int, int]] = {}
    grouped = table.group_by(["topic", "partition"]).aggregate([("offset", "max")])
    for row in grouped.to_pylist():
        ends.setdefault(row["topic"], {})[row["partition"]] = row["offset_max"] + 1
    return ends
