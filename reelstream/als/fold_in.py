"""Fold-in: the factors of users from their full histories with the movies of a version as they are, and of new movies
with its users as they are.

In: Factors and histories. Out: FoldedUsers or FoldedMovies, the same as a half-step of a refit would give; `with_movies`
makes Factors of them. Next: `top_n` and `predict`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from reelstream.als.factors import F32, I64, Csr, Factors
from reelstream.als.fit import movie_sums, ranking_system, rating_system
from reelstream.errors import UsageError


@dataclass(frozen=True, slots=True)
class FoldedUsers:
    """Row i belongs to row i of the histories; a user without ratings has zeros: the mean, no order."""

    user_bias: F32
    """float32[R], in stars."""
    rating: F32
    """float32[R, Kr]."""
    ranking: F32
    """float32[R, K]."""


@dataclass(frozen=True, slots=True)
class FoldedMovies:
    """Row i belongs to row i of the histories; a movie without ratings has zeros."""

    movie_bias: F32
    """float32[R], in stars."""
    rating: F32
    """float32[R, Kr]."""
    ranking: F32
    """float32[R, K]."""


class FoldIn:
    """Built once a version: holds the movies' Gram matrix, turned diagonal, which all fold-ins share. Thread-safe."""

    def __init__(self, factors: Factors) -> None:
        self.factors = factors
        self._movies = _Side(factors, factors.movie_bias, factors.rating_movie, factors.ranking_movie)

    def solve(self, histories: Csr, *, threads: int | None = None) -> FoldedUsers:
        """Both models' factors of R users.

        histories: R rows over the positions in `factors.movie_ids`, with the latest rating of each movie in stars; the
        order within a row does not matter. A user's factors are the same bit by bit whether folded in alone or among
        others.
        Raises UsageError if a position lies outside the movies, or for a rating that is not finite.
        """
        return FoldedUsers(*self._movies.half_step(histories, threads))


class MovieFoldIn:
    """The same for movies: holds the users' Gram matrix. Thread-safe."""

    def __init__(self, factors: Factors) -> None:
        self.factors = factors
        self._users = _Side(factors, factors.user_bias, factors.rating_user, factors.ranking_user)

    def solve(self, histories: Csr, *, threads: int | None = None) -> FoldedMovies:
        """Both models' factors of R movies.

        histories: R rows over the positions in `factors.user_ids`, with the latest rating of each user in stars; what
        `FoldIn.solve` says holds here too.
        """
        return FoldedMovies(*self._users.half_step(histories, threads))


def with_movies(factors: Factors, movie_ids: I64, histories: Csr, *, threads: int | None = None) -> Factors:
    """The factors with new movies folded in; users, mean and all other movies stay as they are.

    movie_ids: int64[R] in any order, each once and none of them in `factors`. histories: row i holds the ratings of
    movie_ids[i], over the positions in `factors.user_ids`; at least one each.
    Raises UsageError where that does not hold.
    """
    if len(movie_ids) != histories.n_rows or len(np.unique(movie_ids)) != len(movie_ids):
        raise UsageError(
            f"{len(movie_ids)} movies came with {histories.n_rows} histories; give each movie once, with a row of its own."
        )
    if (factors.movie_index(movie_ids) >= 0).any():
        raise UsageError("a movie is in the model already; fold in only movies that are not.")
    counts = histories.counts()  # [R]
    if not counts.all():
        movie = movie_ids[np.flatnonzero(counts == 0)[0]]
        raise UsageError(f"no user of the model rated movie {movie}; leave it out until one has.")
    folded = MovieFoldIn(factors).solve(histories, threads=threads)
    together = np.concatenate([factors.movie_ids, movie_ids])  # [M + R]
    order = np.argsort(together)

    def merged(known: np.ndarray, new: np.ndarray) -> np.ndarray:
        return np.concatenate([known, new])[order]

    return replace(
        factors,
        movie_ids=together[order],
        movie_bias=merged(factors.movie_bias, folded.movie_bias),
        rating_movie=merged(factors.rating_movie, folded.rating),
        ranking_movie=merged(factors.ranking_movie, folded.ranking),
        movie_counts=merged(factors.movie_counts, counts),
        movie_sums=merged(factors.movie_sums, movie_sums(histories)),
    )


class _Side:
    """The side that stays as it is, prepared for any number of half-steps of the other."""

    def __init__(self, factors: Factors, bias: F32, rating: F32, ranking: F32) -> None:
        from reelstream.als import kernel  # importing numba takes a moment, and reading factors needs none

        self._solve = kernel.solve
        self._mean, self._settings = factors.mean, factors.settings
        self._bias = bias
        augmented = np.column_stack([rating, np.ones(len(rating), np.float32)])  # [C, Kr + 1]
        self._rating = kernel.basis(augmented, 0.0)
        self._ranking = kernel.basis(ranking, factors.settings.ranking_alpha0)

    def half_step(self, histories: Csr, threads: int | None) -> tuple[F32, F32, F32]:
        """(bias [R], rating factors [R, Kr], ranking factors [R, K])."""
        histories.check_columns(len(self._bias))
        rating = rating_system(histories, self._mean, self._bias, self._settings)
        solved = self._solve(self._rating, histories, *rating, threads=threads)  # [R, Kr + 1]
        order = ranking_system(histories, len(self._bias), self._settings)
        ranking = self._solve(self._ranking, histories, *order, threads=threads)  # [R, K]
        return np.ascontiguousarray(solved[:, -1]), np.ascontiguousarray(solved[:, :-1]), ranking
