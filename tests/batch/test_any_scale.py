"""The same tastes on other scales, and likes alone: refits, their gate and `evaluate` go by the scale."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

import reelstream as api
from reelstream.als.arrays import F32
from reelstream.als.scale import Scale
from reelstream.batch.evaluation.evaluate import RatingColumns, evaluate, split
from reelstream.batch.refit import refit
from reelstream.settings import load
from reelstream.store import scale_file
from tests.fixtures.camps import add, camps, fill

STARS = Scale(0.5, 5)
LIKES = Scale(1, 1, 1)


def on(scale: Scale, stars: F32) -> F32:
    """The stars on another scale, in its steps; of thumbs what is liked is up."""
    if scale.kind == "thumbs":
        return np.where(stars >= STARS.liked, scale.rating_max, scale.rating_min).astype(np.float32)
    if scale.rating_min == 0:
        return (stars / 5 * scale.rating_max).astype(np.float32)
    share = (stars - STARS.rating_min) / (STARS.rating_max - STARS.rating_min)
    return (scale.rating_min + share * (scale.rating_max - scale.rating_min)).astype(np.float32)


def ndcg(tmp_path: Path, scale: Scale, seed: int) -> float:
    user, movie, stars = camps(n_users=200, n_movies=120, seed=seed)
    ratings = RatingColumns(user, movie, on(scale, stars), np.arange(len(user)))
    settings = load(warehouse=tmp_path / "none", self_tuning=False, **asdict(scale))
    return float(evaluate(*split(ratings, "random", 0.2, seed), settings).figures["ndcg_at_10"])


@pytest.mark.parametrize("scale", [Scale(0, 100, 1), Scale(-10, 10, 0), Scale(0, 1, 1)], ids=str)
def test_the_same_tastes_give_lists_as_good_as_those_of_stars(tmp_path: Path, scale: Scale) -> None:
    seeds = range(4)
    stars = np.mean([ndcg(tmp_path, STARS, seed) for seed in seeds])

    assert np.mean([ndcg(tmp_path, scale, seed) for seed in seeds]) == pytest.approx(stars, rel=0.03)


def test_of_likes_alone_lists_are_made_measured_and_published(tmp_path: Path) -> None:
    warehouse = tmp_path / "warehouse"
    user, movie, stars = camps(n_users=120)
    liked = stars >= STARS.liked
    scale_file.write_once(warehouse, LIKES)
    store = fill(warehouse, (user[liked], movie[liked], np.ones(liked.sum(), np.float32)))
    settings = load(warehouse=warehouse)

    first = refit(settings)
    add(store, (1, 1001, 1.0), (2, 1000, 1.0))
    second = refit(settings)  # searches, and is compared with the first by the gate

    metrics = second.info["metrics"]
    assert second.name > first.name
    assert metrics["rmse"] == pytest.approx(0, abs=1e-6)
    assert metrics["r2"] is None
    assert metrics["ndcg_at_10"] > 1.5 * metrics["baselines"]["popularity"]["ndcg_at_10"]
    recommender = api.open(warehouse)
    best = recommender.recommend(1, 10)
    assert sum(one.movie_id % 2 == 0 for one in best) >= 8  # user 1 is of the camp of the even movies
    assert {one.predicted_rating for one in best} == {1.0}
