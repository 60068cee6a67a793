"""Every user's ratings in memory, for fold-in: two sorted arrays and a few recent batches.

In: the ratings store, then each micro-batch. Out: the full histories of the users that just rated. Next:
`stream.fold_in`.

Memory: 28 bytes a rating. A look-up costs what the users hold plus one pass over the recent rows, which are folded into
the sorted arrays once they are a tenth of them; so an append is cheap and no work grows with the store but that.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

COLUMNS = ("user_id", "movie_id", "rating", "rated_at")
MIN_RECENT_ROWS = 100_000
_ROW = np.dtype([("user_id", "i8"), ("movie_id", "i8"), ("rated_at", "i8"), ("rating", "f4")])


class History:
    """`of` gives the latest rating of each (user, movie), unless the latest takes it back."""

    def __init__(self, ratings: pa.Table) -> None:
        """ratings: the store's rows in the order they came, at least the columns COLUMNS."""
        self._sorted = _by_user([_rows(ratings)])
        self._recent: list[np.ndarray] = []

    def append(self, ratings: pa.Table) -> None:
        """Adds the ratings of one micro-batch."""
        self._recent.append(_rows(ratings))
        if sum(map(len, self._recent)) > max(MIN_RECENT_ROWS, len(self._sorted) // 10):
            self._sorted = _by_user([self._sorted, *self._recent])
            self._recent = []

    def forget(self, forgotten: Mapping[int, int]) -> None:
        """Drops what the users rated up to a time: user_id → milliseconds since 1970. Costs a pass over all rows."""
        self._sorted = _without(self._sorted, forgotten)
        self._recent = [_without(rows, forgotten) for rows in self._recent]

    def pairs(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """(user_id int64[L], movie_id int64[L]) of all rows, in parts that do not change any more."""
        return [(rows["user_id"], rows["movie_id"]) for rows in (self._sorted, *self._recent)]

    def of(self, user_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(row int64[L], movie_id int64[L], rating float32[L]): all ratings of the users, sorted by row, then movie.

        user_ids int64[R] ascending and unique; row is the place in user_ids. Of two ratings of one movie the one with
        the later `rated_at` counts, and of two with the same the one that came later.
        """
        starts = np.searchsorted(self._sorted["user_id"], user_ids, side="left")  # [R]
        ends = np.searchsorted(self._sorted["user_id"], user_ids, side="right")  # [R]
        parts = [self._sorted[start:end] for start, end in zip(starts, ends, strict=True)]
        parts += [rows[np.isin(rows["user_id"], user_ids)] for rows in self._recent]
        rows = np.concatenate([self._sorted[:0], *parts])  # [all ratings of the users]
        rows = rows[np.lexsort((rows["rated_at"], rows["movie_id"], rows["user_id"]))]
        last_of_pair = np.ones(len(rows), bool)
        last_of_pair[:-1] = (rows["user_id"][1:] != rows["user_id"][:-1]) | (
            rows["movie_id"][1:] != rows["movie_id"][:-1]
        )
        rows = rows[last_of_pair & ~np.isnan(rows["rating"])]  # [L]
        return np.searchsorted(user_ids, rows["user_id"]), rows["movie_id"].copy(), rows["rating"].copy()


def _rows(ratings: pa.Table) -> np.ndarray:
    rows = np.empty(ratings.num_rows, _ROW)
    for name in ("user_id", "movie_id", "rating"):
        rows[name] = ratings[name].to_numpy()  # a null rating becomes NaN
    rows["rated_at"] = ratings["rated_at"].cast(pa.int64()).to_numpy()
    return rows


def _without(rows: np.ndarray, forgotten: Mapping[int, int]) -> np.ndarray:
    keep = np.ones(len(rows), bool)
    for user_id, until_ms in forgotten.items():
        keep &= (rows["user_id"] != user_id) | (rows["rated_at"] > until_ms)
    return rows[keep]


def _by_user(parts: list[np.ndarray]) -> np.ndarray:
    rows = np.concatenate(parts)
    return rows[np.argsort(rows["user_id"], kind="stable")]
