from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from reelstream.als import kernel, reference
from reelstream.als.alternate import HalfStep
from reelstream.als.arrays import F32, Csr, ages_of, index_of
from reelstream.als.factors import Factors, ModelSettings, RatingMatrix
from reelstream.als.fit import fit, ranking_system
from reelstream.als.fold_in import FoldIn
from reelstream.als.splits import split_random
from reelstream.als.top_n import predict
from reelstream.errors import UsageError
from tests.fixtures.rating_data import csr, exact, matrix, movielens, tastes

SMALL = ModelSettings(
    rating_rank=5,
    rating_prior_count=2,
    rating_iterations=6,
    ranking_rank=6,
    ranking_iterations=5,
    ranking_regularization=0.002,
    tolerance=0,
)
ARRAYS = ("user_bias", "movie_bias", "rating_user", "rating_movie", "ranking_user", "ranking_movie")


def assert_same(a: Factors, b: Factors, atol: float = 0) -> None:
    for name in ARRAYS:
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=0, atol=atol, err_msg=name)


def objectives(ratings: RatingMatrix, factors: Factors) -> tuple[float, float]:
    """(rating model, ranking model): the sums that `fit` says it minimises, written out pair by pair."""
    s = factors.settings
    n_users, n_movies = len(ratings.user_ids), len(ratings.movie_ids)
    user = np.repeat(np.arange(n_users), ratings.by_user.counts())
    movie, r = ratings.by_user.indices, ratings.by_user.values
    n_u, n_i = ratings.by_user.counts(), ratings.by_movie.counts()
    b_u, b_i = factors.user_bias.astype(np.float64), factors.movie_bias.astype(np.float64)
    p, q = factors.rating_user.astype(np.float64), factors.rating_movie.astype(np.float64)
    error = r - factors.mean - b_u[user] - b_i[movie] - (p[user] * q[movie]).sum(axis=1)
    rating = (
        (error**2).sum()
        + s.rating_regularization * ((n_u + s.rating_prior_count) * (p**2).sum(axis=1)).sum()
        + s.rating_regularization * ((n_i + s.rating_prior_count) * (q**2).sum(axis=1)).sum()
        + s.rating_bias_regularization * ((b_u**2).sum() + (b_i**2).sum())
    )
    p, q = factors.ranking_user.astype(np.float64), factors.ranking_movie.astype(np.float64)
    weights = (r / s.rating_max) ** s.ranking_power
    scores = p @ q.T  # [U, M]
    strength_u = (n_u + s.ranking_alpha0 * n_movies) ** s.ranking_nu
    strength_i = (n_i + s.ranking_alpha0 * n_users) ** s.ranking_nu
    ranking = (
        (weights * (1 - scores[user, movie]) ** 2).sum()
        + s.ranking_alpha0 * (scores**2).sum()
        + s.ranking_regularization * (strength_u * (p**2).sum(axis=1)).sum()
        + s.ranking_regularization * (strength_i * (q**2).sum(axis=1)).sum()
    )
    return float(rating), float(ranking)


def without_prior(ratings: RatingMatrix, settings: ModelSettings) -> Factors:
    """The fit before its last step: the users' rating vectors are drawn to 0."""
    factors = replace(fit(ratings, settings), rating_prior=None)
    users = FoldIn(factors).solve(ratings.by_user)
    return replace(factors, user_bias=users.user_bias, rating_user=users.rating)


def test_agrees_with_the_reference_half_step() -> None:
    ratings = matrix()
    assert_same(fit(ratings, SMALL, half_step=exact), fit(ratings, SMALL, half_step=reference.half_step), atol=2e-4)


def test_no_nearby_factors_are_better_and_more_iterations_are() -> None:
    ratings = matrix()
    short = objectives(ratings, without_prior(ratings, replace(SMALL, rating_iterations=1, ranking_iterations=1)))
    long = objectives(ratings, without_prior(ratings, SMALL))
    assert long[0] < short[0]
    assert long[1] < short[1]
    factors = without_prior(ratings, replace(SMALL, rating_iterations=300, ranking_iterations=300))
    best = objectives(ratings, factors)
    rng = np.random.default_rng(0)
    for name in ARRAYS:
        array = getattr(factors, name)
        for _ in range(5):
            moved = array + rng.normal(0, 0.01, array.shape).astype(np.float32)
            worse = objectives(ratings, replace(factors, **{name: moved}))
            assert worse[name.startswith("ranking")] > best[name.startswith("ranking")], name


