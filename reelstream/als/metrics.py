"""How good both models are on ratings they have not seen, and how good the baselines are on the same.

In: Factors, their training ratings, held-out ratings. Out: figures by name. Next: `reelstream.batch.refit` publishes them,
`reelstream.batch.evaluation.evaluate` reports them.

Protocol. Rating metrics are over all test rows; predictions are clipped to the scale; a cold row (its user or its movie
is not in training) is predicted by the mean plus whichever bias is known, and counted in `cold_rows`.
Ranking metrics are means over the users that are in training and have a relevant test movie (`relevant_from` stars or
more) that is in training; other users are left out, and so are cold relevant movies, which no list could hold. A list
is the best k of every training movie that the user has not rated in training.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reelstream.als.arrays import F32, F64, I32, I64, Csr
from reelstream.als.factors import Factors, RatingMatrix
from reelstream.als.fit import movie_sums
from reelstream.als.held_out import HeldOut, renumbered
from reelstream.als.list_metrics import Figures, accuracy, variety
from reelstream.als.list_scores import ListScores, list_scores
from reelstream.als.top_n import popularity, predict, top_n
from reelstream.errors import UsageError

BIAS_DAMPING = 5.0
"""Ratings' worth of "no bias" in the bias-only baseline."""
_ROWS = 1 << 16
"""Test rows whose vectors are gathered at once."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a model answered, and the figures of that."""

    predicted: F32
    """float32[T], stars."""
    lists: I32
    """int32[R, k], positions in train.movie_ids."""
    top_n_seconds: float
    """Of making the lists."""
    figures: dict[str, Any]


def evaluate(
    factors: Factors,
    train: RatingMatrix,
    test_user: I64,
    test_movie: I64,
    test_rating: F32,
    *,
    k: int = 10,
    relevant_from: float | None = None,
) -> dict[str, Any]:
    """rmse, mae, r2, explained_variance, ndcg_at_10, precision_at_10, recall_at_10, map_at_10, mrr_at_10, coverage,
    novelty, diversity, cold_rows, test_rows, ranked_users and baselines, by name.

    factors: fitted on `train`. test_user, test_movie (ids, integers [T]), test_rating (stars, [T]); T at least 1.
    relevant_from: in stars; None is what counts as liked. For another k the keys say that k. A figure that is not defined (no
    user to rank for; r2 of ratings all equal) is None.
    baselines: "popularity" recommends the most popular movies, as the published list does; "bias_only" predicts mean + user
    bias + movie bias.
    Raises UsageError if there is no test row, the lengths differ or `factors` are not those of `train`.
    """
    if not (np.array_equal(factors.user_ids, train.user_ids) and np.array_equal(factors.movie_ids, train.movie_ids)):
        raise UsageError("the factors are not those of the training ratings; fit them on `train`.")
    if relevant_from is None:
        relevant_from = factors.settings.liked_stars
    return with_baselines(factors, HeldOut.of(train, test_user, test_movie, test_rating, relevant_from), k)


def with_baselines(factors: Factors, held_out: HeldOut, k: int = 10) -> dict[str, Any]:
    """What `evaluate` gives; factors: of the users and movies of `held_out.train`."""
    return {
        **measure(factors, held_out, k).figures,
        "test_rows": len(held_out.rating),
        "ranked_users": len(held_out.users),
        "baselines": {
            "popularity": popular_baseline(factors, held_out, k)[0],
            "bias_only": rating_metrics(bias_only(factors, held_out), held_out.rating),
        },
    }


def measure(
    factors: Factors,
    held_out: HeldOut,
    k: int,
    *,
    listable: NDArray[np.bool_] | None = None,
    vectors: F32 | None = None,
    with_auc: bool = False,
) -> Measured:
    """The rating and ranking metrics of one model on the test rows, and its cold_rows; auc if asked for: it scores every
    pair once more.

    factors: of the users and movies of `held_out.train`. listable: bool[M], False for a movie that the model does not
    know: no list has it, and rows with it are cold; None is all True. vectors: float32[M, K], what diversity is
    measured by; None is the model's own.
    """
    predicted = predicted_stars(factors, held_out)
    cold = ~held_out.warm()
    if listable is not None:
        cold |= ~listable[held_out.movie]
    movies = factors.ranking_movie  # [M, K]
    began = time.perf_counter()
    scores = list_scores(factors.ranking_user[held_out.users], held_out.seen, factors)  # R rows
    lists = _lists(scores, movies, held_out.seen, k, listable)
    took = time.perf_counter() - began
    figures = {
        **rating_metrics(predicted, held_out.rating),
        **_ranking_metrics(lists, held_out, movies if vectors is None else vectors),
        "cold_rows": int(cold.sum()),
    }
    if with_auc:
        figures["auc"] = _auc(scores, movies, held_out, listable)
    return Measured(predicted, lists, took, figures)


