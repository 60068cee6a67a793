"""The search for settings: what it compares on, when it takes something, and that it is the same each time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reelstream.als.arrays import ages_of
from reelstream.als.factors import Factors, ModelSettings, RatingMatrix
from reelstream.als.fit import fit, fit_one
from reelstream.batch.tuning import search as module
from reelstream.batch.tuning.folds import NEWEST_FIFTH, Fold, Rule, folds
from reelstream.batch.tuning.neighbour import try_neighbours
from reelstream.batch.tuning.search import STEPS, Found, beyond_chance, neighbours, search
from tests.batch.small import SMALL
from tests.fixtures.rating_data import tastes

POOR = replace(SMALL, ranking_power=0.0, ranking_user_power=0.0, rating_regularization=30.0)
"""Lists that do not know what was liked, and stars that nothing is learned of."""


def in_order(*, with_ages: bool = True) -> RatingMatrix:
    """Ratings by three tastes, each user's in the order of the rows."""
    user, movie, stars = tastes(n_users=150, n_movies=60)
    ages = ages_of(np.unique(user, return_inverse=True)[1].astype(np.int64), np.arange(len(user)))
    return RatingMatrix.from_triples(user, movie, stars, ages if with_ages else None)


def pairs(matrix: RatingMatrix) -> dict[tuple[int, int], int]:
    """(user id, movie id) → age, or 0 where the order is not known."""
    rows = matrix.by_user
    user = np.repeat(matrix.user_ids, rows.counts()).tolist()
    ages = rows.ages if rows.ages is not None else np.zeros(len(user))
    return dict(zip(zip(user, matrix.movie_ids[rows.indices].tolist(), strict=True), ages.tolist(), strict=True))


def held_out(fold: Fold) -> set[tuple[int, int]]:
    user, movie = fold.train.user_ids[fold.held_out.user], fold.train.movie_ids[fold.held_out.movie]
    return {*zip(user.tolist(), movie.tolist(), strict=True)}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_DRAWS", 6)
    monkeypatch.setattr(module, "ROUNDS", 1)
    monkeypatch.setattr(module, "FEW_FOLDS", 2)
    monkeypatch.setitem(module.RANGES, "rating", ("rating_rank=3", "rating_regularization=0.02..0.2"))
    ranking = ("ranking_rank=4", "ranking_regularization=0.001..0.05", "ranking_power=0..6")
    monkeypatch.setitem(module.RANGES, "ranking", ranking)


def test_no_fold_is_fitted_on_what_is_newer_than_what_it_holds_out() -> None:
    matrix = in_order()
    all_ages, before = pairs(matrix), None
    for fold in folds(matrix, SMALL, NEWEST_FIFTH, ratings=10**6, n=3):
        train, test = {*pairs(fold.train)}, held_out(fold)
        assert not train & test
        for user in matrix.user_ids.tolist():
            newest_trained = min(all_ages[pair] for pair in train if pair[0] == user)
            assert all(all_ages[pair] < newest_trained for pair in test if pair[0] == user)
        assert before is None or train | test == before
        before = train
    assert before is not None


@pytest.mark.parametrize(("rule", "each"), [(Rule(newest=1), 1), (Rule(newest=2), 2)])
def test_a_rule_may_hold_out_a_number_of_ratings_of_each_user(rule: Rule, each: int) -> None:
    matrix = in_order()
    [fold] = folds(matrix, SMALL, rule, ratings=10**6, n=1)
    assert len(held_out(fold)) == each * len(matrix.user_ids)


def test_without_an_order_each_fold_holds_out_another_random_fifth() -> None:
    matrix = in_order(with_ages=False)
    one, other = folds(matrix, SMALL, NEWEST_FIFTH, ratings=10**6, n=2)
    n = len(matrix.by_user.values)
    assert len(held_out(one)) == len(held_out(other)) == round(n / 5)
    assert held_out(one) != held_out(other)
    assert {*pairs(one.train)} | held_out(one) == {*pairs(matrix)}
    assert one.next_scores is None


