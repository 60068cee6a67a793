"""The synthetic ratings: the same for the same seed, each pair once, and shaped as the real ones are."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from bench.refit import ratings
from bench.synthetic import FROM_MS, LARGEST_ID, generate, shape, write_csv
from reelstream.als.factors import ModelSettings, RatingMatrix
from reelstream.als.fit import fit
from reelstream.als.metrics import evaluate
from reelstream.als.splits import split_random


@cache
def hundred_thousand() -> pa.Table:
    return generate(100_000, seed=1)


def test_a_seed_gives_one_table_whatever_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = 300_000  # more than one block of users
    table = generate(rows, seed=7)

    monkeypatch.setattr(os, "cpu_count", lambda: 1)

    assert generate(rows, seed=7).equals(table)
    assert not generate(rows, seed=8).equals(table)


@pytest.mark.parametrize("rows", [20, 21, 1000, 100_000])
def test_there_are_as_many_rows_as_asked_for_and_each_pair_once(rows: int) -> None:
    table = generate(rows, seed=3)

    user, movie = table["user_id"].to_numpy(), table["movie_id"].to_numpy()
    assert len(user) == rows
    assert len(np.unique(user * (LARGEST_ID + 1) + movie)) == rows
    assert np.bincount(user)[1:].min() >= 20
    assert (np.lexsort((movie, user)) == np.arange(rows)).all()
    assert table.schema.equals(
        pa.schema(
            [("user_id", pa.int64()), ("movie_id", pa.int64()), ("rating", pa.float32()), ("rated_at", pa.int64())]
        )
    )


def test_fewer_rows_than_a_user_gives_are_refused() -> None:
    with pytest.raises(ValueError, match="20 or more"):
        generate(19)


def test_the_shape_is_that_of_real_ratings() -> None:
    figures = shape(hundred_thousand())

    assert figures["users"] == 649
    assert 55 <= figures["ratings_per_user"]["median"] <= 90
    assert figures["ratings_per_user"]["max"] > 15 * figures["ratings_per_user"]["mean"]
    assert 7_000 <= figures["movies"] <= 12_000
    assert figures["ratings_per_movie"]["median"] <= 4
    assert 0.35 <= figures["ratings_per_movie"]["max"] / figures["users"] <= 0.7
    assert figures["rating_mean"] == pytest.approx(3.53, abs=0.15)
    assert figures["rating_sd"] == pytest.approx(1.06, abs=0.1)
    assert figures["half_star_share"] == pytest.approx(0.3, abs=0.06)


def test_more_rows_are_more_users_and_more_of_the_long_tail() -> None:
    small, large = shape(generate(20_000)), shape(hundred_thousand())

    assert large["users"] == pytest.approx(5 * small["users"], abs=5)
    assert small["movies"] < large["movies"] < 5 * small["movies"]


def test_ratings_are_stars_and_times_lie_in_sessions() -> None:
    table = hundred_thousand()
    user, rating, rated_at = (table[name].to_numpy() for name in ("user_id", "rating", "rated_at"))

    assert set(np.unique(rating)) == set(np.arange(1, 11) / 2)
    whole = np.array([(rating[user == u] % 1 == 0).all() for u in np.unique(user)])
    assert 0.25 < whole.mean() < 0.5
    assert rated_at.min() >= FROM_MS
    assert (rated_at % 1000 == 0).all()
    assert np.ptp(rated_at) > 20 * 365 * 86_400_000
    order = np.lexsort((rated_at, user))
    gaps = np.diff(rated_at[order])[np.diff(user[order]) == 0]
    assert (gaps < 600_000).mean() > 0.9  # the next rating mostly follows within ten minutes …
    assert (gaps > 86_400_000).sum() > 300  # … and some users come again on another day


def test_taste_can_be_learned_and_popularity_is_not_enough() -> None:
    table = hundred_thousand()
    user, movie, rating = (table[name].to_numpy() for name in ("user_id", "movie_id", "rating"))
    train_rows, test_rows = split_random(len(rating), 0.2, 3)
    train = RatingMatrix.from_triples(user[train_rows], movie[train_rows], rating[train_rows])

    metrics = evaluate(fit(train, ModelSettings()), train, user[test_rows], movie[test_rows], rating[test_rows])

    bias_only = metrics["baselines"]["bias_only"]["rmse"]
    assert 0.85 <= bias_only <= 0.91
    assert 0.92 <= metrics["rmse"] / bias_only <= 0.985
    assert metrics["ndcg_at_10"] > 1.7 * metrics["baselines"]["popularity"]["ndcg_at_10"]


def test_the_csv_is_a_ratings_csv(tmp_path: Path) -> None:
    table = generate(2000, seed=5)

    write_csv(table, tmp_path / "ratings.csv")

    assert (tmp_path / "ratings.csv").read_text().startswith("userId,movieId,rating,timestamp\n1,")
    read, titles = ratings(tmp_path / "ratings.csv", None)
    assert read.equals(table)
    assert titles is None
