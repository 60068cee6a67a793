"""The comparison with other libraries: its figures against direct ones, and what it says where a library fails."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reelstream.als.arrays import index_of
from reelstream.als.factors import ModelSettings, RatingMatrix
from reelstream.als.fit import fit
from reelstream.als.held_out import HeldOut
from reelstream.als.metrics import bias_only, measure, popular_baseline, rating_metrics
from reelstream.als.splits import split_random
from reelstream.cli.ratings_file import read
from reelstream.settings import load
from tests.bench.run import ended, python, write_csv
from tests.fixtures.rating_data import tastes

EQUAL = ModelSettings(rating_rank=3, rating_iterations=4, ranking_rank=3, ranking_iterations=4, tolerance=0.0)


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    """Ten users and ten movies have one rating: a split leaves some of them cold."""
    user, movie, rating = tastes(n_users=120, n_movies=40, density=0.4)
    once = np.arange(10)
    user = np.concatenate([user, 2001 + once, np.full(10, user[0])])
    movie = np.concatenate([movie, np.full(10, movie[0]), 5001 + once])
    return write_csv(tmp_path / "ratings.csv", (user, movie, np.concatenate([rating, np.full(20, 4, np.float32)])))


def test_ours_and_mllib_side_by_side(csv: Path) -> None:
    options = ("--rounds", 2, "--seeds", 3, "--threads", 2, "--peers", "mllib", "--equal", "3,4")

    done = ended("refit", "--ratings", csv, *options)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    contestants = found["contestants"]
    assert list(contestants) == ["ours rating", "ours ranking", "mllib rating", "mllib ranking"]
    held_out = held_out_by_position(csv, seed=3)
    factors = fit(held_out.train, EQUAL)
    measured, alone = measure(factors, held_out, 10), bias_only(factors, held_out)
    assert 0 < measured.figures["cold_rows"] < len(alone)
    rating_alone = fit(held_out.train, replace(EQUAL, ranking_rank=1, ranking_iterations=1))
    stars = np.where(held_out.warm(), measure(rating_alone, held_out, 10).predicted, alone)
    assert contestants["ours rating"]["rmse"] == round(rating_metrics(stars, held_out.rating)["rmse"] or 0, 4)
    assert contestants["ours ranking"]["ndcg_at_10"] == round(measured.figures["ndcg_at_10"], 4)
    assert found["baselines"] == {
        "bias_only_rmse": round(rating_metrics(alone, held_out.rating)["rmse"] or 0, 4),
        "popularity_ndcg_at_10": round(popular_baseline(factors, held_out, 10)[0]["ndcg_at_10"] or 0, 4),
    }
    assert found["training_ratings"] == len(held_out.train.by_user.indices)
    assert contestants["ours rating"]["settings"].endswith("iterations made 4")
    assert "tolerance 0.0," in contestants["ours rating"]["settings"]
    assert contestants["mllib ranking"]["settings"].startswith("rank 3, maxIter 4")
    assert contestants["mllib rating"]["rmse"] < 1.2
    assert 0 < contestants["mllib ranking"]["ndcg_at_10"] <= 1
    assert contestants["mllib ranking"]["peak_mb_of_children"] > 100
    assert contestants["ours ranking"]["peak_mb"] > 50
    assert all(len(each["fit_s_by_round"]) == 2 for each in contestants.values())
    assert found["times_faster_than"] == {
        f"{what}: mllib {model}": round(contestants[f"mllib {model}"][f"{what}_s"] / contestants[ours][f"{what}_s"], 2)
        for model in ("rating", "ranking")
        for what, ours in (("fit", f"ours {model}"), ("top_n", "ours ranking"))
    }


def held_out_by_position(csv: Path, seed: int) -> HeldOut:
    """The split as the contestants have it: by position in the training ratings, as a random start goes by the id."""
    rows = read(csv, load(), lambda _done, _of: None).ratings
    train, test = split_random(len(rows.rating), 0.2, seed)
    users, user = np.unique(rows.user_id[train], return_inverse=True)
    movies, movie = np.unique(rows.movie_id[train], return_inverse=True)
    matrix = RatingMatrix.from_triples(user, movie, rows.rating[train])
    tested = index_of(users, rows.user_id[test]), index_of(movies, rows.movie_id[test])
    return HeldOut.of(matrix, *tested, rows.rating[test], 4.0)


@pytest.mark.parametrize("module", ["compare", "protocol"])
def test_the_examples_in_the_parts_of_a_comparison_hold(module: str) -> None:
    done = python("doctest", f"bench/peers/{module}.py", "-v")

    assert done.returncode == 0, done.stdout
    assert "Test passed." in done.stdout
    assert "0 passed" not in done.stdout


@pytest.mark.parametrize(
    ("peer", "blas", "turns"),
    [
        ("implicit", "1", ["ours ranking …", "implicit ranking …"]),
        ("cmfrec", "1", ["ours rating …", "cmfrec rating …"]),
        ("lenskit", "2", ["ours rating …", "ours ranking …", "lenskit rating …"]),
    ],
)
def test_a_missing_library_is_named_and_all_use_as_many_threads(
    csv: Path, tmp_path: Path, peer: str, blas: str, turns: list[str]
) -> None:
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "LK_NUM_THREADS")
    (tmp_path / f"{peer}.py").write_text(f"import os\nraise ImportError('/'.join(os.environ[n] for n in {names}))")

    failed = ended("refit", "--ratings", csv, "--peers", peer, "--threads", 2, env={"PYTHONPATH": str(tmp_path)})

    assert failed.returncode == 1
    assert f"cannot import {peer} ({blas}/2/2). Install the peers" in failed.stderr
    assert "-r requirements/peers.txt" in failed.stderr
    assert [line for line in failed.stderr.splitlines() if line.endswith("…")] == turns


def test_a_failure_in_the_process_of_a_contestant_is_shown(csv: Path) -> None:
    failed = ended("refit", "--ratings", csv, "--peers", "implicit", "--equal", "0,1")

    assert failed.returncode == 1
    assert "UsageError: ranking_rank is 0" in failed.stderr
    assert "the process of ours ranking ended with code 1; what it said is above." in failed.stderr


def test_without_equal_ours_has_the_shipped_settings(tmp_path: Path) -> None:
    user = np.repeat(np.arange(20, dtype=np.int32), 10)
    columns = {"user": user, "movie": np.arange(200, dtype=np.int32) * 7 % 30, "rating": np.ones(200, np.float32)}
    pairs = np.arange(3, dtype=np.int32)
    np.savez(tmp_path / "split.npz", **columns, test_user=pairs, test_movie=pairs)
    order = {"split": str(tmp_path / "split.npz"), "out": str(tmp_path), "n": 10}

    done = python("bench.peers.worker", json.dumps({"library": "ours", "model": "rating"}), said=json.dumps(order))

    assert done.returncode == 0, done.stderr
    found, shipped = json.loads(done.stdout), ModelSettings()
    assert f"rating_rank {shipped.rating_rank}," in found["settings"]
    assert f"rating_iterations {shipped.rating_iterations}," in found["settings"]
    assert f"tolerance {shipped.tolerance}," in found["settings"]
    assert "top_n_s" not in found
    with np.load(tmp_path / "answers.npz", allow_pickle=False) as answers:
        assert list(answers) == ["predicted"]
        assert answers["predicted"] == pytest.approx(np.ones(3), abs=0.2)


def test_a_python_that_is_not_there_is_named(csv: Path) -> None:
    failed = ended("refit", "--ratings", csv, "--peers", "implicit", "--peers-python", "nowhere/python")

    assert failed.returncode == 1
    assert "nowhere/python does not start" in failed.stderr
