"""Every user's ratings in memory, for fold-in: a few arrays sorted by user.

In: the ratings store, then each micro-batch. Out: the full histories of the users that just rated. Next:
`reelstream.stream.fold_in`.

Memory: 40 bytes a rating. Each array has more than twice the rows of the next, else the two become one: so there are a
few dozen at the most however small the micro-batches are, a row is moved a few times in all, and a look-up costs what the
users hold plus a binary search in each array.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from reelstream.als.arrays import ages_of, latest_rows, rows_of_users
from reelstream.top_lists import RatingArrays

COLUMNS = ("user_id", "movie_id", "rating", "rated_at", "partition", "offset")
_ROW = np.dtype(
    [
        ("user_id", "i8"),
        ("movie_id", "i8"),
        ("rated_at", "i8"),
        ("offset", "i8"),
        ("partition", "i4"),
        ("rating", "f4"),
    ],
    align=True,
)
"""Aligned, as a binary search would first copy ids that are not."""


class History:
    """`of` gives what `reelstream.store.rating_rows.latest` gives of the same rows, for a few users."""

    def __init__(self, ratings: pa.Table) -> None:
        """ratings: the store's rows in the order they came, at least the columns COLUMNS."""
        self._runs = [_by_user([_rows(ratings)])]

    def append(self, ratings: pa.Table) -> None:
        """Adds the ratings of one micro-batch."""
        self._runs.append(_by_user([_rows(ratings)]))
        while len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
            self._runs[-2:] = [_by_user(self._runs[-2:])]

    def forget(self, forgotten: Mapping[int, int]) -> None:
        """Drops what the users rated up to a time: user_id → milliseconds since 1970. Costs a pass over all rows."""
        self._runs = [_without(run, forgotten) for run in self._runs]

    def pairs(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """(user_id int64[L], movie_id int64[L]) of all rows, in parts that do not change any more."""
        return [(run["user_id"], run["movie_id"]) for run in self._runs]

    def newest(self, n: int) -> np.ndarray:
        """The movies of the newest n rows, int64, the oldest first; what was taken back is none."""
        rows = _newest(np.concatenate([_newest(run, n) for run in self._runs]), n)
        rows = rows[~np.isnan(rows["rating"])]
        newest: np.ndarray = rows["movie_id"][np.argsort(rows["rated_at"], kind="stable")]
        return newest

    def of(self, user_ids: np.ndarray) -> RatingArrays:
        """All ratings of the users, sorted by row, then movie; user_ids int64[R] ascending and unique."""
        rows = np.concatenate([rows_of_users(run, user_ids) for run in self._runs])  # [all ratings of the users]
        place = (rows["partition"], rows["offset"])
        rows = rows[latest_rows(rows["user_id"], rows["movie_id"], rows["rated_at"], place)]
        rows = rows[~np.isnan(rows["rating"])]  # [L]
        row = np.searchsorted(user_ids, rows["user_id"])
        ages = ages_of(row, rows["rated_at"], (rows["partition"], rows["offset"]))
        return row, rows["movie_id"].copy(), rows["rating"].copy(), ages


def _newest(rows: np.ndarray, n: int) -> np.ndarray:
    return rows[np.argpartition(rows["rated_at"], -n)[-n:]] if len(rows) > n else rows


def _rows(ratings: pa.Table) -> np.ndarray:
    rows = np.empty(ratings.num_rows, _ROW)
    for name in ("user_id", "movie_id", "rating", "partition", "offset"):
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
