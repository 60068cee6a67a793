"""Arrays with a name: the dtypes, sparse rows, and places in ascending ids.

In: arrays. Out: `Csr`, checked once, here. Next: every module of the array maths.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reelstream.errors import UsageError

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Csr:
    """Sparse rows: the entries of row i are `indices[indptr[i]:indptr[i + 1]]` with the `values` at the same places.

    Raises UsageError if a dtype or a length does not fit. Who knows the columns calls
    `check_columns`.
    """

    indptr: I64
    """int64[R + 1], ascending from 0."""
    indices: I32
    """int32[nnz], the columns; ascending within a row where it comes from `RatingMatrix`."""
    values: F32
    """float32[nnz]: ratings in stars."""
    ages: I32 | None = None
    """int32[nnz], of rows that are users: how many of the row's ratings are newer, see `ages_of`; None where their order is
    not known, or does not count."""

    def __post_init__(self) -> None:
        for name, dtype in (("indptr", np.int64), ("indices", np.int32), ("values", np.float32), ("ages", np.int32)):
            array = getattr(self, name)
            if array is None:
                continue
            if array.dtype != dtype or array.ndim != 1:
                raise UsageError(
                    f"Csr.{name} is {array.dtype}[{array.ndim}-d]; give a one-dimensional {np.dtype(dtype)} array."
                )
        if not len(self.indptr) or self.indptr[0] != 0 or self.indptr[-1] != len(self.indices):
            raise UsageError(
                "Csr.indptr must run from 0 to the number of entries; build it with `row_starts` of the counts."
            )
        lengths = [len(array) for array in (self.indices, self.values, self.ages) if array is not None]
        if len(set(lengths)) != 1:
            raise UsageError(f"Csr has {lengths} indices, values and ages; they must be as many.")

    @classmethod
    def from_rows(cls, row: I64, indices: I64 | I32, values: F32, n_rows: int, ages: I32 | None = None) -> Csr:
        """Entries that are sorted by row: entry e lies in row[e], of n_rows. row: int64[nnz], ascending."""
        starts = row_starts(np.bincount(row, minlength=n_rows))  # [n_rows + 1]
        return cls(starts, indices.astype(np.int32, copy=False), values.astype(np.float32, copy=False), ages)

    @property
    def n_rows(self) -> int:
        return len(self.indptr) - 1

    def row(self, i: int) -> tuple[I32, F32]:
        """(indices, values) of row i, as views."""
        entries = slice(int(self.indptr[i]), int(self.indptr[i + 1]))
        return self.indices[entries], self.values[entries]

    def counts(self) -> I64:
        """Entries of each row, int64[R]."""
        return np.diff(self.indptr)

    def check_columns(self, n_columns: int) -> None:
        """Raises UsageError if an index lies outside the columns: the kernels do not look."""
        if len(self.indices) and not 0 <= int(self.indices.min()) <= int(self.indices.max()) < n_columns:
            raise UsageError(f"an index of a sparse row lies outside the {n_columns} columns.")

    def select(self, rows: I64) -> Csr:
        """The given rows, in that order, as a Csr of their own."""
        counts = self.counts()[rows]  # [S]
        indptr = row_starts(counts)  # [S + 1]
        entry = np.arange(indptr[-1]) + np.repeat(self.indptr[rows] - indptr[:-1], counts)  # [entries of those rows]
        return Csr(indptr, self.indices[entry], self.values[entry], None if self.ages is None else self.ages[entry])


def row_starts(counts: NDArray[Any] | list[int]) -> I64:
    """Where each of R rows begins among the entries, and where the last one ends: int64[R + 1]. counts: entries a row."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def latest_rows(user_id: I64, movie_id: I64, rated_at: I64, place: tuple[NDArray[Any], ...] = ()) -> I64:
    """Positions of the latest rating of each (user, movie), int64, by user, then movie. This is the one rule of what counts.

    user_id, movie_id, rated_at: int64[L]. place: further int[L], the most significant first, that decide between equal
    times: partition and offset of an event. What is equal in all of that is decided by the order of the rows.
    """
    order = np.lexsort((*reversed(place), rated_at, movie_id, user_id))  # [L]
    user, movie = user_id[order], movie_id[order]
    last_of_pair = np.ones(len(order), np.bool_)
    last_of_pair[:-1] = (user[1:] != user[:-1]) | (movie[1:] != movie[:-1])
    latest: I64 = order[last_of_pair]
    return latest


def rows_of_users(rows: NDArray[Any], user_ids: I64) -> NDArray[Any]:
    """The rows of the users, by user. rows: structs with a field user_id, ascending; user_ids: int64[R] ascending."""
    starts = np.searchsorted(rows["user_id"], user_ids, side="left")  # [R]
    counts = np.searchsorted(rows["user_id"], user_ids, side="right") - starts  # [R]
    before = np.cumsum(counts) - counts  # [R]
    found: NDArray[Any] = rows[np.repeat(starts - before, counts) + np.arange(counts.sum())]
    return found


def ages_of(row: I64, rated_at: I64, place: tuple[NDArray[Any], ...] = ()) -> I32:
    """How many of a row's ratings are newer than each of them, int32[L]: 0 for the newest. This is the one rule of order.

    row: int64[L], which user's a rating is. rated_at, place: as `latest_rows` has them, with the same rule for equal times.
    """
    order = np.lexsort((*reversed(place), rated_at, row))  # [L]
    ends = np.cumsum(np.bincount(row))  # [rows]
    ages = np.empty(len(row), np.int32)
    ages[order] = ends[row[order]] - 1 - np.arange(len(row))
    return ages


def index_of(known: I64, ids: I64) -> I64:
    """Positions of `ids` in the ascending `known`, int64; -1 where it is not there."""
    if not len(known):
        return np.full(np.shape(ids), -1, np.int64)
    at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    return np.where(known[at] == ids, at, -1).astype(np.int64)
