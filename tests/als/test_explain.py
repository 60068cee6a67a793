"""Parts that add up, and ratings expected from all the others, against solving again without them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reelstream.als import reference
from reelstream.als.arrays import Csr, ages_of
from reelstream.als.explain import expected_without, gram, score_parts
from reelstream.als.factors import Factors, ModelSettings, RatingMatrix
from reelstream.als.fit import fit, rating_system
from reelstream.als.fold_in import FoldIn
from reelstream.als.list_scores import list_scores
from reelstream.als.top_n import top_n
from reelstream.als.transition_rule import WINDOW
from reelstream.errors import UsageError
from tests.fixtures.camps import camps


@pytest.fixture(scope="module")
def factors() -> Factors:
    settings = ModelSettings(rating_rank=7, ranking_rank=8)
    return fit(RatingMatrix.from_triples(*camps()), settings)


def history(*rated: tuple[int, float]) -> Csr:
    positions, stars = zip(*rated, strict=True)
    return Csr(np.array([0, len(rated)], np.int64), np.array(positions, np.int32), np.array(stars, np.float32))


def test_the_parts_add_up_to_the_score_of_the_fold_in(factors: Factors) -> None:
    rated = history((3, 5.0), (10, 0.5), (21, 4.0), (44, 3.0))
    x = FoldIn(factors).solve(rated).ranking[0]
    for position in (0, 17, 79):
        parts = score_parts(factors, rated, position, gram(factors))

        assert parts.taste.shape == (4,)
        assert parts.taste.sum() == pytest.approx(float(x @ factors.ranking_movie[position]), abs=2e-5)
        assert not parts.next.any()


def test_the_parts_of_both_models_add_up_to_the_score_that_the_list_has() -> None:
    user_id, movie_id, stars = camps()
    ages = ages_of(user_id, np.random.default_rng(0).permutation(len(user_id)))
    ratings = RatingMatrix.from_triples(user_id, movie_id, stars, ages)
    factors = fit(ratings, ModelSettings(rating_rank=7, ranking_rank=8))
    fold_in, with_next = FoldIn(factors), 0
    for user in range(20):
        rated = ratings.by_user.select(np.array([user]))
        scores = list_scores(fold_in.solve(rated).ranking, rated, factors)
        positions, listed = top_n(scores.vectors, factors.ranking_movie, rated, 10, extra=scores.extra)
        for position, score in zip(positions[0].tolist(), listed[0].tolist(), strict=True):
            parts = score_parts(factors, rated, position, gram(factors))

            assert (parts.taste + parts.next).sum() == pytest.approx(score, rel=1e-4)
            assert rated.ages is not None
            assert (parts.next[rated.ages >= WINDOW] == 0).all()
            assert (parts.next >= 0).all()
            with_next += parts.next.any()
    assert with_next > 100


def test_without_ratings_there_are_no_parts(factors: Factors) -> None:
    nothing = Csr(np.zeros(2, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))

    assert len(score_parts(factors, nothing, 0, gram(factors)).taste) == 0
    assert len(expected_without(factors, nothing)) == 0


def test_what_is_expected_is_what_the_other_ratings_alone_give(factors: Factors) -> None:
    rated = history((3, 5.0), (10, 0.5), (21, 4.0), (44, 3.0), (60, 4.5))
    rated = replace(rated, ages=np.array([4, 0, 3, 1, 2], np.int32))
    fold_in = FoldIn(factors)
    drawn_to = fold_in.drawn_to(fold_in.ranking(rated, factors.settings))
    assert drawn_to is not None
    assert drawn_to.any()
    expected = expected_without(factors, rated, drawn_to)
    solving = (factors.mean, factors.movie_bias, factors.settings)
    _, _, regularization, bias = rating_system(rated, *solving, for_users=True)
    assert rated.ages is not None
    augmented = np.column_stack([factors.rating_movie, np.ones(len(factors.rating_movie), np.float32)])
    for i in range(5):
        others = np.arange(5) != i
        rest = Csr(np.array([0, 4], np.int64), rated.indices[others], rated.values[others], rated.ages[others])
        weights, targets, _, _ = rating_system(rest, *solving, for_users=True)
        targets = targets - factors.rating_movie[rest.indices] @ drawn_to[0]
        x = reference.half_step(rest, augmented, weights, targets, regularization, bias_regularization=bias)[0]
        x[:-1] += drawn_to[0]
        at = rated.indices[i]
        alone = factors.mean + factors.movie_bias[at] + augmented[at] @ x

        assert expected[i] == pytest.approx(np.clip(alone, 0.5, 5.0), abs=1e-4)


def test_several_histories_are_refused(factors: Factors) -> None:
    two = Csr(np.array([0, 1, 2], np.int64), np.array([0, 1], np.int32), np.ones(2, np.float32))
    with pytest.raises(UsageError, match="give one row"):
        score_parts(factors, two, 0, gram(factors))
    with pytest.raises(UsageError, match="give one row"):
        expected_without(factors, two)
