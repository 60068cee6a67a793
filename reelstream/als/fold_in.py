"""Fold-in: the factors of users from their full histories, with the movies of a version as they are.

In: Factors and histories. Out: FoldedUsers, the same as the refit's last half-step would give. Next: `top_n` and
`predict`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reelstream.als.factors import F32, Csr, Factors
from reelstream.als.fit import ranking_system, rating_system


@dataclass(frozen=True, slots=True)
class FoldedUsers:
    """Row i belongs to row i of the histories; a user without ratings has zeros: the mean, no order."""

    user_bias: F32
    """float32[R], in stars."""
    rating: F32
    """float32[R, Kr]."""
    ranking: F32
    """float32[R, K]."""


class FoldIn:
    """Built once a version: holds the movies' Gram matrix, turned diagonal, which all fold-ins share. Thread-safe."""

    def __init__(self, factors: Factors) -> None:
        from reelstream.als import kernel  # importing numba takes a moment, and reading factors needs none

        self.factors = factors
        self._solve = kernel.solve
        augmented = np.column_stack([factors.rating_movie, np.ones(len(factors.movie_ids), np.float32)])  # [M, Kr + 1]
        self._rating = kernel.basis(augmented, 0.0)
        self._ranking = kernel.basis(factors.ranking_movie, factors.settings.ranking_alpha0)

    def solve(self, histories: Csr, *, threads: int | None = None) -> FoldedUsers:
        """Both models' factors of R users.

        histories: R rows over the positions in `factors.movie_ids`, with the latest rating of each movie in stars; the
        order within a row does not matter. A user's factors are the same bit by bit whether folded in alone or among
        others.
        Raises UsageError if a position lies outside the movies.
        """
        factors, settings = self.factors, self.factors.settings
        histories.check_columns(len(factors.movie_ids))
        rating = rating_system(histories, factors.mean, factors.movie_bias, settings)
        solved = self._solve(self._rating, histories, *rating, threads=threads)  # [R, Kr + 1]
        order = ranking_system(histories, len(factors.movie_ids), settings)
        ranking = self._solve(self._ranking, histories, *order, threads=threads)  # [R, K]
        return FoldedUsers(np.ascontiguousarray(solved[:, -1]), np.ascontiguousarray(solved[:, :-1]), ranking)
