"""The bench of a whole refit on few ratings, and what its options are taken for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reelstream.als.factors import ModelSettings, RatingMatrix
from reelstream.als.fit import fit
from reelstream.als.metrics import evaluate
from reelstream.als.splits import split_random
from tests.bench.run import ended, figures, write_csv
from tests.fixtures.camps import camps

TUNES = {"REELSTREAM_SELF_TUNING": "true"}
QUALITY = {"rmse", "ndcg_at_10", "bias_only_rmse", "popularity_ndcg_at_10"}


def test_refits_of_two_sizes_are_timed_by_step_in_a_process_of_their_own() -> None:
    found = figures("refit", "--synthetic", 2000, 5000, "--rounds", 2, "--threads", 1)

    assert found["machine"]["cpus"] == 1
    assert [size["ratings"] for size in found["sizes"]] == [2000, 5000]  # as the version says that they publish
    smaller, larger = (size["refit_s"]["median"] for size in found["sizes"])
    assert found["grows"] == [pytest.approx(larger / smaller, abs=0.006)]
    for size in found["sizes"]:
        assert len(size["refit_s"]["rounds"]) == 2
        for seconds in (size["of_which_s"], size["refit_again_s"]):
            assert sum(seconds.values()) - seconds["all"] <= seconds["all"]
            assert {"read ratings", "fit all ratings", "top-N tables"} < set(seconds)
        assert size["peak_mb"] > 50
        assert set(size["quality"]) == QUALITY
        assert 0.5 < size["quality"]["rmse"] < 1.2


def test_a_file_is_split_and_measured_for_each_seed(tmp_path: Path) -> None:
    user, movie, rating = camps()  # sorted by user, then movie, as the bench reads it
    csv = write_csv(tmp_path / "ratings.csv", (user, movie, rating))

    found = figures("refit", "--ratings", csv, "--rounds", 1, "--seeds", 3, 4, "--no-self-tuning", env=TUNES)

    assert "search" not in found
    first, second = found["random_80_20"]
    assert (first.pop("seed"), second.pop("seed")) == (3, 4)
    assert set(first) == QUALITY
    train, test = split_random(len(rating), 0.2, 3)
    matrix = RatingMatrix.from_triples(user[train], movie[train], rating[train])
    direct = evaluate(fit(matrix, ModelSettings()), matrix, user[test], movie[test], rating[test])
    assert [first["rmse"], first["ndcg_at_10"]] == [round(direct["rmse"], 4), round(direct["ndcg_at_10"], 4)]
    for name, mean in found["mean"].items():
        assert mean == pytest.approx(np.mean([first[name], second[name]]), abs=1e-4)


def test_a_search_and_what_follows_it_stand_beside_the_plain_refits() -> None:
    found = figures("refit", "--synthetic", 1500, "--rounds", 1, env=TUNES)

    assert [row["of"] for row in found["search"]["tried"]] == ["rating model", "ranking model", "fold-in"]
    assert "search for better settings" in found["search"]["seconds"]
    settled = found["settled"]
    assert settled["times"] == pytest.approx(settled["with_neighbours_s"] / settled["without_s"], abs=0.006)


@pytest.mark.parametrize(
    "wrong", [["--peers", "mllib,none"], ["--equal", "64"], ["--ratings", "a", "--synthetic", "9"]]
)
def test_wrong_options_are_refused(wrong: list[str]) -> None:
    refused = ended("refit", *wrong)

    assert refused.returncode == 2
    assert wrong[0] in refused.stderr


def test_the_benches_of_single_steps_print_their_figures() -> None:
    row = figures("half_step", "--entries", 8, "--rounds", 1)["us_a_row_by_entries"]["8"]
    start = figures("warm_start", "--synthetic", 2000, "--seeds", 3, "--rounds", 1)
    words = figures("startup", "--rounds", 1)["median_ms"]

    assert row.keys() == {"solved", "approached"}
    assert all(us > 0 for us in row.values())
    assert start["ratings"] == 2000
    mean, split = start["mean"], start["splits"][0]
    assert mean == {name: figure for name, figure in split.items() if name != "seed"}
    assert start["warm_to_cold"]["rmse"] == round(mean["warm_rmse"] / mean["cold_rmse"], 4)
    assert start["warm_to_cold"]["seconds"] == round(mean["warm_s"] / mean["cold_s"], 4)
    assert 2 <= mean["warm_iterations"] <= mean["cold_iterations"]
    assert words.keys() == {"python", "--version", "--help"}
    assert all(ms > 0 for ms in words.values())
