"""Rows for tests of the store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa

from reelstream.store.schemas import RATINGS, REJECTS, USERS


def ratings(*rows: tuple[int, int, float], offset: int = 0, partition: int = 0, rated_at_ms: int = 1000) -> pa.Table:
    """(user_id, movie_id, rating) rows at consecutive offsets of one partition, all rated at the same time."""
    return pa.table(
        {
            "user_id": [user for user, _, _ in rows],
            "movie_id": [movie for _, movie, _ in rows],
            "rating": [rating for _, _, rating in rows],
            "rated_at": pa.array([rated_at_ms] * len(rows), pa.int64()).cast(pa.timestamp("ms", tz="UTC")),
            "topic": ["ratings"] * len(rows),
            "partition": [partition] * len(rows),
            "offset": list(range(offset, offset + len(rows))),
        }
    ).cast(RATINGS)


def rejects(*raw: bytes, offset: int = 0) -> pa.Table:
    return pa.table(
        {
            "reason": ["not_json"] * len(raw),
            "raw": list(raw),
            "topic": ["ratings"] * len(raw),
            "partition": [0] * len(raw),
            "offset": list(range(offset, offset + len(raw))),
            "received_at": pa.array([0] * len(raw), pa.int64()).cast(pa.timestamp("ms", tz="UTC")),
        }
    ).cast(REJECTS)


def lists(user_id: int, movie_ids: Sequence[int], as_of_ms: int, source: str = "fold_in") -> pa.Table:
    """One user's list."""
    n = len(movie_ids)
    return pa.table(
        {
            "user_id": [user_id] * n,
            "rank": list(range(1, n + 1)),
            "movie_id": list(movie_ids),
            "title": pa.nulls(n, pa.string()),
            "score": [1.0] * n,
            "predicted_rating": [4.0] * n,
            "source": [source] * n,
            "version": ["000001"] * n,
            "as_of": pa.array([datetime.fromtimestamp(as_of_ms / 1000, UTC)] * n, pa.timestamp("ms", tz="UTC")),
        }
    ).cast(USERS)


def triples(table: pa.Table) -> list[tuple[int, int, float]]:
    return [(row["user_id"], row["movie_id"], row["rating"]) for row in table.to_pylist()]
