"""The map from what users rated to the stars that they are expected to give, against ridge regression written out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reelstream.als import prior, reference
from reelstream.als.arrays import F32, F64, Csr, row_starts
from reelstream.als.factors import ModelSettings, RatingMatrix
from reelstream.als.fit import fit, rating_system
from reelstream.als.fold_in import FoldIn
from tests.fixtures.camps import camps


def users(n: int, noise: float, seed: int = 0) -> tuple[F32, F32, F64]:
    """(ranking [n, 8], rating [n, 5], the map between them)."""
    rng = np.random.default_rng(seed)
    ranking, true = rng.normal(0, 1, (n, 8)), rng.normal(0, 1, (8, 5))
    unit = ranking / np.linalg.norm(ranking, axis=1, keepdims=True)
    rating = unit @ true + rng.normal(0, noise, (n, 5))
    return ranking.astype(np.float32), rating.astype(np.float32), true


def test_the_map_is_the_ridge_regression_with_the_best_score() -> None:
    ranking, rating, true = users(400, 0.3)
    z = ranking.astype(np.float64) / np.linalg.norm(ranking, axis=1, keepdims=True)
    scores = {}
    for penalty in prior.PENALTIES:
        hat = z @ np.linalg.solve(z.T @ z + penalty * np.eye(8), z.T)
        error = np.square(rating - hat @ rating).sum()
        scores[penalty] = error / (1 - np.trace(hat) / len(z)) ** 2
    best = min(scores, key=lambda one: scores[one])

    found = prior.learned(ranking, rating)

    np.testing.assert_allclose(found, np.linalg.solve(z.T @ z + best * np.eye(8), z.T @ rating), atol=1e-4)
    np.testing.assert_allclose(found, true, atol=0.3)


@pytest.mark.parametrize("n", [1, 2, 5, 300])
def test_where_nothing_can_be_learned_there_is_no_map(n: int) -> None:
    rng = np.random.default_rng(n)
    ranking, rating = (rng.normal(0, 1, (n, width)).astype(np.float32) for width in (8, 5))

    assert not prior.learned(ranking, rating).any()


def test_nobody_and_no_factors_are_taken() -> None:
    for n, k, kr in ((0, 8, 5), (3, 0, 5), (3, 8, 0)):
        found = prior.learned(np.ones((n, k), np.float32), np.ones((n, kr), np.float32))
        assert found.shape == (k, kr)
        assert prior.expected(np.ones((n, k), np.float32), found).shape == (n, kr)


def test_what_is_expected_of_a_user_is_the_same_alone_and_among_others() -> None:
    ranking, rating, _ = users(700, 0.1)
    ranking[5] = 0
    found = prior.learned(ranking, rating)
    together = prior.expected(ranking, found)
    for i in (0, 5, 255, 256, 699):
        np.testing.assert_array_equal(prior.expected(ranking[i : i + 1], found)[0], together[i])
    assert not together[5].any()


def test_a_user_is_drawn_to_where_those_are_who_rated_such_movies() -> None:
    """By the equations: a fold-in is what minimises the squared errors and λ' ‖p − what is expected‖²."""
    ratings = RatingMatrix.from_triples(*camps())
    factors = fit(ratings, ModelSettings(rating_rank=7, ranking_rank=8))
    assert factors.rating_prior is not None
    assert factors.rating_prior.any()
    history = Csr(row_starts(np.array([3])), np.array([3, 10, 21], np.int32), np.array([5, 0.5, 4], np.float32))
    folded = FoldIn(factors).solve(history)
    drawn_to = prior.expected(folded.ranking, factors.rating_prior)
    weights, targets, reg, bias = rating_system(
        history, factors.mean, factors.movie_bias, factors.settings, for_users=True
    )
    q = factors.rating_movie[history.indices]
    augmented = np.column_stack([factors.rating_movie, np.ones(len(factors.rating_movie), np.float32)])
    left = targets - q @ drawn_to[0]
    solved = reference.half_step(history, augmented, weights, left, reg, bias_regularization=bias)

    np.testing.assert_allclose(folded.rating, solved[:, :-1] + drawn_to, atol=1e-5)
    np.testing.assert_allclose(folded.user_bias, solved[:, -1], atol=1e-5)
    undrawn = FoldIn(replace(factors, rating_prior=None)).solve(history)
    assert np.abs(undrawn.rating - folded.rating).max() > 0.01
