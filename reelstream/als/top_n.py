"""Lists and predictions from factors.

In: Factors or FoldedUsers, and what each user has seen. Out: positions and scores. Next: `reelstream.top_lists` makes
rows.
"""

from __future__ import annotations

import weakref
from importlib.util import find_spec

import numpy as np

from reelstream.als import blocks, reference
from reelstream.als.arrays import F32, F64, I32, I64, Csr, Mask
from reelstream.als.factors import Factors
from reelstream.errors import UsageError

_WORTH = 8_000_000
"""Multiplications below which one thread is faster than several."""


def top_n(
    ranking_user: F32,
    ranking_movie: F32,
    seen: Csr,
    n: int,
    *,
    extra: Csr | None = None,
    left_out: Mask | None = None,
    threads: int | None = None,
) -> tuple[I32, F32]:
    """The n movies with the highest ranking_user · ranking_movie of each row, without those it has seen.

    ranking_user: float32[R, K]. ranking_movie: float32[M, K]. seen: R rows of positions to leave out, in any order; its
    values do not count. left_out: bool[M], positions that no row may have. Returns positions int32[R, n], best first and
    of equal scores the lower one first, and scores float32[R, n]; where a row has fewer than n movies left, -1 and 0.
    A row's list is the same bit by bit alone or among others, for any number of threads (None is one for each CPU).
    Raises UsageError if the shapes do not fit, n is negative or a position lies outside the movies.
    """
    n_rows, n_movies = len(ranking_user), len(ranking_movie)
    if ranking_user.ndim != 2 or ranking_movie.ndim != 2 or ranking_user.shape[1] != ranking_movie.shape[1]:
        raise UsageError(f"factors {ranking_user.shape} and {ranking_movie.shape} must have as many columns each.")
    if seen.n_rows != n_rows or n < 0:
        raise UsageError(
            f"top_n needs n ≥ 0 and a row of seen movies a user; got n {n}, {seen.n_rows} of {n_rows} rows."
        )
    if left_out is not None and left_out.shape != (n_movies,):
        raise UsageError(f"left_out is bool{list(left_out.shape)}; give one for each of the {n_movies} movies.")
    seen.check_columns(n_movies)
    if not find_spec("numba"):
        return reference.top_n(ranking_user, ranking_movie, seen, n, extra, left_out)
    positions = np.full((n_rows, n), -1, np.int32)
    scores = np.zeros((n_rows, n), np.float32)
    if not n:
        return positions, scores
    from reelstream.als import scoring  # importing numba takes a moment, and predictions need none

    by_position, by_norm, norms, places = _movies(ranking_movie)
    users = np.require(ranking_user, np.float32, ["C", "W"])
    away = np.zeros(n_movies, np.bool_) if left_out is None else np.require(left_out, np.bool_, ["C", "W"])
    hidden = np.require(seen.indptr, np.int64, ["C", "W"]), np.require(seen.indices, np.int32, ["C", "W"]), away
    arrays = (users, np.linalg.norm(users, axis=1).astype(np.float32), by_norm, norms, places, *hidden)
    ends = np.arange(1, n_rows + 1) * ranking_movie.size
    blocks.run(lambda start, stop: scoring.best_rows(*arrays, positions, scores, start, stop), ends, threads, _WORTH)
    if extra is not None and len(extra.indices):
        plain = (users, by_position, *hidden)
        more = (extra.indptr, extra.indices, extra.values)
        ends = extra.indptr[1:] * ranking_movie.shape[1]
        blocks.run(lambda *rows: scoring.add_extra(*plain, *more, positions, scores, *rows), ends, threads, _WORTH)
    return positions, scores


_Movies = tuple[F32, F32, F32, I32]
_last: tuple[weakref.ref[F32], _Movies] | None = None


