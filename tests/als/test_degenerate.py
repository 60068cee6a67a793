"""Half-steps and fits at the edges: rows of every length, hardly any ratings, all of them equal, extreme or no numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelstream.als import kernel, reference
from reelstream.als.arrays import F32, I64, Csr, row_starts
from reelstream.als.compiled import CHUNK
from reelstream.als.factors import Factors, ModelSettings, RatingMatrix
from reelstream.als.fit import fit
from reelstream.als.fold_in import FoldIn
from reelstream.als.top_n import predict, top_n
from reelstream.errors import UsageError
from tests.fixtures.examples import examples
from tests.fixtures.rating_data import exact, tastes

SMALL = ModelSettings(rating_rank=6, rating_iterations=4, ranking_rank=5, ranking_iterations=4)
SOLVERS = (kernel.half_step, reference.half_step)


def problem(lengths: list[int], n_factors: int, seed: int) -> tuple[Csr, F32, F32, F32, F32]:
    """(rows, other, weights, targets, regularization) of a half-step whose row i has lengths[i] entries."""
    rng = np.random.default_rng(seed)
    n_columns = max([*lengths, 1]) + 3
    indices = [np.sort(rng.permutation(n_columns)[:length]) for length in lengths]
    indptr = row_starts(lengths)
    nnz = int(indptr[-1])
    rows = Csr(indptr, np.concatenate([*indices, []]).astype(np.int32), np.ones(nnz, np.float32))
    other = rng.normal(0, 1 / np.sqrt(n_factors), (n_columns, n_factors)).astype(np.float32)
    weights = rng.choice(np.array([0, 0.25, 1, 3], np.float32), nnz)
    targets = rng.normal(size=nnz).astype(np.float32)
    return rows, other, weights, targets, rng.uniform(0.5, 3, len(lengths)).astype(np.float32)


@st.composite
def shapes(draw: st.DrawFn) -> tuple[list[int], int]:
    """(entries of each row, K): few, or around K, the vector widths and the chunks that long rows are gathered in."""
    n_factors = draw(st.integers(1, 70))
    edges = sorted({n_factors, 4, 16, 32, 64, CHUNK, 2 * CHUNK})
    near = st.builds(lambda edge, off: max(edge + off, 0), st.sampled_from(edges), st.integers(-2, 2))
    return draw(st.lists(st.one_of(st.integers(0, 3), near), min_size=1, max_size=6)), n_factors


@examples(80)
@given(
    shape=shapes(),
    alpha0=st.sampled_from([0.0, 0.0, 0.1, 1.0]),
    has_bias=st.booleans(),
    threads=st.integers(1, 5),
    seed=st.integers(0, 10_000),
)
def test_kernel_agrees_with_reference_for_rows_of_every_length(
    shape: tuple[list[int], int], alpha0: float, has_bias: bool, threads: int, seed: int
) -> None:
    system = problem(*shape, seed)
    more: dict = {"alpha0": alpha0}
    if has_bias and not alpha0:
        more = {"bias_regularization": np.full(len(shape[0]), 0.7, np.float32)}
        system[1][:, -1] = 1
    least, expected_least = np.zeros(len(shape[0])), np.zeros(len(shape[0]))

    solved = kernel.half_step(*system, **more, least=least, threads=1)

    expected = reference.half_step(*system, **more, least=expected_least)
    np.testing.assert_allclose(solved, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(least, expected_least, rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(kernel.half_step(*system, **more, threads=threads), solved)


@pytest.mark.parametrize("half_step", SOLVERS)
def test_rows_that_weigh_nothing_have_no_factors(half_step: Callable[..., F32]) -> None:
    rows, other, weights, targets, regularization = problem([0, 1, 5, 40], 8, 0)
    for alpha0 in (0.0, 1.0):
        solved = half_step(rows, other, 0 * weights, targets, regularization, alpha0=alpha0)
        assert solved.shape == (4, 8)
        assert not solved.any()


@examples(40)
@given(
    which=st.sampled_from(["other", "weights", "targets", "regularization"]),
    bad=st.sampled_from([np.nan, np.inf, -np.inf]),
    length=st.sampled_from([1, 7, 8, 40, 300]),
    alpha0=st.sampled_from([0.0, 0.5]),
    seed=st.integers(0, 1000),
)
def test_a_number_that_is_not_finite_is_refused(which: str, bad: float, length: int, alpha0: float, seed: int) -> None:
    """One of them anywhere in what a row is solved from, whichever way that row is solved."""
    rows, other, weights, targets, regularization = problem([length], 8, seed)
    system = {"other": other, "weights": weights + np.float32(1), "targets": targets, "regularization": regularization}
    at = np.random.default_rng(seed).integers(length)
    place = rows.indices[at] if which == "other" else 0 if which == "regularization" else at
    system[which][place] = bad
    if which == "regularization" and bad == np.inf:
        return  # that is an x of 0, in the limit
    for half_step in SOLVERS:
        with pytest.raises(UsageError, match="finite"):
            half_step(rows, **system, alpha0=alpha0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39, -1e300])
def test_a_rating_that_is_not_finite_in_32_bits_is_refused_wherever_it_enters(bad: float) -> None:
    user_id, movie_id, rating = tastes()
    stars = rating.astype(np.float64)
    stars[5] = bad
    with pytest.raises(UsageError, match=f"user {user_id[5]} and movie {movie_id[5]} is"):
        RatingMatrix.from_triples(user_id, movie_id, stars)
    if not np.isfinite(bad):
        history = Csr(np.array([0, 2]), np.array([0, 1], np.int32), np.array([4, bad], np.float32))
        with pytest.raises(UsageError, match="finite"):
            FoldIn(fit(RatingMatrix.from_triples(user_id, movie_id, rating), SMALL)).solve(history)


@pytest.mark.parametrize("stars", [1e30, -1e30, 1e20])
def test_ratings_beyond_32_bits_are_refused_and_not_fitted_to_nothing(stars: float) -> None:
    user_id, movie_id, rating = tastes()
    rating[:40] = stars
    with pytest.raises(UsageError, match="scale"):
        fit(RatingMatrix.from_triples(user_id, movie_id, rating), SMALL)


@pytest.mark.parametrize("scale", [1e-30, 1e-8, 1e4])
def test_ratings_of_any_other_scale_are_fitted(scale: float) -> None:
    user_id, movie_id, rating = tastes()
    scaled = (rating * scale).astype(np.float32)
    limits = {"rating_min": 0.5 * scale, "rating_max": 5 * scale}
    ratings = RatingMatrix.from_triples(user_id, movie_id, scaled)
    factors = fit(ratings, replace(SMALL, **limits, tolerance=0))
    plain = fit(RatingMatrix.from_triples(user_id, movie_id, rating), replace(SMALL, tolerance=0))
    error = stars_of(factors, user_id, movie_id).astype(np.float64) - scaled
    assert np.sqrt((error**2).mean()) < 0.97 * scaled.astype(np.float64).std()
    # The ranking model knows ratings only by their share of the highest.
    np.testing.assert_allclose(factors.ranking_user, plain.ranking_user, rtol=0, atol=1e-3)


def stars_of(factors: Factors, user_id: I64, movie_id: I64) -> F32:
    user, movie = factors.user_index(user_id), factors.movie_index(movie_id)
    return predict(factors, factors.user_bias[user], factors.rating_user[user], movie)


@examples(25)
@given(
    n_users=st.integers(1, 4),
    n_movies=st.integers(1, 4),
    rank=st.sampled_from([1, 3, 16, 40]),
    stars=st.sampled_from([0.5, 3.3, 5.0]),
    alpha0=st.sampled_from([0.0, 0.3]),
)
def test_equal_ratings_are_predicted_as_they_are_and_equal_movies_come_by_id(
    n_users: int, n_movies: int, rank: int, stars: float, alpha0: float
) -> None:
    """One user only and one movie only are among them, and ranks above the numbers of both."""
    user_id, movie_id = (ids.ravel() for ids in np.indices((n_users, n_movies)) + 1)
    ratings = RatingMatrix.from_triples(user_id, movie_id, np.full(len(user_id), stars, np.float32))

    factors = fit(ratings, replace(SMALL, rating_rank=rank, ranking_rank=rank, ranking_alpha0=alpha0))

    np.testing.assert_allclose(stars_of(factors, user_id, movie_id), stars, rtol=0, atol=1e-5)
    nothing_seen = Csr(np.zeros(n_users + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
    positions, scores = top_n(factors.ranking_user, factors.ranking_movie, nothing_seen, n_movies)
    assert positions.tolist() == [list(range(n_movies))] * n_users
    assert (np.ptp(scores, axis=1) == 0).all()
    left, _ = top_n(factors.ranking_user, factors.ranking_movie, ratings.by_user, n_movies)
    assert (left == -1).all()


@examples(25)
@given(side=st.sampled_from(["user", "movie"]), n=st.integers(1, 30), rank=st.sampled_from([1, 8, 70]))
def test_one_user_or_one_movie_alone_is_fitted_as_the_reference_does(side: str, n: int, rank: int) -> None:
    rng = np.random.default_rng(n)
    many, one = np.arange(n) + 3, np.full(n, 7)
    ids = (one, many) if side == "user" else (many, one)
    stars = rng.integers(1, 11, n).astype(np.float32) / 2
    ratings = RatingMatrix.from_triples(*ids, stars)
    model = replace(SMALL, rating_rank=rank, ranking_rank=rank, tolerance=0, rating_prior_count=0)

    factors, expected = fit(ratings, model, half_step=exact), fit(ratings, model, half_step=reference.half_step)

    np.testing.assert_allclose(stars_of(factors, *ids), stars_of(expected, *ids), rtol=0, atol=1e-3)
    np.testing.assert_allclose(
        factors.ranking_user @ factors.ranking_movie.T, expected.ranking_user @ expected.ranking_movie.T, atol=1e-3
    )
    if n > 1 and np.ptp(stars) > 0:
        mean_error = np.abs(stars - stars.mean()).mean()
        assert np.abs(stars_of(factors, *ids) - stars).mean() < mean_error
