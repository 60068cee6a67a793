"""Test rows beside the training ratings: which are cold, whom lists are measured for, and what these should hold.

In: a RatingMatrix and test rows by id. Out: HeldOut, all of it by position. Next: `metrics` measures models on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reelstream.als.arrays import F32, I64, Csr, index_of, row_starts
from reelstream.als.factors import RatingMatrix
from reelstream.errors import UsageError


@dataclass(frozen=True, slots=True)
class HeldOut:
    """T test rows as `train` sees them, and the R users that lists are measured for."""

    train: RatingMatrix
    user: I64
    """int64[T]: position in train.user_ids, -1 where cold."""
    movie: I64
    """int64[T]: position in train.movie_ids, -1 where cold."""
    rating: F32
    """float32[T], stars."""
    users: I64
    """int64[R], ascending: positions in train.user_ids."""
    relevant: Csr
    """R rows of the users' relevant movies, ascending."""
    seen: Csr
    """R rows of what they have rated in training."""

    @classmethod
    def of(
        cls, train: RatingMatrix, test_user: I64, test_movie: I64, test_rating: F32, relevant_from: float
    ) -> HeldOut:
        """test_user, test_movie (ids, integers [T]), test_rating (stars, [T]); T at least 1, no row is in `train`.

        Raises UsageError if there is no test row or the lengths differ.
        """
        if not len(test_user) or len({len(test_user), len(test_movie), len(test_rating)}) != 1:
            raise UsageError("evaluate needs at least one test row, and as many users, movies and ratings.")
        user, movie = index_of(train.user_ids, test_user), index_of(train.movie_ids, test_movie)  # [T], [T]
        liked = (user >= 0) & (movie >= 0) & (test_rating >= relevant_from)
        users, relevant = _relevant(user[liked], movie[liked])
        return cls(train, user, movie, test_rating, users, relevant, train.by_user.select(users))

    def warm(self) -> NDArray[np.bool_]:
        """bool[T]: whether both user and movie are in training."""
        return (self.user >= 0) & (self.movie >= 0)


def renumbered(rows: Csr, places: I64) -> Csr:
    """The same rows over other columns: column c becomes places[c], and entries where that is -1 are left out."""
    at = places[rows.indices]  # [nnz]
    keep = at >= 0
    indptr = row_starts(keep)[rows.indptr]
    return Csr(indptr, at[keep].astype(np.int32), rows.values[keep])


def _relevant(user: I64, movie: I64) -> tuple[I64, Csr]:
    """The users with relevant movies, int64[R] ascending, and those movies as R rows."""
    users, row = np.unique(user, return_inverse=True)  # [R], [L]
    order = np.lexsort((movie, row))
    return users, Csr.from_rows(row[order], movie[order], np.ones(len(order), np.float32), len(users))
