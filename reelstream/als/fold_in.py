"""Fold-in: the factors of users from their full histories with the movies of a version as they are, and of new movies
with its users as they are.

In: Factors and histories. Out: FoldedUsers or FoldedMovies, the same as a half-step of a refit would give; `with_users`
and `with_movies` make Factors of them. Next: `top_n` and `predict`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.util import find_spec

import numpy as np

from reelstream.als import prior
from reelstream.als.arrays import F32, F64, I64, Csr
from reelstream.als.explain import gram
from reelstream.als.factor_rows import MOVIES, USERS, rows_at, with_rows
from reelstream.als.factors import Factors, ModelSettings
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

    @cached_property
    def movies_gram(self) -> F64:
        """See `explain.gram`; made when it is first asked for."""
        return gram(self.factors)

    def solve(self, histories: Csr, *, threads: int | None = None) -> FoldedUsers:
        """Both models' factors of R users.

        histories: R rows over the positions in `factors.movie_ids`, with the latest rating of each movie in stars; the
        order within a row does not matter. A user's factors are the same bit by bit whether folded in alone or among
        others.
        Raises UsageError if a position lies outside the movies, or for a rating that is not finite.
        """
        settings = self.factors.settings
        ranking = self.ranking(histories, settings, threads=threads)
        rating = self._movies.rating(histories, settings, threads, self.drawn_to(ranking), for_users=True)
        return FoldedUsers(*rating, ranking)

    def drawn_to(self, ranking: F32) -> F32 | None:
        """Where the rating vectors float32[R, Kr] of users with these ranking vectors are drawn to; None is 0."""
        known = self.factors.rating_prior
        return None if known is None else prior.expected(ranking, known)

    def ranking(self, histories: Csr, settings: ModelSettings, *, threads: int | None = None) -> F32:
        """The ranking model's vectors alone, float32[R, K], as they were with other settings of the users' last half-step and
        the movies as they are; α₀ is that of the movies, whatever `settings` say. Else as `solve`."""
        return self._movies.ranking(histories, settings, threads, for_users=True)


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
        rating = self._users.rating(histories, self.factors.settings, threads)
        return FoldedMovies(*rating, self._users.ranking(histories, self.factors.settings, threads))


def with_users(
    factors: Factors, user_ids: I64, histories: Csr, *, fold_in: FoldIn | None = None, threads: int | None = None
) -> Factors:
    """The factors with users folded in, added or in the place of what they were; all else stays as it is.

    user_ids: int64[R] in any order, each once. histories: row i holds the ratings of user_ids[i], over the positions in
    `factors.movie_ids`; at least one each. fold_in: one of these movies, where there is one already.
    Raises UsageError where that does not hold.
    """
    _check(user_ids, histories, "user", "user {} rated no movie of the model; leave the user out until then.")
    folded = (fold_in or FoldIn(factors)).solve(histories, threads=threads)
    others = np.flatnonzero(~np.isin(factors.user_ids, user_ids))
    new = (user_ids, folded.user_bias, folded.rating, folded.ranking)
    return with_rows(rows_at(factors, USERS, others), USERS, dict(zip(USERS, new, strict=True)))


def with_movies(factors: Factors, movie_ids: I64, histories: Csr, *, threads: int | None = None) -> Factors:
    """The factors with new movies folded in; users, mean and all other movies stay as they are.

    movie_ids: int64[R] in any order, each once and none of them in `factors`. histories: row i holds the ratings of
    movie_ids[i], over the positions in `factors.user_ids`; at least one each.
    Raises UsageError where that does not hold.
    """
    _check(movie_ids, histories, "movie", "no user of the model rated movie {}; leave it out until one has.")
    if (factors.movie_index(movie_ids) >= 0).any():
        raise UsageError("a movie is in the model already; fold in only movies that are not.")
    folded = MovieFoldIn(factors).solve(histories, threads=threads)
    counts, sums = histories.counts(), movie_sums(histories)  # [R], [R]
    new = (movie_ids, folded.movie_bias, folded.rating, folded.ranking, counts, sums)
    return with_rows(factors, MOVIES, dict(zip(MOVIES, new, strict=True)))


def _check(ids: I64, histories: Csr, kind: str, unrated: str) -> None:
    if len(ids) != histories.n_rows or len(np.unique(ids)) != len(ids):
        raise UsageError(
            f"{len(ids)} {kind}s came with {histories.n_rows} histories; give each {kind} once, with a row of its own."
        )
    counts = histories.counts()  # [R]
    if not counts.all():
        raise UsageError(unrated.format(ids[np.flatnonzero(counts == 0)[0]]))


class _Side:
    """The side that stays as it is, prepared for any number of half-steps of the other."""

    def __init__(self, factors: Factors, bias: F32, rating: F32, ranking: F32) -> None:
        self._mean = factors.mean
        self._bias = bias
        self._rating = rating
        augmented = np.column_stack([rating, np.ones(len(rating), np.float32)])  # [C, Kr + 1]
        self._solve_rating = _solver(augmented, 0.0)
        self._solve_ranking = _solver(ranking, factors.settings.ranking_alpha0)

    def rating(
        self,
        histories: Csr,
        settings: ModelSettings,
        threads: int | None,
        drawn_to: F32 | None = None,
        *,
        for_users: bool = False,
    ) -> tuple[F32, F32]:
        """(bias [R], rating factors [R, Kr]). drawn_to: [R, Kr]; None is 0."""
        histories.check_columns(len(self._bias))
        weights, targets, *rest = rating_system(histories, self._mean, self._bias, settings, for_users=for_users)
        if drawn_to is not None:
            targets = prior.left_over(targets, histories, self._rating, drawn_to)
        solved = self._solve_rating(histories, weights, targets, *rest, threads=threads)  # [R, Kr + 1]
        factors = solved[:, :-1] if drawn_to is None else solved[:, :-1] + drawn_to
        return np.ascontiguousarray(solved[:, -1]), np.ascontiguousarray(factors)

    def ranking(self, histories: Csr, settings: ModelSettings, threads: int | None, *, for_users: bool = False) -> F32:
        """Ranking factors [R, K]."""
        histories.check_columns(len(self._bias))
        system = ranking_system(histories, len(self._bias), settings, for_users=for_users)
        return self._solve_ranking(histories, *system, threads=threads)


def _solver(other: F32, alpha0: float) -> Callable[..., F32]:
    """The half-step against these factors, prepared once: by the kernel, or by its reference where numba is missing."""
    if not find_spec("numba"):
        from reelstream.als.reference import half_step

        def solve(
            rows: Csr, weights: F32, targets: F32, regularization: F32, bias: F32 | None = None, **_: object
        ) -> F32:
            return half_step(rows, other, weights, targets, regularization, alpha0=alpha0, bias_regularization=bias)

        return solve
    from reelstream.als import kernel  # importing numba takes a moment, and reading factors needs none

    return partial(kernel.solve, kernel.basis(other, alpha0))