def predicted_stars(factors: Factors, held_out: HeldOut) -> F32:
    """float32[T]."""
    predicted = np.empty(len(held_out.user), np.float32)
    for rows in (slice(first, first + _ROWS) for first in range(0, len(predicted), _ROWS)):
        user, movie = held_out.user[rows], held_out.movie[rows]
        known = user >= 0
        bias = np.where(known, factors.user_bias[user], np.float32(0))
        predicted[rows] = predict(factors, bias, factors.rating_user[user] * known[:, None], movie)
    return predicted


def popular_baseline(factors: Factors, held_out: HeldOut, k: int, *, with_auc: bool = False) -> tuple[Figures, I32]:
    """Ranking metrics of the list of the most popular movies in training (see `top_n.popularity`), without what a user
    has seen; and the lists."""
    users = np.ones((len(held_out.users), 1), np.float32)
    by_movie = held_out.train.by_movie
    movies = popularity(movie_sums(by_movie), by_movie.counts())[:, None]  # [M, 1]
    lists, _ = top_n(users, movies, held_out.seen, k)
    figures = _ranking_metrics(lists, held_out, factors.ranking_movie)
    if with_auc:
        figures["auc"] = _auc(ListScores(users, users[:, 0], None), movies, held_out)
    return figures, lists


def bias_only(factors: Factors, held_out: HeldOut) -> F32:
    """Predictions float32[T] of mean + user bias + movie bias, the biases damped means fitted in turns."""
    by_user, user, movie = held_out.train.by_user, held_out.user, held_out.movie
    counts = by_user.counts()
    row = np.repeat(np.arange(len(counts)), counts)  # [nnz]
    column = by_user.indices
    centred = by_user.values - factors.mean
    user_bias, movie_bias = np.zeros(len(counts)), np.zeros(len(held_out.train.movie_ids))
    for _ in range(10):
        movie_bias = _damped_mean(centred - user_bias[row], column, len(movie_bias))
        user_bias = _damped_mean(centred - movie_bias[column], row, len(user_bias))
    stars = factors.mean + np.where(user >= 0, user_bias[user], 0) + np.where(movie >= 0, movie_bias[movie], 0)
    return np.clip(stars, factors.settings.rating_min, factors.settings.rating_max).astype(np.float32)


def rating_metrics(predicted: F32, actual: F32) -> Figures:
    """rmse and mae in stars; r2 = 1 - Σ (r - r̂)² / Σ (r - mean r)²; explained_variance = 1 - Var(r - r̂) / Var(r), which
    forgives a model that is off by the same everywhere."""
    error = predicted.astype(np.float64) - actual
    spread = float(np.var(actual.astype(np.float64)))
    mse = float(np.mean(error**2))
    return {
        "rmse": mse**0.5,
        "mae": float(np.mean(np.abs(error))),
        "r2": 1 - mse / spread if spread > 0 else None,
        "explained_variance": 1 - float(np.var(error)) / spread if spread > 0 else None,
    }


def _lists(scores: ListScores, movies: F32, seen: Csr, k: int, listable: NDArray[np.bool_] | None) -> I32:
    """The best k listable movies of each row that it has not seen, int32[R, k]."""
    if listable is None or listable.all():
        return top_n(scores.vectors, movies, seen, k, extra=scores.extra)[0]
    known = np.flatnonzero(listable).astype(np.int32)
    places = np.where(listable, np.cumsum(listable) - 1, -1)
    extra = scores.extra and renumbered(scores.extra, places)
    positions, _ = top_n(scores.vectors, movies[known], renumbered(seen, places), k, extra=extra)
    return np.append(known, np.int32(-1))[positions]  # -1 stays -1


def _ranking_metrics(lists: I32, held_out: HeldOut, vectors: F32) -> Figures:
    train = held_out.train
    return {
        **accuracy(lists, held_out.relevant, len(train.movie_ids)),
        **variety(lists, train.by_movie.counts(), len(train.user_ids), vectors),
    }


def _auc(scores: ListScores, movies: F32, held_out: HeldOut, listable: NDArray[np.bool_] | None = None) -> float | None:
    from reelstream.als.auc import auc  # importing numba takes a moment, and a refit needs no AUC

    found = auc(scores, movies, held_out.relevant, held_out.seen, listable)  # [R]
    return None if np.isnan(found).all() else float(np.nanmean(found))


def _damped_mean(values: F64, group: I64 | I32, n_groups: int) -> F64:
    n = np.bincount(group, minlength=n_groups)
    mean: F64 = np.bincount(group, weights=values, minlength=n_groups) / (n + BIAS_DAMPING)
    return mean
