from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reelstream.als.factors import Factors, ModelSettings, RatingMatrix
from reelstream.als.fit import fit
from reelstream.als.held_out import HeldOut, renumbered
from reelstream.als.metrics import evaluate, measure, popular_baseline, rating_metrics
from reelstream.als.splits import split_random
from reelstream.als.top_n import popular, top_n
from reelstream.errors import UsageError
from tests.fixtures.rating_data import csr, movielens


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
    assert (figures["map_at_10"], figures["mrr_at_10"]) == (0.5, 0.5)
    # Each of the four movies is rated by one of the two users: one bit. All factors point the same way.
    assert (figures["novelty"], figures["diversity"]) == (1, pytest.approx(0))
    # Popularity: 30 and 40 have as many stars, so 30 comes first for user 1; user 2's list is 10, 20.
    assert figures["baselines"]["popularity"]["ndcg_at_10"] == pytest.approx(1)
    accuracy = {f"{name}_at_10" for name in ("ndcg", "precision", "recall", "map", "mrr")}
    assert set(figures["baselines"]["popularity"]) == accuracy | {"coverage", "novelty", "diversity"}
    assert set(figures["baselines"]["bias_only"]) == {"rmse", "mae", "r2", "explained_variance"}


def test_figures_that_are_not_defined_are_none() -> None:
    factors, train = by_hand()
    figures = evaluate(factors, train, np.array([1]), np.array([30]), np.array([3], np.float32))
    assert figures["r2"] is None
    assert (figures["ndcg_at_10"], figures["coverage"], figures["ranked_users"]) == (None, None, 0)
    assert rating_metrics(np.float32([1, 2]), np.float32([1, 2]))["r2"] == 1


def test_explained_variance_forgives_what_is_the_same_everywhere() -> None:
    figures = rating_metrics(np.float32([2, 3, 5]), np.float32([1, 2, 4]))
    assert (figures["rmse"], figures["mae"]) == (1, 1)
    assert (figures["explained_variance"], figures["r2"]) == (1, pytest.approx(1 - 3 / (14 / 3)))


def test_auc_of_both_models_by_hand() -> None:
    factors, train = by_hand()
    held_out = HeldOut.of(train, np.array([1, 2]), np.array([30, 10]), np.array([5, 4], np.float32), 4.0)
    # User 1 may see 30 and 40, which is scored above 30; user 2 may see 10 and 20, which is scored above 10.
    assert measure(factors, held_out, 10, with_auc=True).figures["auc"] == 0
    assert popular_baseline(factors, held_out, 10, with_auc=True)[0]["auc"] == 0.75  # 30 as 40, 10 before 20
    # Without 40, user 1's list is 30 alone; 30 comes before what the model does not know.
    listable = np.array([True, True, True, False])
    measured = measure(factors, held_out, 2, listable=listable, with_auc=True)
    assert measured.lists.tolist() == [[2, -1], [1, 0]]
    assert measured.figures["auc"] == 0.5
    assert measured.figures["cold_rows"] == 0


def test_a_test_row_of_a_movie_that_the_model_does_not_know_is_cold() -> None:
    factors, train = by_hand()
    held_out = HeldOut.of(train, np.array([1, 2, 9]), np.array([40, 10, 99]), np.array([3, 3, 3], np.float32), 4.0)
    listable = np.array([True, True, True, False])
    assert measure(factors, held_out, 10).figures["cold_rows"] == 1
    assert measure(factors, held_out, 10, listable=listable).figures["cold_rows"] == 2


def test_renumbered_rows_lose_the_columns_without_a_place() -> None:
    rows = renumbered(csr([[0, 2, 3], [2], [1, 3]]), np.array([4, 0, -1, 2]))
    assert [rows.row(i)[0].tolist() for i in range(3)] == [[4, 2], [], [0, 2]]


def test_bad_arguments_are_named() -> None:
    factors, train = by_hand()
    none = np.zeros(0, np.int64)
    with pytest.raises(UsageError, match="at least one test row"):
        evaluate(factors, train, none, none, none.astype(np.float32))
    other = replace(factors, movie_ids=factors.movie_ids + 1)
    with pytest.raises(UsageError, match="not those of the training"):
        evaluate(other, train, np.array([1]), np.array([30]), np.array([3], np.float32))


def test_the_popular_baseline_has_the_lists_that_are_published_as_popular() -> None:
    user_id, movie_id, rating = movielens()
    ratings = RatingMatrix.from_triples(user_id, movie_id, rating)
    factors = fit(ratings, ModelSettings(rating_rank=1, ranking_rank=1, rating_iterations=1, ranking_iterations=1))
    newcomer = replace(ratings, by_user=csr([[]] * len(ratings.user_ids)))
    held_out = HeldOut.of(newcomer, user_id[:1], movie_id[:1], np.array([5], np.float32), 4.0)
    for k in (10, 1000):
        assert popular_baseline(factors, held_out, k)[1].tolist() == [popular(factors, k)[0].tolist()]


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
