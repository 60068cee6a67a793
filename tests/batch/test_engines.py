"""What every engine must do; each test runs for each of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import pyspark
import pytest

from reelstream.als.factors import Factors, ModelSettings, RatingMatrix
from reelstream.als.fold_in import FoldIn
from reelstream.als.metrics import evaluate
from reelstream.als.top_n import predict
from reelstream.batch.refit import engine
from reelstream.errors import UsageError
from reelstream.settings import load
from reelstream.store import models
from reelstream.store.movies import MoviesStore
from reelstream.top_lists import user_lists
from tests.fixtures.camps import Triples, camps, own_camp

MODEL = ModelSettings(
    rating_rank=15,
    rating_prior_count=2,
    ranking_rank=3,
    ranking_iterations=5,
    ranking_regularization=0.02,
    ranking_alpha0=0.3,
    ranking_power=2,
)
ARRAYS = ("user_bias", "movie_bias", "rating_user", "rating_movie", "ranking_user", "ranking_movie")
SAMPLE = Path(pyspark.__file__).parent / "data" / "mllib" / "als" / "sample_movielens_ratings.txt"

Fit = Callable[[Triples], Factors]


@pytest.fixture(scope="module", params=["native", "mllib"])
def fit(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Fit:
    """An engine, as a function of the ratings."""
    if request.param == "mllib":
        request.getfixturevalue("spark")
    settings = load(warehouse=tmp_path_factory.mktemp(request.param))
    return lambda triples: engine(request.param)(RatingMatrix.from_triples(*triples), MODEL, settings)


@pytest.fixture(scope="module")
def fitted(fit: Fit) -> Factors:
    """Its factors of the two camps."""
    return fit(camps())


@cache
def sample() -> Triples:
    """Spark's own sample of ratings, `user::movie::stars::time`."""
    rows = np.array([line.split("::")[:3] for line in SAMPLE.read_text().split()], np.int64)
    return rows[:, 0], rows[:, 1], rows[:, 2].astype(np.float32)


def rmse(factors: Factors, triples: Triples) -> float:
    user_id, movie_id, stars = triples
    user, movie = factors.user_index(user_id), factors.movie_index(movie_id)
    predicted = predict(factors, factors.user_bias[user], factors.rating_user[user], movie)
    return float(np.sqrt(np.mean((predicted - stars) ** 2)))


def test_factors_have_the_documented_shapes_and_dtypes(fitted: Factors) -> None:
    n_users, n_movies = 60, 80
    rank = fitted.rating_movie.shape[1]

    assert rank >= 1
    for array, shape, dtype in (
        (fitted.user_ids, (n_users,), np.int64),
        (fitted.movie_ids, (n_movies,), np.int64),
        (fitted.user_bias, (n_users,), np.float32),
        (fitted.movie_bias, (n_movies,), np.float32),
        (fitted.rating_user, (n_users, rank), np.float32),
        (fitted.rating_movie, (n_movies, rank), np.float32),
        (fitted.ranking_user, (n_users, MODEL.ranking_rank), np.float32),
        (fitted.ranking_movie, (n_movies, MODEL.ranking_rank), np.float32),
        (fitted.movie_counts, (n_movies,), np.int64),
        (fitted.movie_sums, (n_movies,), np.float64),
    ):
        assert (array.shape, array.dtype) == (shape, dtype)
        assert np.isfinite(array).all()
    assert fitted.settings == MODEL


def test_ids_are_ascending_and_complete_and_counts_and_sums_are_the_movies(fitted: Factors) -> None:
    user_id, movie_id, stars = camps()

    assert fitted.user_ids.tolist() == sorted(set(user_id.tolist()))
    assert fitted.movie_ids.tolist() == sorted(set(movie_id.tolist()))
    assert fitted.movie_counts.tolist() == [int((movie_id == movie).sum()) for movie in fitted.movie_ids]
    assert fitted.movie_sums.tolist() == [float(stars[movie_id == movie].sum()) for movie in fitted.movie_ids]
    assert fitted.mean == pytest.approx(stars.mean(), abs=1e-5)


def test_ids_may_take_all_64_bits_and_the_order_of_the_rows_does_not_matter(fit: Fit, fitted: Factors) -> None:
    user_id, movie_id, stars = camps()
    shuffled = np.random.default_rng(1).permutation(len(stars))
    far = 2**62

    moved = fit((user_id[shuffled] + far, movie_id[shuffled], stars[shuffled]))

    assert moved.user_ids.tolist() == (fitted.user_ids + far).tolist()
    for name in ARRAYS:  # the users' ids take no part in the fit
        np.testing.assert_allclose(getattr(moved, name), getattr(fitted, name), rtol=0, atol=1e-5, err_msg=name)


def test_a_movie_id_of_64_bits_stays_with_its_movie(fit: Fit) -> None:
    user_id, movie_id, stars = camps()
    hated = movie_id == 1000
    stars = np.where(hated, np.float32(0.5), stars)

    factors = fit((user_id, np.where(hated, 2**63 - 1, movie_id), stars))

    assert factors.movie_ids[-1] == 2**63 - 1
    assert factors.movie_bias.argmin() == len(factors.movie_ids) - 1


