"""The synthetic ratings: the same for the same seed, each pair once, and shaped as the real ones are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pytest

from reelstream.als.factors import ModelSettings, RatingMatrix
from reelstream.als.fit import fit
from reelstream.als.metrics import evaluate
from reelstream.als.splits import split_random
from reelstream.cli.ratings_file import read
from reelstream.settings import load
from tests.bench.run import ended, figures

FROM_S, LARGEST_ID = 789_652_000, 209_171
"""9 January 1995, and the largest movie id of MovieLens 25M."""


def generate(directory: Path, rows: int, *options: object) -> tuple[pa.Table, dict[str, Any]]:
    """(userId, movieId, rating, timestamp in seconds), and the shape that was printed."""
    csv = directory / "ratings.csv"
    shape = figures("synthetic", rows, "--out", csv, *options)
    assert csv.read_text().startswith("userId,movieId,rating,timestamp\n1,")
    return pcsv.read_csv(csv), shape


@pytest.fixture(scope="module")
def hundred_thousand(tmp_path_factory: pytest.TempPathFactory) -> tuple[pa.Table, dict[str, Any]]:
    return generate(tmp_path_factory.mktemp("synthetic"), 100_000)


def test_a_seed_gives_one_table_whatever_the_number_of_threads(tmp_path: Path) -> None:
    rows = 300_000  # more than one block of users
    table, _ = generate(tmp_path, rows, "--seed", 7, "--threads", 2)

    assert generate(tmp_path, rows, "--seed", 7, "--threads", 1)[0].equals(table)
    assert not generate(tmp_path, rows, "--seed", 8)[0].equals(table)


@pytest.mark.parametrize("rows", [20, 21, 1000])
def test_there_are_as_many_rows_as_asked_for_and_each_pair_once(tmp_path: Path, rows: int) -> None:
    assert_whole(generate(tmp_path, rows, "--seed", 3)[0], rows)


def test_so_there_are_of_many_rows(hundred_thousand: tuple[pa.Table, dict[str, Any]]) -> None:
    assert_whole(hundred_thousand[0], 100_000)


def assert_whole(table: pa.Table, rows: int) -> None:
    user, movie = table["userId"].to_numpy(), table["movieId"].to_numpy()
    assert len(user) == rows
    assert len(np.unique(user * (LARGEST_ID + 1) + movie)) == rows
    assert np.bincount(user)[1:].min() >= 20
    assert (np.lexsort((movie, user)) == np.arange(rows)).all()


def test_fewer_rows_than_a_user_gives_are_refused() -> None:
    refused = ended("synthetic", 19)

    assert refused.returncode == 1
    assert "20 or more" in refused.stderr


def test_the_shape_is_that_of_real_ratings(hundred_thousand: tuple[pa.Table, dict[str, Any]]) -> None:
    shape = hundred_thousand[1]

    assert shape["users"] == 649
    assert 55 <= shape["ratings_per_user"]["median"] <= 90
    assert shape["ratings_per_user"]["max"] > 15 * shape["ratings_per_user"]["mean"]
    assert 7_000 <= shape["movies"] <= 12_000
    assert shape["ratings_per_movie"]["median"] <= 4
    assert 0.35 <= shape["ratings_per_movie"]["max"] / shape["users"] <= 0.7
    assert shape["rating_mean"] == pytest.approx(3.53, abs=0.15)
    assert shape["rating_sd"] == pytest.approx(1.06, abs=0.1)
    assert shape["half_star_share"] == pytest.approx(0.3, abs=0.06)


def test_more_rows_are_more_users_and_more_of_the_long_tail(
    tmp_path: Path, hundred_thousand: tuple[pa.Table, dict[str, Any]]
) -> None:
    small, large = generate(tmp_path, 20_000)[1], hundred_thousand[1]

    assert large["users"] == pytest.approx(5 * small["users"], abs=5)
    assert small["movies"] < large["movies"] < 5 * small["movies"]


def test_ratings_are_stars_and_times_lie_in_sessions(hundred_thousand: tuple[pa.Table, dict[str, Any]]) -> None:
    user, rating, rated_at = (hundred_thousand[0][name].to_numpy() for name in ("userId", "rating", "timestamp"))

    assert set(np.unique(rating)) == set(np.arange(1, 11) / 2)
    whole = np.array([(rating[user == u] % 1 == 0).all() for u in np.unique(user)])
    assert 0.25 < whole.mean() < 0.5
    assert rated_at.min() >= FROM_S
    assert np.ptp(rated_at) > 20 * 365 * 86_400
    order = np.lexsort((rated_at, user))
    gaps = np.diff(rated_at[order])[np.diff(user[order]) == 0]
    assert (gaps < 600).mean() > 0.9  # the next rating mostly follows within ten minutes …
    assert (gaps > 86_400).sum() > 300  # … and some users come again on another day


def test_taste_can_be_learned_and_popularity_is_not_enough(
    hundred_thousand: tuple[pa.Table, dict[str, Any]],
) -> None:
    user, movie, rating = (hundred_thousand[0][name].to_numpy() for name in ("userId", "movieId", "rating"))
    rating = rating.astype(np.float32)
    train_rows, test_rows = split_random(len(rating), 0.2, 3)
    train = RatingMatrix.from_triples(user[train_rows], movie[train_rows], rating[train_rows])

    metrics = evaluate(fit(train, ModelSettings()), train, user[test_rows], movie[test_rows], rating[test_rows])

    bias_only = metrics["baselines"]["bias_only"]["rmse"]
    assert 0.85 <= bias_only <= 0.91
    assert 0.92 <= metrics["rmse"] / bias_only <= 0.985
    assert metrics["ndcg_at_10"] > 1.7 * metrics["baselines"]["popularity"]["ndcg_at_10"]


def test_the_csv_is_a_ratings_csv(tmp_path: Path) -> None:
    table, _ = generate(tmp_path, 2000, "--seed", 5)

    file = read(tmp_path / "ratings.csv", load(), lambda _done, _of: None)

    assert (file.bad_rows, file.duplicates) == (0, 0)
    columns = [file.ratings.user_id, file.ratings.movie_id, file.ratings.rating, file.ratings.rated_at_ms // 1000]
    assert [column.tolist() for column in columns] == [column.to_pylist() for column in table.columns]