def test_of_many_ratings_whole_users_are_drawn_and_keep_their_order() -> None:
    matrix = in_order()
    [fold] = folds(matrix, SMALL, NEWEST_FIFTH, ratings=500, n=1)
    both = {*pairs(fold.train)} | held_out(fold)
    users = {user for user, _ in both}
    assert 0 < len(both) <= 500
    assert both == {pair for pair in pairs(matrix) if pair[0] in users}
    ages = pairs(matrix)
    for pair, age in pairs(fold.train).items():
        newer = [other for other in pairs(fold.train) if other[0] == pair[0] and ages[other] < ages[pair]]
        assert age == len(newer)


def test_one_user_has_nothing_to_hold_out_and_keeps_the_settings() -> None:
    one = RatingMatrix.from_triples(np.array([1]), np.array([2]), np.array([3.0]), np.array([0], np.int32))
    assert search(one, SMALL) == Found(SMALL, [])


def test_losses_are_those_of_the_metrics() -> None:
    matrix = in_order()
    [fold] = folds(matrix, SMALL, NEWEST_FIFTH, ratings=10**6, n=1)
    factors = fit(fold.train, SMALL)
    from reelstream.als.metrics import measure

    figures = measure(factors, fold.held_out, 10).figures
    assert fold.rating_losses(factors).sum() == pytest.approx(figures["rmse"] ** 2 * len(fold.held_out.rating))
    assert 1 - fold.ranking_losses(factors).mean() == pytest.approx(figures["ndcg_at_10"])
    some = fold.of_users(7)
    assert len(some.ranking_losses(factors)) == len(some.held_out.users) == 7


def test_one_model_fitted_alone_is_as_in_a_fit_of_both() -> None:
    matrix = in_order()
    [fold] = folds(matrix, SMALL, NEWEST_FIFTH, ratings=10**6, n=1)
    both = fit(fold.train, SMALL)
    ranking = fit_one("ranking", fold.unfitted, fold.train, SMALL, None)
    rating = fit_one("rating", ranking, fold.train, SMALL, None)
    for name in ("user_bias", "movie_bias", "rating_user", "rating_movie", "ranking_user", "ranking_movie"):
        np.testing.assert_array_equal(getattr(rating, name), getattr(both, name))


def test_better_settings_are_found_and_they_are_the_same_each_time(quick: None) -> None:
    matrix = in_order()
    found = search(matrix, POOR)

    assert search(matrix, POOR) == found
    rating, ranking, fold_in = found.tried
    assert (rating["of"], ranking["of"], fold_in["of"]) == ("rating model", "ranking model", "fold-in")
    assert rating["after"] < 0.9 * rating["before"]
    assert ranking["after"] > 1.5 * ranking["before"]
    changed = {name: value for row in found.tried for name, value in row["adopted"].items()}
    assert POOR.changed_in(found.settings) == changed
    assert {"rating_regularization", "ranking_power"} <= {*changed}
    assert {name for name in changed if name.startswith("rating_")} == {*rating["adopted"]}


def test_of_ratings_that_say_nothing_nothing_is_learned(quick: None) -> None:
    user, movie, _ = tastes()
    stars = np.random.default_rng(1).integers(1, 6, len(user)).astype(np.float32)
    ages = ages_of(np.unique(user, return_inverse=True)[1].astype(np.int64), np.arange(len(user)))
    found = search(RatingMatrix.from_triples(user, movie, stars, ages), replace(SMALL, rating_rank=0))
    assert not any(name.startswith("ranking_") for name in SMALL.changed_in(found.settings))


def test_where_nobody_likes_anything_only_stars_are_searched(quick: None) -> None:
    user, movie, stars = tastes()
    ages = ages_of(np.unique(user, return_inverse=True)[1].astype(np.int64), np.arange(len(user)))
    disliked = RatingMatrix.from_triples(user, movie, np.minimum(stars, 3), ages)
    assert [row["of"] for row in search(disliked, SMALL).tried] == ["rating model"]


