from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelstream.als import reference
from reelstream.als.factors import ModelSettings
from reelstream.als.fit import fit
from reelstream.als.top_n import popular, predict, similar_movies, top_n
from reelstream.errors import UsageError
from tests.fixtures.examples import examples
from tests.fixtures.rating_data import csr, dense, matrix


def brute_force(scores: np.ndarray, seen: list[list[int]], n: int) -> list[list[int]]:
    lists = []
    for row, hidden in zip(scores, seen, strict=True):
        best = [m for m in sorted(range(len(row)), key=lambda m: (-row[m], m)) if m not in hidden][:n]
        lists.append(best + [-1] * (n - len(best)))
    return lists


@examples(60)
@given(
    n_rows=st.integers(0, 9),
    n_movies=st.integers(1, 300),
    n_factors=st.integers(1, 20),
    n=st.integers(0, 40),
    seed=st.integers(0, 10_000),
)
def test_agrees_with_brute_force_ties_and_all(n_rows: int, n_movies: int, n_factors: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Small whole numbers: the scores are exact in any order of summing, and many are equal.
    users = rng.integers(-2, 3, (n_rows, n_factors)).astype(np.float32)
    movies = rng.integers(-1, 2, (n_movies, n_factors)).astype(np.float32)
    seen = [rng.permutation(n_movies)[: rng.integers(0, n_movies + 1)].tolist() for _ in range(n_rows)]
    left_out = rng.random(n_movies) < rng.choice([0, 0.3])
    positions, scores = top_n(users, movies, csr(seen), n, left_out=left_out)
    assert positions.tolist() == brute_force(users @ movies.T, [[*row, *np.flatnonzero(left_out)] for row in seen], n)
    row, rank = np.nonzero(positions >= 0)
    np.testing.assert_array_equal(scores[row, rank], (users @ movies.T)[row, positions[row, rank]])
    assert not scores[positions < 0].any()


@examples(60)
@given(
    n_rows=st.integers(1, 9),
    n_movies=st.integers(1, 300),
    n_factors=st.integers(1, 20),
    n=st.integers(0, 40),
    seed=st.integers(0, 10_000),
)
def test_extra_scores_count_like_the_others(n_rows: int, n_movies: int, n_factors: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    users = rng.integers(-2, 3, (n_rows, n_factors)).astype(np.float32)
    movies = rng.integers(-1, 2, (n_movies, n_factors)).astype(np.float32)
    seen = [rng.permutation(n_movies)[: rng.integers(0, n_movies + 1)].tolist() for _ in range(n_rows)]
    extra = csr([np.flatnonzero(rng.random(n_movies) < rng.random()).tolist() for _ in range(n_rows)])
    extra = replace(extra, values=rng.integers(0, 8, len(extra.indices)).astype(np.float32))
    expected = (users @ movies.T) + dense(extra, n_movies)

    left_out = rng.random(n_movies) < rng.choice([0, 0.3])
    positions, scores = top_n(users, movies, csr(seen), n, extra=extra, left_out=left_out)

    assert positions.tolist() == brute_force(expected, [[*row, *np.flatnonzero(left_out)] for row in seen], n)
    row, rank = np.nonzero(positions >= 0)
    np.testing.assert_array_equal(scores[row, rank], expected[row, positions[row, rank]])
    assert not scores[positions < 0].any()
    by_numpy = reference.top_n(users, movies, csr(seen), n, extra, left_out)
    np.testing.assert_array_equal(by_numpy[0], positions)
    np.testing.assert_array_equal(by_numpy[1], scores)


def test_a_list_with_extra_scores_is_the_beginning_of_a_longer_one_bit_by_bit() -> None:
    rng = np.random.default_rng(3)
    users = rng.normal(size=(50, 24)).astype(np.float32)
    movies = rng.normal(size=(900, 24)).astype(np.float32)
    seen = csr([rng.permutation(900)[:30].tolist() for _ in range(50)])
    extra = csr([np.flatnonzero(rng.random(900) < 0.2).tolist() for _ in range(50)])
    extra = replace(extra, values=(6 * rng.random(len(extra.indices))).astype(np.float32))
    positions, scores = top_n(users, movies, seen, 100, extra=extra)
    for n in (1, 3, 10, 60):
        for threads in (1, 2):
            shorter = top_n(users, movies, seen, n, extra=extra, threads=threads)
            np.testing.assert_array_equal(shorter[0], positions[:, :n])
            np.testing.assert_array_equal(shorter[1], scores[:, :n])


def test_same_alone_in_blocks_and_with_any_threads() -> None:
    rng = np.random.default_rng(1)
    users = rng.normal(size=(331, 24)).astype(np.float32)
    movies = rng.normal(size=(1500, 24)).astype(np.float32)
    seen = csr([rng.permutation(1500)[:30].tolist() for _ in range(331)])
    positions, scores = top_n(users, movies, seen, 10, threads=1)
    for threads in (2, 3, 8):
        again = top_n(users, movies, seen, 10, threads=threads)
        np.testing.assert_array_equal(again[0], positions)
        np.testing.assert_array_equal(again[1], scores)
    for i in (0, 1, 63, 64, 330):
        alone = top_n(users[[i]], movies, seen.select(np.array([i])), 10)
        np.testing.assert_array_equal(alone[0][0], positions[i])
        np.testing.assert_array_equal(alone[1][0], scores[i])


def test_bad_arguments_are_named() -> None:
    users, movies = np.ones((2, 3), np.float32), np.ones((4, 3), np.float32)
    with pytest.raises(UsageError, match="as many columns"):
        top_n(users, movies[:, :2], csr([[], []]), 2)
    with pytest.raises(UsageError, match="1 of 2 rows"):
        top_n(users, movies, csr([[]]), 2)
    with pytest.raises(UsageError, match="outside the 4 columns"):
        top_n(users, movies, csr([[], [4]]), 2)
    with pytest.raises(UsageError, match="n ≥ 0"):
        top_n(users, movies, csr([[], []]), -1)
    with pytest.raises(UsageError, match="left_out"):
        top_n(users, movies, csr([[], []]), 2, left_out=np.zeros(len(movies) + 1, np.bool_))


def test_similar_movies_of_some_are_those_among_all() -> None:
    movies = np.random.default_rng(3).normal(size=(300, 9)).astype(np.float32)
    positions, scores = similar_movies(movies, 7)
    some = np.array([299, 0, 130])

    again = similar_movies(movies, 7, of=some)

    np.testing.assert_array_equal(again[0], positions[some])
    np.testing.assert_array_equal(again[1], scores[some])
    assert similar_movies(movies, 7, of=some[:0])[0].shape == (0, 7)
    with pytest.raises(UsageError, match="outside the 300 columns"):
        similar_movies(movies, 7, of=np.array([-1]))


def test_similar_movies_by_cosine_without_itself() -> None:
    movies = np.array([[1, 0], [2, 0.1], [0, 3], [-1, 0], [0, 0]], np.float32)
    positions, scores = similar_movies(movies, 6)
    assert positions[0].tolist() == [1, 2, 4, 3, -1, -1]
    np.testing.assert_allclose(scores[0, :4], [2 / np.hypot(2, 0.1), 0, 0, -1], atol=1e-6)
    assert positions[4].tolist() == [0, 1, 2, 3, -1, -1]
    assert similar_movies(movies[:1], 2)[0].tolist() == [[-1, -1]]


def test_predict_adds_the_parts_and_stays_on_the_scale() -> None:
    small = ModelSettings(rating_rank=2, rating_iterations=1, ranking_rank=2, ranking_iterations=1)
    base = fit(matrix(n_users=6, n_movies=5, density=1), small)
    factors = replace(
        base,
        mean=3.0,
        movie_bias=np.array([0.5, 0, 0, 0, -9], np.float32),
        rating_movie=np.array([[1, 2], [0, 0], [0, 0], [0, 0], [0, 0]], np.float32),
    )
    bias = np.array([0.25, 0.25, 9, 0], np.float32)
    vectors = np.array([[0.5, 0.25], [1, 1], [0, 0], [0, 0]], np.float32)
    stars = predict(factors, bias, vectors, np.array([0, -1, 1, 4]))
    assert stars.tolist() == [4.75, 3.25, 5.0, 0.5]
    assert stars.dtype == np.float32


def test_popular_is_by_sum_then_fewer_ratings_then_position() -> None:
    base = fit(matrix(n_users=6, n_movies=5, density=1), ModelSettings(rating_rank=2, ranking_rank=2))
    factors = replace(base, movie_counts=np.array([2, 9, 3, 2, 9]), movie_sums=np.array([8.0, 30, 8, 8, 31]))
    positions, scores = popular(factors, 4)
    assert positions.tolist() == [4, 1, 0, 3]
    assert scores.tolist() == [31, 30, 8, 8]
    assert len(popular(factors, 100)[0]) == 5
