from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reelstream.als.factors import Factors, ModelSettings, RatingMatrix
from reelstream.als.fit import fit
from reelstream.als.metrics import evaluate, ranking_metrics, rating_metrics
from reelstream.als.splits import split_random
from reelstream.als.top_n import top_n
from reelstream.errors import UsageError
from tests.als.data import csr, movielens


def by_hand() -> tuple[Factors, RatingMatrix]:
    """Two users, four movies (10, 20, 30, 40); the order of movies is 40, 30, 20, 10 for both."""
    train = RatingMatrix.from_triples(
        np.array([1, 1, 2, 2]), np.array([10, 20, 30, 40]), np.array([4, 2, 3, 3], np.float32)
    )
    factors = Factors(
        user_ids=train.user_ids,
        movie_ids=train.movie_ids,
        mean=3.0,
        user_bias=np.array([0.5, -0.5], np.float32),
        movie_bias=np.array([0, 0, 1, 0], np.float32),
        rating_user=np.array([[1], [0]], np.float32),
        rating_movie=np.array([[0], [0], [0.25], [5]], np.float32),
        ranking_user=np.ones((2, 1), np.float32),
        ranking_movie=np.array([[1], [2], [3], [4]], np.float32),
        movie_counts=np.ones(4, np.int64),
        movie_sums=np.array([4.0, 2, 3, 3]),
        settings=ModelSettings(rating_rank=1, ranking_rank=1),
    )
    return factors, train


def test_every_figure_of_a_small_example() -> None:
    factors, train = by_hand()
    # (user, movie, rating): predicted 4.75, 5 (clipped from 8.5), 2.5, 3.5 (movie cold), 4 (user cold), 3 (both cold)
    test = [(1, 30, 5.0), (1, 40, 3.0), (2, 10, 4.0), (1, 99, 4.0), (9, 30, 4.0), (9, 99, 3.0)]
    user, movie, rating = (np.array(column) for column in zip(*test, strict=True))
    figures = evaluate(factors, train, user, movie, rating.astype(np.float32))
    errors = np.array([0.25, -2, 1.5, 0.5, 0, 0])
    assert figures["rmse"] == pytest.approx(np.sqrt((errors**2).mean()))
    assert figures["mae"] == pytest.approx(np.abs(errors).mean())
    assert figures["r2"] == pytest.approx(1 - (errors**2).sum() / ((rating - rating.mean()) ** 2).sum())
    # User 1's list is 40, 30 and 30 is relevant: second place. User 2's list is 20, 10 and 10 is relevant: second too.
    assert figures["ndcg_at_10"] == pytest.approx(1 / np.log2(3))
    assert figures["precision_at_10"] == pytest.approx(0.1)
    assert figures["recall_at_10"] == pytest.approx(1)
    assert figures["coverage"] == 1
    assert (figures["cold_rows"], figures["test_rows"], figures["ranked_users"]) == (3, 6, 2)
    # Popularity: all movies are equally popular, so lower ids come first: 30, 40 for user 1 and 10, 20 for user 2.
    assert figures["baselines"]["popularity"]["ndcg_at_10"] == pytest.approx(1)
    assert set(figures["baselines"]["popularity"]) == {"ndcg_at_10", "precision_at_10", "recall_at_10", "coverage"}
    assert set(figures["baselines"]["bias_only"]) == {"rmse", "mae", "r2"}


def test_ndcg_counts_each_place() -> None:
    positions = np.array([[5, 1, 3], [2, 0, -1]], np.int32)
    figures = ranking_metrics(positions, csr([[1, 3, 6, 8], [2]]), 10)
    first = (1 / np.log2(3) + 1 / np.log2(4)) / (1 + 1 / np.log2(3) + 1 / np.log2(4))
    assert figures["ndcg_at_3"] == pytest.approx((first + 1) / 2)
    assert figures["precision_at_3"] == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert figures["recall_at_3"] == pytest.approx((2 / 4 + 1) / 2)
    assert figures["coverage"] == pytest.approx(5 / 10)


def test_figures_that_are_not_defined_are_none() -> None:
    factors, train = by_hand()
    figures = evaluate(factors, train, np.array([1]), np.array([30]), np.array([3], np.float32))
    assert figures["r2"] is None
    assert (figures["ndcg_at_10"], figures["coverage"], figures["ranked_users"]) == (None, None, 0)
    assert rating_metrics(np.float32([1, 2]), np.float32([1, 2]))["r2"] == 1


def test_bad_arguments_are_named() -> None:
    factors, train = by_hand()
    none = np.zeros(0, np.int64)
    with pytest.raises(UsageError, match="at least one test row"):
        evaluate(factors, train, none, none, none.astype(np.float32))
    other = replace(factors, movie_ids=factors.movie_ids + 1)
    with pytest.raises(UsageError, match="not those of the training"):
        evaluate(other, train, np.array([1]), np.array([30]), np.array([3], np.float32))


def test_real_ratings_both_models_beat_their_baselines() -> None:
    user_id, movie_id, rating = movielens()
    train, test = split_random(len(rating), 0.2, 42)
    ratings = RatingMatrix.from_triples(user_id[train], movie_id[train], rating[train])
    factors = fit(ratings, ModelSettings())
    figures = evaluate(factors, ratings, user_id[test], movie_id[test], rating[test])
    popularity, bias_only = figures["baselines"]["popularity"], figures["baselines"]["bias_only"]
    assert figures["rmse"] < bias_only["rmse"] - 0.015
    assert figures["mae"] < bias_only["mae"]
    assert figures["r2"] > bias_only["r2"]
    assert figures["rmse"] < 0.88
    assert figures["ndcg_at_10"] > 1.6 * popularity["ndcg_at_10"]
    assert figures["recall_at_10"] > 1.6 * popularity["recall_at_10"]
    assert figures["coverage"] > 4 * popularity["coverage"]
    positions, _ = top_n(factors.ranking_user, factors.ranking_movie, ratings.by_user, 20)
    for i in range(0, len(ratings.user_ids), 50):
        assert not set(positions[i]) & set(ratings.by_user.row(i)[0])
