"""New movies folded into a model that was fitted without them, and users."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reelstream.als.arrays import F32, Csr
from reelstream.als.factor_rows import MOVIES, USERS
from reelstream.als.factors import Factors, ModelSettings, RatingMatrix
from reelstream.als.fit import fit
from reelstream.als.fold_in import FoldIn, MovieFoldIn, with_movies, with_users
from reelstream.als.top_n import predict, similar_movies, top_n
from reelstream.errors import UsageError
from tests.fixtures.camps import FIRST_MOVIE, camps
from tests.fixtures.rating_data import exact, matrix

MODEL = ModelSettings(
    rating_rank=5,
    rating_prior_count=2,
    rating_iterations=6,
    ranking_rank=6,
    ranking_regularization=0.006,
    ranking_alpha0=0.3,
    ranking_power=2,
    ranking_iterations=5,
    tolerance=0,
)


def test_is_the_movies_half_step_of_the_fit() -> None:
    ratings = matrix()
    solved: list[F32] = []

    def recorded(*system: F32, **more: F32) -> F32:
        solved.append(exact(*system, **more))
        return solved[-1]

    factors = fit(ratings, MODEL, half_step=recorded)
    ranking, rating = solved[: 2 * 5 + 1], solved[2 * 5 + 1 :]  # users, movies, …, users; of each model
    before = replace(  # the users as they were when the movies were solved last
        factors, user_bias=rating[-3][:, -1], rating_user=rating[-3][:, :-1], ranking_user=ranking[-3]
    )

    folded = MovieFoldIn(before).solve(ratings.by_movie)

    np.testing.assert_allclose(folded.movie_bias, factors.movie_bias, atol=1e-5)
    np.testing.assert_allclose(folded.rating, factors.rating_movie, atol=1e-5)
    np.testing.assert_allclose(folded.ranking, factors.ranking_movie, atol=1e-5)
    alone = MovieFoldIn(before).solve(ratings.by_movie.select(np.array([7])))
    np.testing.assert_array_equal(alone.ranking[0], folded.ranking[7])
    np.testing.assert_array_equal(alone.rating[0], folded.rating[7])


def without(*movies: int) -> tuple[Factors, Csr, RatingMatrix]:
    """(the camps' model without the movies, their ratings over its users, all ratings)."""
    user_id, movie_id, stars = camps()
    left_out = np.isin(movie_id, movies)
    factors = fit(RatingMatrix.from_triples(user_id[~left_out], movie_id[~left_out], stars[~left_out]), MODEL)
    everything = RatingMatrix.from_triples(user_id, movie_id, stars)
    assert factors.user_ids.tolist() == everything.user_ids.tolist()
    return factors, everything.by_movie.select(np.searchsorted(everything.movie_ids, movies)), everything


def test_new_movies_are_predicted_ranked_and_near_those_of_their_camp() -> None:
    movies = (FIRST_MOVIE + 79, FIRST_MOVIE, FIRST_MOVIE + 41)
    factors, histories, everything = without(*movies)

    more = with_movies(factors, np.array(movies), histories)

    assert more.movie_ids.tolist() == everything.movie_ids.tolist()
    np.testing.assert_array_equal(more.movie_counts, everything.by_movie.counts())
    np.testing.assert_allclose(more.movie_sums, fit(everything, MODEL).movie_sums)
    lists, _ = top_n(more.ranking_user, more.ranking_movie, everything.by_user, 20)
    for movie in movies:
        at = int(more.movie_index(np.array([movie]))[0])
        user, stars = everything.by_movie.row(at)
        predicted = predict(more, more.user_bias[user], more.rating_user[user], np.full(len(user), at))
        assert ((predicted - stars) ** 2).mean() < 0.5 * ((factors.mean - stars) ** 2).mean()
        near, _ = similar_movies(more.ranking_movie, 10)
        assert (near[at] % 2 == at % 2).all()
        assert (np.flatnonzero((lists == at).any(axis=1)) % 2 == at % 2).mean() > 0.9
    known = more.movie_index(factors.movie_ids)
    for name in ("movie_bias", "rating_movie", "ranking_movie", "movie_counts", "movie_sums"):
        np.testing.assert_array_equal(getattr(more, name)[known], getattr(factors, name), err_msg=name)
        assert getattr(more, name).dtype == getattr(factors, name).dtype


def test_what_cannot_be_folded_in_is_named() -> None:
    factors, histories, _ = without(FIRST_MOVIE, FIRST_MOVIE + 1)
    movies = np.array([FIRST_MOVIE, FIRST_MOVIE + 1])
    with pytest.raises(UsageError, match="2 movies came with 1 histories"):
        with_movies(factors, movies, histories.select(np.array([0])))
    with pytest.raises(UsageError, match="each movie once"):
        with_movies(factors, movies[[0, 0]], histories)
    with pytest.raises(UsageError, match="in the model already"):
        with_movies(factors, np.array([FIRST_MOVIE, FIRST_MOVIE + 2]), histories)
    with pytest.raises(UsageError, match="no user of the model rated movie 1001"):
        with_movies(factors, movies, Csr(np.array([0, 1, 1]), np.zeros(1, np.int32), np.ones(1, np.float32)))
    with pytest.raises(UsageError, match="outside the 60 columns"):
        MovieFoldIn(factors).solve(Csr(np.array([0, 1]), np.array([60], np.int32), np.ones(1, np.float32)))
    assert (
        with_movies(factors, movies[:0], histories.select(movies[:0])).movie_ids.tolist() == factors.movie_ids.tolist()
    )


def test_users_come_in_or_take_the_place_of_what_they_were() -> None:
    user_id, movie_id, stars = camps()
    early = user_id <= 40
    factors = fit(RatingMatrix.from_triples(user_id[early], movie_id[early], stars[early]), MODEL)
    everything = RatingMatrix.from_triples(user_id, movie_id, stars)
    assert factors.movie_ids.tolist() == everything.movie_ids.tolist()
    changed = np.array([60, 3, 41])  # 3 is known: now with the ratings of 50
    histories = everything.by_user.select(np.searchsorted(everything.user_ids, [60, 50, 41]))

    more = with_users(factors, changed, histories)

    assert more.user_ids.tolist() == [*factors.user_ids, 41, 60]
    folded = FoldIn(factors).solve(histories)
    for name, solved in zip(USERS[1:], (folded.user_bias, folded.rating, folded.ranking), strict=True):
        rows = getattr(more, name)
        np.testing.assert_array_equal(rows[more.user_index(changed)], solved, err_msg=name)
        others = np.setdiff1d(factors.user_ids, changed)
        np.testing.assert_array_equal(rows[more.user_index(others)], getattr(factors, name)[factors.user_index(others)])
        assert rows.dtype == getattr(factors, name).dtype
    for name in (*MOVIES, "mean", "settings"):
        assert getattr(more, name) is getattr(factors, name)
    same = with_users(factors, changed, histories, fold_in=FoldIn(factors))
    np.testing.assert_array_equal(same.ranking_user, more.ranking_user)


def test_users_of_the_fit_become_what_the_fit_made_them() -> None:
    ratings = matrix()
    factors = fit(ratings, MODEL, half_step=exact)

    again = with_users(factors, ratings.user_ids[::-1], ratings.by_user.select(np.arange(79, -1, -1)))

    for name in USERS:
        np.testing.assert_allclose(getattr(again, name), getattr(factors, name), atol=1e-5, err_msg=name)


def test_users_that_cannot_be_folded_in_are_named() -> None:
    factors, _, everything = without(FIRST_MOVIE)
    users = np.array([900, 7])
    with pytest.raises(UsageError, match="2 users came with 1 histories"):
        with_users(factors, users, everything.by_user.select(np.array([0])))
    with pytest.raises(UsageError, match="each user once"):
        with_users(factors, users[[0, 0]], everything.by_user.select(np.array([0, 1])))
    with pytest.raises(UsageError, match="user 7 rated no movie of the model"):
        with_users(factors, users, Csr(np.array([0, 1, 1]), np.zeros(1, np.int32), np.ones(1, np.float32)))
    none = with_users(factors, users[:0], everything.by_user.select(users[:0]))
    assert none.user_ids.tolist() == factors.user_ids.tolist()
