"""How good both models are on ratings they have not seen, and how good the simplest models are on the same.

In: Factors, their training ratings, held-out ratings. Out: figures by name. Next: `batch.refit` publishes them.

Protocol. Rating metrics are over all test rows; predictions are clipped to the scale; a cold row (its user or its movie
is not in training) is predicted by the mean plus whichever bias is known, and counted in `cold_rows`.
Ranking metrics are means over the users that are in training and have a relevant test movie (`relevant_from` stars or
more) that is in training; other users are left out, and so are cold relevant movies, which no list could hold. A list
is the best k of every training movie that the user has not rated in training.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from reelstream.als.factors import F32, F64, I32, I64, Csr, Factors, RatingMatrix
from reelstream.als.top_n import predict, top_n
from reelstream.errors import UsageError

BIAS_DAMPING = 5.0
"""Ratings' worth of "no bias" in the bias-only baseline."""


def evaluate(
    factors: Factors,
    train: RatingMatrix,
    test_user: I64,
    test_movie: I64,
    test_rating: F32,
    *,
    k: int = 10,
    relevant_from: float = 4.0,
) -> dict[str, Any]:
    """rmse, mae, r2, ndcg_at_10, precision_at_10, recall_at_10, coverage, cold_rows, test_rows, ranked_users and
    baselines, by name.

    factors: fitted on `train`. test_user, test_movie (ids, integers [T]), test_rating (stars, [T]); T at least 1.
    For another k the keys say that k. coverage: the share of training movies that are on some list. A figure that is
    not defined (no user to rank for; r2 of ratings all equal) is None.
    baselines: "popularity" recommends the most rated movies; "bias_only" predicts mean + user bias + movie bias.
    Raises UsageError if there is no test row, the lengths differ or `factors` are not those of `train`.
    """
    if not len(test_user) or len({len(test_user), len(test_movie), len(test_rating)}) != 1:
        raise UsageError("evaluate needs at least one test row, and as many users, movies and ratings.")
    if not (np.array_equal(factors.user_ids, train.user_ids) and np.array_equal(factors.movie_ids, train.movie_ids)):
        raise UsageError("the factors are not those of the training ratings; fit them on `train`.")
    user, movie = factors.user_index(test_user), factors.movie_index(test_movie)  # [T], [T], -1 where cold
    known_user = user >= 0
    warm = known_user & (movie >= 0)
    bias = np.where(known_user, factors.user_bias[user], np.float32(0))  # [T]
    vectors = factors.rating_user[user] * known_user[:, None]  # [T, Kr]
    predicted = predict(factors, bias, vectors, movie)  # [T]
    liked = warm & (test_rating >= relevant_from)
    users, relevant = _relevant(user[liked], movie[liked])  # [R], R rows
    seen = train.by_user.select(users)
    positions, _ = top_n(factors.ranking_user[users], factors.ranking_movie, seen, k)  # [R, k]
    one = np.ones((len(users), 1), np.float32)
    popular, _ = top_n(one, factors.movie_counts.astype(np.float32)[:, None], seen, k)  # [R, k]
    n_movies = len(factors.movie_ids)
    return {
        **rating_metrics(predicted, test_rating),
        **ranking_metrics(positions, relevant, n_movies),
        "cold_rows": int((~warm).sum()),
        "test_rows": len(test_user),
        "ranked_users": len(users),
        "baselines": {
            "popularity": ranking_metrics(popular, relevant, n_movies),
            "bias_only": rating_metrics(_bias_only(factors, train, user, movie), test_rating),
        },
    }


def rating_metrics(predicted: F32, actual: F32) -> dict[str, float | None]:
    """rmse and mae in stars; r2 = 1 - Σ (r - r̂)² / Σ (r - mean r)²."""
    error = predicted.astype(np.float64) - actual
    spread = float(np.var(actual.astype(np.float64)))
    mse = float(np.mean(error**2))
    return {"rmse": mse**0.5, "mae": float(np.mean(np.abs(error))), "r2": 1 - mse / spread if spread > 0 else None}


def ranking_metrics(positions: I32, relevant: Csr, n_movies: int) -> dict[str, float | None]:
    """nDCG, precision and recall of lists int32[R, k] against R rows of relevant movies, and the lists' coverage.

    Gain 1 for each relevant movie, discounted by log2(rank + 1); the ideal has min(k, number relevant) of them in front
    (Järvelin, Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002).
    """
    n_rows, k = positions.shape
    names = (f"ndcg_at_{k}", f"precision_at_{k}", f"recall_at_{k}")
    if not n_rows:
        return {**dict.fromkeys(names), "coverage": None}
    n_relevant = relevant.counts()  # [R]
    row = np.repeat(np.arange(n_rows), n_relevant)
    pairs = row * n_movies + relevant.indices  # [relevant], one number a (row, movie)
    listed = np.arange(n_rows)[:, None] * n_movies + positions  # [R, k]
    hits = np.isin(listed, pairs) & (positions >= 0)  # [R, k]
    discount = 1 / np.log2(np.arange(2, k + 2))  # [k]
    ideal = np.cumsum(discount)[np.minimum(n_relevant, k) - 1]  # [R]
    values = (hits @ discount / ideal, hits.sum(axis=1) / k, hits.sum(axis=1) / n_relevant)  # each [R]
    coverage = len(np.unique(positions[positions >= 0])) / n_movies
    return {**{name: float(value.mean()) for name, value in zip(names, values, strict=True)}, "coverage": coverage}


def _relevant(user: I64, movie: I64) -> tuple[I64, Csr]:
    """The users with relevant movies, int64[R] ascending, and those movies as R rows."""
    users, row = np.unique(user, return_inverse=True)  # [R], [L]
    order = np.lexsort((movie, row))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(users)))]).astype(np.int64)
    return users, Csr(indptr, movie[order].astype(np.int32), np.ones(len(order), np.float32))


def _bias_only(factors: Factors, train: RatingMatrix, user: I64, movie: I64) -> F32:
    """Predictions float32[T] of mean + user bias + movie bias, the biases damped means fitted in turns."""
    counts = train.by_user.counts()
    row = np.repeat(np.arange(len(counts)), counts)  # [nnz]
    column = train.by_user.indices
    centred = train.by_user.values - factors.mean
    user_bias, movie_bias = np.zeros(len(counts)), np.zeros(len(train.movie_ids))
    for _ in range(10):
        movie_bias = _damped_mean(centred - user_bias[row], column, len(movie_bias))
        user_bias = _damped_mean(centred - movie_bias[column], row, len(user_bias))
    stars = factors.mean + np.where(user >= 0, user_bias[user], 0) + np.where(movie >= 0, movie_bias[movie], 0)
    return np.clip(stars, factors.settings.rating_min, factors.settings.rating_max).astype(np.float32)


def _damped_mean(values: F64, group: I64 | I32, n_groups: int) -> F64:
    n = np.bincount(group, minlength=n_groups)
    mean: F64 = np.bincount(group, weights=values, minlength=n_groups) / (n + BIAS_DAMPING)
    return mean
