from __future__ import annotations

import json

import numpy as np
import pytest

from reelstream.als.arrays import Csr, index_of
from reelstream.als.factors import ModelSettings, RatingMatrix
from reelstream.errors import UsageError
from tests.fixtures.rating_data import csr, tastes


def dense(rows: Csr, n_columns: int) -> np.ndarray:
    out = np.zeros((rows.n_rows, n_columns), np.float32)
    for i in range(rows.n_rows):
        indices, values = rows.row(i)
        out[i, indices] = values
    return out


def test_both_orders_hold_the_same_ratings() -> None:
    user_id, movie_id, rating = tastes()
    matrix = RatingMatrix.from_triples(user_id, movie_id, rating)
    expected = np.zeros((len(matrix.user_ids), len(matrix.movie_ids)), np.float32)
    expected[np.searchsorted(matrix.user_ids, user_id), np.searchsorted(matrix.movie_ids, movie_id)] = rating
    assert matrix.user_ids.tolist() == sorted(set(user_id.tolist()))
    assert matrix.movie_ids.tolist() == sorted(set(movie_id.tolist()))
    np.testing.assert_array_equal(dense(matrix.by_user, len(matrix.movie_ids)), expected)
    np.testing.assert_array_equal(dense(matrix.by_movie, len(matrix.user_ids)), expected.T)
    for rows in (matrix.by_user, matrix.by_movie):
        for i in range(rows.n_rows):
            assert (np.diff(rows.row(i)[0]) > 0).all()


def test_ids_far_apart_and_negative_sort_too() -> None:
    user_id = np.array([2**62, -(2**62), 5, 5])
    matrix = RatingMatrix.from_triples(user_id, np.array([9, 9, 9, -4]), np.array([1, 2, 3, 4], np.float32))
    assert matrix.user_ids.tolist() == [-(2**62), 5, 2**62]
    assert matrix.movie_ids.tolist() == [-4, 9]
    assert [matrix.by_user.row(i)[1].tolist() for i in range(3)] == [[2], [4, 3], [1]]
    assert [matrix.by_movie.row(i)[1].tolist() for i in range(2)] == [[4], [2, 3, 1]]


def test_no_rating_is_an_empty_matrix() -> None:
    none = np.zeros(0, np.int64)
    matrix = RatingMatrix.from_triples(none, none, np.zeros(0, np.float32))
    assert (matrix.by_user.n_rows, matrix.by_movie.n_rows) == (0, 0)


@pytest.mark.parametrize(
    ("user_id", "movie_id", "rating", "message"),
    [
        ([1, 2], [1, 2], [3.0], "equally long"),
        ([[1]], [[2]], [[3.0]], "one-dimensional"),
        ([1.0], [2], [3.0], "user_id is float64"),
        ([1], [2], [float("nan")], "user 1 and movie 2 is nan"),
        ([1], [2], [float("inf")], "is inf"),
        ([1, 1], [2, 2], [3.0, 4.0], "more than once"),
        ([1], [2], ["good"], "ratings must be numbers"),
    ],
)
def test_bad_triples_are_named(user_id: list, movie_id: list, rating: list, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RatingMatrix.from_triples(np.array(user_id), np.array(movie_id), np.array(rating))


def test_csr_refuses_other_dtypes_and_lengths() -> None:
    good = csr([[0, 1], [2]])
    with pytest.raises(UsageError, match=r"Csr\.indices is int64"):
        Csr(good.indptr, good.indices.astype(np.int64), good.values)
    with pytest.raises(UsageError, match="from 0 to the number"):
        Csr(good.indptr[:-1], good.indices, good.values)
    with pytest.raises(UsageError, match=r"\[3, 2\] indices, values and ages"):
        Csr(good.indptr, good.indices, good.values[:2])


def test_select_takes_rows_in_the_order_asked_for() -> None:
    chosen = csr([[0, 1], [], [2, 5, 7]]).select(np.array([2, 1, 0, 2]))
    assert [chosen.row(i)[0].tolist() for i in range(4)] == [[2, 5, 7], [], [0, 1], [2, 5, 7]]


def test_index_of_unknown_is_minus_one() -> None:
    assert index_of(np.array([3, 5, 9]), np.array([9, 4, 3, 100])).tolist() == [2, -1, 0, -1]
    assert index_of(np.zeros(0, np.int64), np.array([1])).tolist() == [-1]


def test_settings_survive_json() -> None:
    settings = ModelSettings(rating_rank=7, seed=3)
    assert ModelSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
    assert ModelSettings.from_dict({}) == ModelSettings()
    with pytest.raises(UsageError, match="unknown model settings colour"):
        ModelSettings.from_dict({"colour": 1})


@pytest.mark.parametrize(
    "wrong",
    [
        {"rating_rank": -1},
        {"ranking_rank": 0},
        {"rating_regularization": 0.0},
        {"ranking_regularization": float("nan")},
        {"ranking_alpha0": -1.0},
        {"rating_min": 5.0},
        {"rating_max": float("inf")},
    ],
)
def test_settings_outside_their_range_are_named(wrong: dict) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        ModelSettings(**wrong)


@pytest.mark.parametrize(
    ("rating_min", "rating_max", "liked_stars"),
    [
        (0.5, 5, 4.0),
        (1, 5, 4.0),
        (0, 10, 8.0),
        (1, 10, 8.0),
        (0, 100, 78.0),
        (-10, 10, 5.5),
        (0, 1, 7 / 9),
        (1, 2, 16 / 9),
    ],
)
def test_what_counts_as_liked_is_the_same_share_of_every_scale(
    rating_min: float, rating_max: float, liked_stars: float
) -> None:
    settings = ModelSettings(rating_min=rating_min, rating_max=rating_max)
    assert settings.liked_stars == pytest.approx(liked_stars)
    assert ModelSettings(liked_from=3.5).liked_stars == 3.5


def test_settings_of_an_older_version_have_one_p_for_all_half_steps() -> None:
    old = ModelSettings.from_dict({"ranking_power": 2.0})
    assert (old.ranking_user_power, old.rating_recency_floor, old.rating_recency_boost) == (2.0, 1.0, 0.0)
    assert ModelSettings.from_dict({"ranking_power": 2.0, "ranking_user_power": 1.0}).ranking_user_power == 1.0
    assert ModelSettings().changed_in(ModelSettings(ranking_rank=9)) == {"ranking_rank": 9}