def test_seed_order_and_threads() -> None:
    user_id, movie_id, rating = tastes(300, 200)
    ratings = RatingMatrix.from_triples(user_id, movie_id, rating)
    first = fit(ratings, SMALL)
    shuffled = RatingMatrix.from_triples(user_id[::-1], movie_id[::-1], rating[::-1])
    assert_same(fit(shuffled, SMALL), first)
    for threads in (1, 2, 5):
        assert_same(fit(ratings, SMALL, threads=threads), first)
    other = fit(ratings, replace(SMALL, seed=7))
    assert np.abs(other.ranking_movie - first.ranking_movie).max() > 0.01


@pytest.mark.parametrize("ordered", [True, False])
def test_fold_in_is_the_last_half_step_of_the_fit(ordered: bool) -> None:
    user_id, movie_id, rating = tastes()
    ages = ages_of(index_of(np.unique(user_id), user_id), np.arange(len(user_id))) if ordered else None
    ratings = RatingMatrix.from_triples(user_id, movie_id, rating, ages)
    factors = fit(ratings, SMALL)
    fold_in = FoldIn(factors)
    folded = fold_in.solve(ratings.by_user)
    np.testing.assert_allclose(folded.user_bias, factors.user_bias, atol=1e-5)
    np.testing.assert_allclose(folded.rating, factors.rating_user, atol=1e-5)
    np.testing.assert_allclose(folded.ranking, factors.ranking_user, atol=1e-5)
    for i in (0, 17, 79):
        alone = fold_in.solve(ratings.by_user.select(np.array([i])))
        np.testing.assert_array_equal(alone.ranking[0], folded.ranking[i])
        np.testing.assert_array_equal(alone.rating[0], folded.rating[i])
        assert alone.user_bias[0] == folded.user_bias[i]


def test_what_was_rated_last_counts_most() -> None:
    """By the weights of the formula: the same ratings in another order give another vector, of which the newest is nearer."""
    ratings = matrix()
    factors = fit(ratings, SMALL)
    history = ratings.by_user.select(np.array([3]))
    n = len(history.indices)
    weights = (history.values / 5) ** SMALL.ranking_power
    for ages in (np.arange(n, dtype=np.int32), np.arange(n, dtype=np.int32)[::-1].copy()):
        ordered = replace(history, ages=ages)
        recency = SMALL.ranking_recency_floor + SMALL.ranking_recency_boost * np.exp(-ages / SMALL.ranking_recency_span)
        strength = (n + SMALL.ranking_alpha0 * len(ratings.movie_ids)) ** SMALL.ranking_nu
        expected = reference.half_step(
            ordered,
            factors.ranking_movie,
            (weights * recency).astype(np.float32),
            np.ones(n, np.float32),
            np.array([SMALL.ranking_regularization * strength], np.float32),
            alpha0=SMALL.ranking_alpha0,
        )
        np.testing.assert_allclose(FoldIn(factors).solve(ordered).ranking, expected, atol=1e-5)
    newest = [
        FoldIn(factors).solve(replace(history, ages=ages)).ranking[0] @ factors.ranking_movie[history.indices[0]]
        for ages in (np.arange(n, dtype=np.int32), np.arange(n, dtype=np.int32)[::-1].copy())
    ]
    assert newest[0] > newest[1]


def test_fold_in_takes_entries_in_any_order_and_users_without_any() -> None:
    ratings = matrix()
    fold_in = FoldIn(fit(ratings, SMALL))
    indices, values = ratings.by_user.row(3)
    n = len(indices)
    backwards = Csr(np.array([0, 0, n]), indices[::-1].copy(), values[::-1].copy())
    folded = fold_in.solve(backwards)
    expected = fold_in.solve(ratings.by_user.select(np.array([3])))
    np.testing.assert_allclose(folded.ranking[1], expected.ranking[0], atol=1e-5)
    np.testing.assert_allclose(folded.rating[1], expected.rating[0], atol=1e-5)
    assert not folded.ranking[0].any()
    assert not folded.rating[0].any()
    assert folded.user_bias[0] == 0
    with pytest.raises(UsageError, match="outside the"):
        fold_in.solve(csr([[len(ratings.movie_ids)]]))


def test_fold_in_changes_what_is_scored_for_a_new_user() -> None:
    ratings = matrix()
    factors = fit(ratings, SMALL)
    fold_in = FoldIn(factors)

    def predicted(stars: float) -> F32:
        history = Csr(np.array([0, 3]), np.array([1, 2, 5], np.int32), np.full(3, stars, np.float32))
        folded = fold_in.solve(history)
        return predict(factors, folded.user_bias, folded.rating, np.array([1]))

    assert predicted(5.0)[0] > predicted(1.0)[0] + 0.5