def test_without_an_order_what_weighs_by_it_is_left_alone(quick: None) -> None:
    changed = POOR.changed_in(search(in_order(with_ages=False), POOR).settings)
    assert changed
    assert not any("recency" in name or "transition" in name for name in changed)


def test_an_engine_of_its_own_has_only_what_needs_no_fit_searched(quick: None) -> None:
    found = search(in_order(), SMALL, fits=False)
    assert [row["of"] for row in found.tried] == ["fold-in"]
    assert {*SMALL.changed_in(found.settings)} <= {*STEPS["fold-in"]}


def test_a_search_without_time_left_keeps_what_it_has(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS_AT_MOST", 0.0)
    found = search(in_order(), POOR)
    assert found.settings == POOR
    assert all(row["trials"] == 0 for row in found.tried)


def test_what_chance_could_do_is_no_gain() -> None:
    before = np.ones(100)
    assert beyond_chance(before, before - 0.1)
    assert not beyond_chance(before, before)
    assert not beyond_chance(before, before + 0.1)
    spread = np.where(np.arange(100) % 2, 1.0, -1.0)
    assert not beyond_chance(before, before - 0.1 + spread)
    assert beyond_chance(before, before - 0.5 + spread)
    assert not beyond_chance(before[:1], before[:1] - 1)


def test_a_neighbour_differs_in_one_setting_by_one_step() -> None:
    base = ModelSettings(ranking_power=0.2)
    every = {**STEPS["rating"], **STEPS["ranking"], **STEPS["fold-in"]}
    found = [base.changed_in(one) for one in neighbours(base, every)]
    assert all(len(changed) == 1 for changed in found)
    assert {name for changed in found for name in changed} == {*every}
    assert {"ranking_power": 0.0} in found
    still = ModelSettings(ranking_power=0.0)
    assert [still.changed_in(one) for one in neighbours(still, {"ranking_power": ("+", 0.5)})] == [
        {"ranking_power": 0.5}
    ]


def measured(settings: ModelSettings) -> tuple[Fold, Factors]:
    [fold] = folds(in_order(), settings, NEWEST_FIFTH, ratings=10**6, n=1)
    factors = fit(fold.train, settings)
    return Fold.of(fold.held_out, factors), factors


def test_a_neighbour_that_wins_is_taken_and_the_fit_goes_on_from_it() -> None:
    fold, factors = measured(replace(SMALL, rating_bias_regularization=0.02))
    each = [try_neighbours(fold, factors, turn, fits=True) for turn in range(22)]
    [(found, further)] = [one for one in each if "rating_bias_regularization" in one[0].tried[0]["adopted"]]
    row = found.tried[0]
    assert row["adopted"] == row["tried"] == {"rating_bias_regularization": 0.03}
    assert row["after"] < row["before"]
    assert found.settings.rating_bias_regularization == 0.03
    assert further.settings == found.settings
    assert not np.array_equal(further.movie_bias, factors.movie_bias)
    np.testing.assert_array_equal(further.ranking_movie, factors.ranking_movie)


def test_each_turn_tries_one_fit_and_the_neighbours_of_one_setting_of_fold_in() -> None:
    fold, factors = measured(SMALL)
    tried = [try_neighbours(fold, factors, turn, fits=True)[0].tried for turn in range(22)]
    fits = [rows[0]["tried"] for rows in tried]
    assert {name for changed in fits for name in changed} == {*STEPS["rating"], *STEPS["ranking"]}
    assert all(row["of"] == "fold-in" for rows in tried for row in rows[1:])
    assert {name for rows in tried for row in rows[1:] for name in row["tried"]} == {*STEPS["fold-in"]}
    alone = try_neighbours(fold, factors, 0, fits=False)[0].tried
    assert all(row["of"] == "fold-in" for row in alone)