def test_a_single_rating_is_enough(fit: Fit) -> None:
    factors = fit((np.array([7]), np.array([296]), np.array([4.0], np.float32)))

    assert (factors.user_ids.tolist(), factors.movie_ids.tolist(), factors.mean) == ([7], [296], 4.0)
    assert factors.ranking_user @ factors.ranking_movie.T > 0
    assert rmse(factors, (factors.user_ids, factors.movie_ids, np.array([4.0], np.float32))) < 0.1


def test_the_own_camps_movies_come_first(fitted: Factors) -> None:
    user_id, movie_id, _ = camps()
    rated = set(zip(user_id.tolist(), movie_id.tolist(), strict=True))
    scores = fitted.ranking_user @ fitted.ranking_movie.T  # [U, M]
    own = own_camp(fitted.user_ids[:, None], fitted.movie_ids[None, :])  # [U, M]
    unseen = np.array([[(u, m) not in rated for m in fitted.movie_ids.tolist()] for u in fitted.user_ids.tolist()])

    for row in range(len(scores)):
        best = np.argsort(-np.where(unseen[row], scores[row], -np.inf))[:10]
        assert own[row][best].all()
        assert scores[row][own[row] & unseen[row]].mean() > scores[row][~own[row] & unseen[row]].mean()


@pytest.mark.parametrize(("triples", "share"), [(camps, 0.5), (sample, 0.9)])
def test_predicted_stars_are_nearer_than_the_mean(
    fit: Fit, fitted: Factors, triples: Callable[[], Triples], share: float
) -> None:
    factors = fitted if triples is camps else fit(triples())

    assert rmse(factors, triples()) < share * float(triples()[2].std())


def test_a_fold_in_has_the_same_taste_as_the_fit(fitted: Factors) -> None:
    matrix = RatingMatrix.from_triples(*camps())

    folded = FoldIn(fitted).solve(matrix.by_user)

    scores, folded_scores = (users @ fitted.ranking_movie.T for users in (fitted.ranking_user, folded.ranking))
    own = own_camp(fitted.user_ids[:, None], fitted.movie_ids[None, :])
    for row in range(len(scores)):
        assert own[row][np.argsort(-folded_scores[row])[:10]].all()
        assert np.corrcoef(scores[row], folded_scores[row])[0, 1] > 0.8
    assert folded.rating.shape == fitted.rating_user.shape


def test_cold_rows_are_counted_and_predicted_by_the_bias_that_is_known(fitted: Factors) -> None:
    known_user, known_movie, new_user, new_movie = 7, 1003, 9_000, 9_000
    user_id = np.array([known_user, known_user, new_user, new_user])
    movie_id = np.array([known_movie, new_movie, known_movie, new_movie])
    stars = np.array([4, 3, 2, 5], np.float32)

    metrics = evaluate(fitted, RatingMatrix.from_triples(*camps()), user_id, movie_id, stars)

    user, movie = np.searchsorted(fitted.user_ids, known_user), np.searchsorted(fitted.movie_ids, known_movie)
    user_bias, movie_bias = fitted.user_bias[user], fitted.movie_bias[movie]
    taste = fitted.rating_user[user] @ fitted.rating_movie[movie]
    predicted = fitted.mean + np.array([user_bias + movie_bias + taste, user_bias, movie_bias, 0])
    assert (metrics["cold_rows"], metrics["test_rows"], metrics["ranked_users"]) == (3, 4, 1)
    assert metrics["rmse"] == pytest.approx(np.sqrt(((predicted.clip(0.5, 5) - stars) ** 2).mean()), abs=1e-5)


def test_no_rating_is_named(fit: Fit) -> None:
    with pytest.raises(UsageError, match="no rating"):
        fit((np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32)))


def test_lists_are_made_of_its_factors(fitted: Factors, tmp_path: Path) -> None:
    seen = RatingMatrix.from_triples(*camps()).by_user

    lists = user_lists(
        fitted.user_ids,
        (fitted.user_bias, fitted.rating_user, fitted.ranking_user),
        seen,
        fitted,
        MoviesStore(tmp_path).titles(),
        n=7,
        source="refit",
        version="000001",
        as_of=datetime(2026, 1, 1, tzinfo=UTC),
    )

    assert lists.num_rows == 7 * len(fitted.user_ids)
    users, movies = lists["user_id"].to_numpy(), lists["movie_id"].to_numpy()
    assert own_camp(users, movies).all()
    stars = lists["predicted_rating"].to_numpy()
    assert ((stars > 3.5) & (stars <= 5)).mean() > 0.95


def test_factors_are_the_same_after_a_save_and_a_load(fitted: Factors, tmp_path: Path) -> None:
    models.save(tmp_path, fitted, {"engine": "any"})

    loaded = models.load(tmp_path)

    for name in ("user_ids", "movie_ids", *ARRAYS, "movie_counts", "movie_sums"):
        before, after = getattr(fitted, name), getattr(loaded, name)
        np.testing.assert_array_equal(before, after, err_msg=name)
        assert before.dtype == after.dtype
    assert (loaded.mean, loaded.settings) == (fitted.mean, fitted.settings)
    assert models.info(tmp_path)["engine"] == "any"