def _movies(ranking_movie: F32) -> _Movies:
    """(the factors by position, by falling norm, these norms, and their positions); kept for the next call with this array,
    which is that of a version: nobody changes it in place."""
    global _last
    last = _last
    if last is not None and last[0]() is ranking_movie:
        return last[1]
    norms = np.linalg.norm(ranking_movie, axis=1)  # [M]
    order = np.argsort(-norms, kind="stable")  # [M]
    by_norm = np.require(ranking_movie[order], np.float32, ["C", "W"])
    by_position = np.require(ranking_movie, np.float32, ["C", "W"])
    found = (by_position, by_norm, norms[order].astype(np.float32), order.astype(np.int32))
    _last = (weakref.ref(ranking_movie), found)
    return found


def similar_movies(
    ranking_movie: F32, n: int, *, of: I64 | None = None, left_out: Mask | None = None, threads: int | None = None
) -> tuple[I32, F32]:
    """The n other movies nearest to each movie by the cosine of their ranking factors.

    ranking_movie: float32[M, K]. of: int64[R], positions of the movies asked about; None is all. left_out: see
    `top_n`, which says what is returned, for R rows. A movie without factors (all 0) has cosine 0 to all.
    """
    itself = (np.arange(len(ranking_movie)) if of is None else of).astype(np.int32)  # [R]
    lengths = np.linalg.norm(ranking_movie, axis=1, keepdims=True)  # [M, 1]
    directions: F32 = (ranking_movie / np.where(lengths > 0, lengths, 1)).astype(np.float32)  # [M, K]
    seen = Csr(np.arange(len(itself) + 1, dtype=np.int64), itself, np.zeros(len(itself), np.float32))
    return top_n(directions[itself], directions, seen, n, left_out=left_out, threads=threads)


def predict(factors: Factors, user_bias: F32, rating_user: F32, positions: I64 | I32) -> F32:
    """Predicted stars of L (user, movie) pairs, float32[L], clipped to the rating scale.

    user_bias: float32[L]; rating_user: float32[L, Kr]; positions: int[L] in `factors.movie_ids`, or -1 for a movie that
    is not known: predicted by the mean and the user's bias. A user that is not known is one with bias and factors 0.
    """
    if not len(factors.movie_ids):
        stars = factors.mean + user_bias
    else:
        known = positions >= 0  # [L]
        taste = np.einsum("lk,lk->l", rating_user, factors.rating_movie[positions])  # [L]
        stars = factors.mean + user_bias + np.where(known, factors.movie_bias[positions] + taste, np.float32(0))
    clipped: F32 = np.clip(stars, factors.settings.rating_min, factors.settings.rating_max).astype(np.float32)
    return clipped


def popular(factors: Factors, n: int, *, left_out: Mask | None = None) -> tuple[I32, F32]:
    """The n most popular movies: positions int32[n], or fewer where there are no more, and scores float32, the sum of
    their ratings. left_out: see `top_n`."""
    order = by_popularity(factors.movie_sums, factors.movie_counts)  # [M]
    position = (order if left_out is None else order[~left_out[order]])[: max(n, 0)]
    return position.astype(np.int32), factors.movie_sums[position].astype(np.float32)


def by_popularity(movie_sums: F64, movie_counts: I64) -> I64:
    """Positions of all movies, int64[M], the most popular first. Lists, live hits, the gate and evaluations all mean this.

    movie_sums: float64[M], the stars of all ratings of a movie; movie_counts: int64[M]. More stars in all are more popular,
    of equal sums fewer ratings, then the lower position. On MovieLens' latest small data set this has an nDCG@10 of 0.160
    (mean of five splits), the number of ratings 0.156 and a mean damped by 100, 0.149: it is the baseline that is hardest
    to beat.
    """
    return np.lexsort((movie_counts, -movie_sums)).astype(np.int64)


def popularity(movie_sums: F64, movie_counts: I64) -> F32:
    """A score for that order, float32[M], whole numbers; the same for movies with equal sums and counts."""
    order = by_popularity(movie_sums, movie_counts)
    less = (np.diff(movie_sums[order]) != 0) | (np.diff(movie_counts[order]) != 0)  # [M - 1]
    scores = np.zeros(len(order), np.float32)
    scores[order[:-1]] = np.cumsum(less[::-1])[::-1]
    return scores