def test_warm_start_goes_on_where_the_last_fit_ended() -> None:
    ratings = matrix()
    one = replace(SMALL, rating_iterations=1, ranking_iterations=1)
    cold = fit(ratings, replace(SMALL, rating_iterations=3, ranking_iterations=3), half_step=exact)
    warm = fit(
        ratings,
        one,
        start=fit(ratings, one, start=fit(ratings, one, half_step=exact), half_step=exact),
        half_step=exact,
    )
    assert_same(replace(warm, settings=cold.settings), cold, atol=1e-5)


def test_warm_start_takes_new_and_gone_ids_and_another_rank() -> None:
    user_id, movie_id, rating = tastes()
    old = (movie_id != movie_id.max()) & (user_id != user_id.max())
    new = (movie_id != movie_id.min()) & (user_id != user_id.min())
    start = fit(RatingMatrix.from_triples(user_id[old], movie_id[old], rating[old]), replace(SMALL, ranking_rank=4))
    ratings = RatingMatrix.from_triples(user_id[new], movie_id[new], rating[new])
    warm = fit(ratings, SMALL, start=start)
    assert warm.movie_ids.tolist() == ratings.movie_ids.tolist()
    assert warm.ranking_movie.shape == (len(ratings.movie_ids), 6)
    cold = objectives(ratings, fit(ratings, replace(SMALL, rating_iterations=1, ranking_iterations=1)))
    again = fit(ratings, replace(SMALL, rating_iterations=1, ranking_iterations=1), start=start)
    assert objectives(ratings, again)[0] < cold[0]
    assert objectives(ratings, again)[1] < cold[1]


@pytest.mark.parametrize("half_step", [kernel.half_step, reference.half_step])
def test_a_half_step_tells_the_objective(half_step: HalfStep) -> None:
    ratings = matrix()
    factors = fit(ratings, SMALL)
    counts, n_movies = ratings.by_user.counts(), len(ratings.movie_ids)
    weights, targets, regularization = ranking_system(ratings.by_user, n_movies, SMALL)
    least = np.zeros(len(counts))
    half_step(
        ratings.by_user,
        factors.ranking_movie,
        weights,
        targets,
        regularization,
        alpha0=SMALL.ranking_alpha0,
        least=least,
    )
    strength = (ratings.by_movie.counts() + SMALL.ranking_alpha0 * len(counts)) * SMALL.ranking_regularization
    of_movies = (strength * (factors.ranking_movie.astype(np.float64) ** 2).sum(axis=1)).sum()
    assert least.sum() + of_movies == pytest.approx(objectives(ratings, factors)[1], rel=1e-5)


def iterations(ratings: RatingMatrix, settings: ModelSettings, start: Factors | None = None) -> tuple[Factors, Counter]:
    """The factors, and how many iterations each model took."""
    taken: Counter[str] = Counter()
    return fit(ratings, settings, start=start, progress=lambda name, *_: taken.update([name])), taken


def test_it_ends_once_the_objective_is_flat() -> None:
    ratings = matrix()
    long = replace(SMALL, rating_iterations=60, ranking_iterations=60)
    best = objectives(ratings, fit(ratings, long))
    for tolerance in (1e-3, 1e-4):
        factors, taken = iterations(ratings, replace(long, tolerance=tolerance))
        assert 4 <= min(taken.values()) <= max(taken.values()) < 60
        for found, least in zip(objectives(ratings, factors), best, strict=True):
            assert found <= least * (1 + 5 * tolerance)


def test_a_warm_start_takes_fewer_iterations_to_as_low_an_objective() -> None:
    user_id, movie_id, rating = movielens()
    older, _ = split_random(len(rating), 1 / 11, 1)
    ratings = RatingMatrix.from_triples(user_id, movie_id, rating)
    start, _ = iterations(RatingMatrix.from_triples(user_id[older], movie_id[older], rating[older]), ModelSettings())
    cold, cold_taken = iterations(ratings, ModelSettings())
    warm, warm_taken = iterations(ratings, ModelSettings(), start)
    assert sum(warm_taken.values()) <= sum(cold_taken.values()) / 3
    for model in (0, 1):
        assert objectives(ratings, warm)[model] < objectives(ratings, cold)[model] * 1.002


