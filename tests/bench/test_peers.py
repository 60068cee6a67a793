"""The comparison with other libraries: its own figures against direct ones, and the words between the processes."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from bench.peers.compare import Comparison, compare, jobs, quality, ratios
from bench.peers.ours import model_settings
from bench.peers.process import Worker, thread_limits
from bench.peers.protocol import Job, Split, TooSlow, one_by_one
from bench.peers.table import as_text
from reelstream.als.factors import ModelSettings, RatingMatrix
from reelstream.als.fit import fit
from reelstream.als.held_out import HeldOut
from reelstream.als.metrics import evaluate
from reelstream.als.splits import split_random
from tests.fixtures.rating_data import tastes

ASKED = Comparison(peers=["mllib"], python=Path(sys.executable), rounds=2, seeds=[3], threads=2, equal=(3, 4))


def test_ours_and_mllib_side_by_side() -> None:
    user, movie, rating = tastes(n_users=120, n_movies=40, density=0.4)
    user, movie = (np.unique(ids, return_inverse=True)[1] for ids in (user, movie))  # a random start goes by the id

    figures = compare(pa.table({"user_id": user, "movie_id": movie, "rating": rating}), ASKED)

    contestants = figures["contestants"]
    assert list(contestants) == ["ours rating", "ours ranking", "mllib rating", "mllib ranking"]
    train_rows, test_rows = split_random(len(rating), 0.2, 3)
    train = RatingMatrix.from_triples(user[train_rows], movie[train_rows], rating[train_rows])
    settings = ModelSettings(rating_rank=3, rating_iterations=4, ranking_rank=3, ranking_iterations=4, tolerance=0.0)
    direct = evaluate(fit(train, settings), train, user[test_rows], movie[test_rows], rating[test_rows])
    assert direct["cold_rows"] == 0
    assert contestants["ours rating"]["rmse"] == round(direct["rmse"], 4)
    assert contestants["ours ranking"]["ndcg_at_10"] == round(direct["ndcg_at_10"], 4)
    assert figures["baselines"]["bias_only_rmse"] == round(direct["baselines"]["bias_only"]["rmse"], 4)
    assert figures["baselines"]["popularity_ndcg_at_10"] == round(direct["baselines"]["popularity"]["ndcg_at_10"], 4)
    assert contestants["ours rating"]["settings"].endswith("; 4 iterations were made")
    assert contestants["mllib rating"]["rmse"] < 1.2
    assert 0 < contestants["mllib ranking"]["ndcg_at_10"] <= 1
    assert contestants["mllib ranking"]["peak_mb_of_children"] > 100
    assert contestants["ours ranking"]["peak_mb"] > 50
    assert all(len(each["fit_s_by_round"]) == 2 for each in contestants.values())
    of_mllib = [f"{what}: mllib {model}" for model in ("rating", "ranking") for what in ("fit", "top_n")]
    assert list(figures["times_faster_than"]) == of_mllib
    assert "mllib ranking: rank 3, maxIter 4" in as_text(figures)


def test_each_model_that_a_peer_has_is_also_ours() -> None:
    def named(*peers: str) -> list[str]:
        return [job.name for job in jobs(replace(ASKED, peers=peers))]

    assert named("implicit") == ["ours ranking", "implicit ranking"]
    assert named("surprise") == ["ours rating", "surprise rating"]
    assert named("implicit", "cmfrec")[:2] == ["ours rating", "ours ranking"]
    assert "cmfrec rating exact" in named("cmfrec")


def test_fits_are_compared_only_where_rank_and_iterations_are_equal() -> None:
    figures = {
        "ours ranking": {"fit_s": 2.0, "iteration_s": 0.1, "top_n_s": 0.5},
        "implicit ranking": {"fit_s": 3.0, "iteration_s": 0.3, "top_n_s": 0.25},
    }

    def of(equal: tuple[int, int] | None) -> dict[str, float]:
        return ratios(jobs(replace(ASKED, peers=["implicit"], equal=equal)), figures)

    assert of((64, 10)) == {
        "fit: implicit ranking": 1.5,
        "iteration: implicit ranking": 3,
        "top_n: implicit ranking": 0.5,
    }
    assert of(None) == {"top_n: implicit ranking": 0.5}


def test_our_settings_are_the_defaults_or_the_asked_rank_without_an_early_stop() -> None:
    default, equal = model_settings(Job("ours", "rating")), model_settings(Job("ours", "rating", "", 10, 7))

    shipped = ModelSettings()
    assert (default.rating_rank, default.tolerance) == (shipped.rating_rank, shipped.tolerance)
    assert (equal.rating_rank, equal.rating_iterations, equal.tolerance) == (10, 7, 0)
    assert (equal.ranking_rank, equal.ranking_iterations) == (1, 1)


def test_a_cold_row_counts_as_predicted_by_the_biases_alone(tmp_path: Path) -> None:
    train = RatingMatrix.from_triples(np.array([1, 1, 2]), np.array([5, 6, 5]), np.array([4, 2, 3], np.float32))
    held_out = HeldOut.of(train, np.array([2, 1]), np.array([6, 9]), np.array([5, 1], np.float32))
    lists = np.full((2, 10), -1, np.int32)
    lists[1, 0] = 1
    np.savez(tmp_path / "answers.npz", predicted=np.array([7], np.float32), lists=lists)

    figures = quality(tmp_path / "answers.npz", held_out, np.array([3, 2], np.float32))

    assert figures["rmse"] == pytest.approx(np.sqrt((0**2 + 1**2) / 2))  # 7 is clipped to 5; the cold 2 was 1
    assert figures["ndcg_at_10"] == 1


def test_a_split_comes_back_from_its_file(tmp_path: Path) -> None:
    int32 = [np.array(each, np.int32) for each in ([0, 0, 2], [3, 1, 0], [1], [2])]
    split = Split(int32[0], int32[1], np.array([5, 4, 0.5], np.float32), int32[2], int32[3])

    split.save(tmp_path / "split.npz")
    back = Split.load(tmp_path / "split.npz")

    for name in Split.__slots__:
        assert np.array_equal(getattr(back, name), getattr(split, name))
    assert (back.n_users, back.n_movies) == (3, 4)
    assert [back.seen(user).tolist() for user in range(3)] == [[3, 1], [], [0]]


def test_lists_made_one_by_one_are_filled_up_or_given_up() -> None:
    def best(user: int) -> np.ndarray:
        return np.arange(user)

    assert one_by_one(best, 3, 2, limit_s=1e9).tolist() == [[-1, -1], [0, -1], [0, 1]]
    with pytest.raises(TooSlow):
        one_by_one(best, 3, 2, limit_s=-1, try_users=1)


def test_all_use_as_many_threads() -> None:
    implicit, lenskit = (thread_limits(Job(name, "ranking", threads=3)) for name in ("implicit", "lenskit"))

    assert (implicit["OPENBLAS_NUM_THREADS"], implicit["OMP_NUM_THREADS"]) == ("1", "3")
    assert (lenskit["OPENBLAS_NUM_THREADS"], lenskit["LK_NUM_THREADS"]) == ("3", "3")


def test_a_library_that_is_missing_is_named_with_the_way_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "implicit.py").write_text("raise ImportError('not here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with Worker(Job("implicit", "ranking"), Path(sys.executable)) as worker:
        with pytest.raises(SystemExit, match=r"cannot import implicit \(not here\)[^$]*-r requirements/peers\.txt"):
            worker.ask("load", split="none")
        with pytest.raises(SystemExit, match="cannot import implicit"):
            worker.ask("fit")


def test_a_python_that_is_not_there_is_named() -> None:
    with (
        pytest.raises(SystemExit, match="nowhere/python"),
        Worker(Job("implicit", "ranking"), Path("nowhere/python")),
    ):
        pass


def test_a_failure_in_the_process_of_a_contestant_is_shown() -> None:
    with (
        Worker(Job("ours", "ranking"), Path(sys.executable)) as worker,
        pytest.raises(SystemExit, match=r"ours ranking failed at load:[^$]*FileNotFoundError"),
    ):
        worker.ask("load", split="nowhere.npz")
