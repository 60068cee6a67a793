"""Users who asked to be forgotten: what may not come back, and what was removed of them.

In: the requests of a micro-batch. Out: a small table, `ratings/forgotten-….parquet`, that `ratings/CURRENT` names.
Next: `reelstream.stream.ingest` turns away what such a user rated before; `reelstream.store.forget` removes what is stored.

The id and the time of each request stay: without them, an event that Kafka delivers late would bring the user back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reelstream.store import pointer
from reelstream.store.schemas import FORGOTTEN


@dataclass(frozen=True, slots=True)
class Removed:
    """Rows that were removed of one user: ratings, rejects, rows of models, and rows of top-N lists."""

    ratings: int = 0
    rejects: int = 0
    models: int = 0
    lists: int = 0

    def __add__(self, other: Removed) -> Removed:
        return Removed(
            self.ratings + other.ratings,
            self.rejects + other.rejects,
            self.models + other.models,
            self.lists + other.lists,
        )


@dataclass(frozen=True, slots=True)
class Forgotten:
    """One request: whatever `user_id` rated up to `until_ms` (milliseconds since 1970) is forgotten.

    `batch` is the micro-batch that brought it; `removed` is None until everything is removed.
    """

    user_id: int
    until_ms: int
    batch: int
    removed: Removed | None = None


def read(path: Path) -> dict[int, Forgotten]:
    """Every user's last request, by user id."""
    found = {}
    for row in pointer.read_table(path).to_pylist():
        counts = {name: row[name] for name in ("ratings", "rejects", "models", "lists")}
        removed = None if counts["ratings"] is None else Removed(**counts)
        until_ms = round(row["forgotten_at"].timestamp() * 1000)
        found[row["user_id"]] = Forgotten(row["user_id"], until_ms, row["batch"], removed)
    return found


def write(path: Path, forgotten: Mapping[int, Forgotten]) -> None:
    rows = [
        {
            "user_id": one.user_id,
            "forgotten_at": datetime.fromtimestamp(one.until_ms / 1000, UTC),
            "batch": one.batch,
            **(
                {"ratings": r.ratings, "rejects": r.rejects, "models": r.models, "lists": r.lists}
                if (r := one.removed)
                else {}
            ),
        }
        for one in forgotten.values()
    ]
    pointer.write_table(pa.Table.from_pylist(rows, FORGOTTEN), path)


def merged(known: Mapping[int, Forgotten], asked: Sequence[tuple[int, int]], batch: int) -> dict[int, Forgotten]:
    """The requests with those of a micro-batch, (user_id, until_ms), added; of two of a user the later time counts."""
    result = dict(known)
    for user_id, until_ms in asked:
        before = result.get(user_id)
        result[user_id] = Forgotten(user_id, max(until_ms, before.until_ms if before else 0), batch)
    return result


def finished(known: Mapping[int, Forgotten], removed: Mapping[int, Removed]) -> dict[int, Forgotten]:
    return {**known, **{user_id: replace(known[user_id], removed=counts) for user_id, counts in removed.items()}}


def is_forgotten(table: pa.Table, until_ms: Mapping[int, int], *, rated_at: str = "rated_at") -> pa.Array:
    """bool[rows]: which rows (user_id, and the time or milliseconds `rated_at`) a request covers; a null is not."""
    if not until_ms or not table.num_rows:
        return pa.array(np.zeros(table.num_rows, bool))
    users = np.array(sorted(until_ms), np.int64)
    limits = np.array([until_ms[user] for user in users.tolist()], np.int64)
    user_id = pc.fill_null(table["user_id"], -1).to_numpy()  # no id is below 0
    at = np.searchsorted(users, user_id).clip(max=len(users) - 1)  # [rows]
    rated = pc.fill_null(table[rated_at].cast(pa.int64()), 0).to_numpy()
    return pa.array((users[at] == user_id) & (rated <= limits[at]))


def without(table: pa.Table, until_ms: Mapping[int, int]) -> pa.Table:
    """The rows that no request covers."""
    return table.filter(pc.invert(is_forgotten(table, until_ms))) if until_ms else table