def test_approaching_the_rows_ends_where_solving_them_does() -> None:
    user_id, movie_id, rating = movielens()
    ratings = RatingMatrix.from_triples(user_id, movie_id, rating)
    model = ModelSettings(rating_rank=31, ranking_rank=32)
    near, solved = objectives(ratings, fit(ratings, model)), objectives(ratings, fit(ratings, model, half_step=exact))
    for model_near, model_solved in zip(near, solved, strict=True):
        assert model_near < model_solved * 1.002


def test_progress_counts_the_iterations_of_both_models() -> None:
    calls: list[tuple[str, int, int]] = []
    fit(matrix(), SMALL, progress=lambda *call: calls.append(call))
    assert calls == [("ranking model", i, 5) for i in range(1, 6)] + [("rating model", i, 6) for i in range(1, 7)]


def test_counts_and_sums_are_those_of_the_movies() -> None:
    _, movie_id, rating = tastes()
    factors = fit(matrix(), SMALL)
    movie = movie_id == factors.movie_ids[4]
    assert factors.movie_counts[4] == movie.sum()
    assert factors.movie_sums[4] == pytest.approx(rating[movie].sum())
    assert factors.mean == pytest.approx(rating.mean())


@pytest.mark.parametrize(
    ("users", "movies"),
    [([7], [9]), ([7] * 30, list(range(30))), (list(range(30)), [9] * 30), ([1, 1, 2], [1, 2, 2])],
    ids=["one rating", "one user", "one movie", "rank above rows"],
)
def test_ratings_all_equal_are_predicted_as_they_are(users: list[int], movies: list[int]) -> None:
    ratings = RatingMatrix.from_triples(np.array(users), np.array(movies), np.full(len(users), 4, np.float32))
    factors = fit(ratings, ModelSettings())
    for name in ARRAYS:
        assert np.isfinite(getattr(factors, name)).all()
    row = np.repeat(np.arange(len(ratings.user_ids)), ratings.by_user.counts())
    stars = predict(factors, factors.user_bias[row], factors.rating_user[row], ratings.by_user.indices)
    np.testing.assert_allclose(stars, 4, atol=1e-3)


def test_rank_zero_leaves_mean_and_biases() -> None:
    ratings = matrix()
    factors = fit(ratings, replace(SMALL, rating_rank=0, rating_iterations=100))
    assert factors.rating_user.shape == (len(ratings.user_ids), 0)
    indices, values = ratings.by_user.row(0)
    residuals = values - factors.mean - factors.movie_bias[indices]
    expected = residuals.sum() / (len(values) + SMALL.rating_bias_regularization)
    assert factors.user_bias[0] == pytest.approx(expected, abs=1e-5)


def test_zero_stars_weigh_nothing_and_do_no_harm() -> None:
    user_id, movie_id, rating = tastes()
    ratings = RatingMatrix.from_triples(user_id, movie_id, rating - np.float32(1))
    factors = fit(ratings, replace(SMALL, rating_min=-0.5, rating_max=4.0, ranking_power=1.5))
    assert np.isfinite(factors.ranking_user).all()


def test_no_rating_is_named() -> None:
    none = np.zeros(0, np.int64)
    with pytest.raises(UsageError, match="no rating"):
        fit(RatingMatrix.from_triples(none, none, np.zeros(0, np.float32)), SMALL)


def test_the_same_tastes_on_another_scale_give_the_same_stars() -> None:
    user, movie, stars = tastes()
    wide = replace(SMALL, rating_min=5, rating_max=50, tolerance=0)
    factors = fit(RatingMatrix.from_triples(user, movie, stars), replace(SMALL, tolerance=0))
    tenfold = fit(RatingMatrix.from_triples(user, movie, 10 * stars), wide)
    users, movies = np.arange(len(factors.user_ids)), np.zeros(len(factors.user_ids), np.int64)
    one, other = (predict(f, f.user_bias[users], f.rating_user[users], movies) for f in (factors, tenfold))
    # The random start has another size in proportion, so the last passes are not the same to the last digit.
    np.testing.assert_allclose(other / 10, one, atol=0.15)
    assert np.corrcoef(one, other)[0, 1] > 0.99


def test_other_settings_of_the_last_half_step_need_no_fit() -> None:
    ratings = matrix()
    factors = fit(ratings, SMALL)
    other = replace(SMALL, ranking_user_power=1.0, ranking_recency_boost=0.5)
    vectors = FoldIn(factors).ranking(ratings.by_user, other)
    np.testing.assert_allclose(vectors, fit(ratings, other).ranking_user, atol=1e-5)
    assert not np.allclose(vectors, factors.ranking_user, atol=1e-3)
