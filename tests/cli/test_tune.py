"""`reelstream tune`, with real Spark; in a process of its own where that is to be stopped, killed or spread."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from reelstream.als.factors import ModelSettings
from reelstream.settings import load, to_env
from reelstream.store.adopted import adopted
from reelstream.store.ratings import RatingsStore
from tests.cli.conftest import Reelstream
from tests.fixtures.camps import add, camps
from tests.fixtures.processes import descendants, running, wait_until
from tests.fixtures.processes import reelstream as real_process
from tests.fixtures.spark_home import spark_home

GRID = ("--param", "rating_rank=1,2", "--param", "ranking_rank=1,2,3")
TRIALS = 7
"""Of that grid, with the settings in use."""


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    """The ratings of two camps, in a random order of time."""
    user_id, movie_id, stars = (column.tolist() for column in camps())
    times = np.random.default_rng(1).permutation(len(stars)).tolist()
    rows = [f"{u},{m},{r},{10**9 + t}" for u, m, r, t in zip(user_id, movie_id, stars, times, strict=True)]
    path = tmp_path / "ratings.csv"
    path.write_text("\n".join(["userId,movieId,rating,timestamp", *rows, ""]))
    return path


def trials(directory: Path) -> list[dict[str, Any]]:
    """Rows of the table, by the name of their trial."""
    found: list[dict[str, Any]] = pq.read_table(directory / "trials").to_pylist()
    return sorted(found, key=lambda row: str(row["trial"]))


def stored(warehouse: Path) -> None:
    """The camps in the ratings store, in three micro-batches, each rated later than the one before."""
    rows = list(zip(*(column.tolist() for column in camps()), strict=True))
    store = RatingsStore(warehouse)
    for start in range(3):
        add(store, *rows[start::3])


def files_of(directory: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of every row's file: another writing would change both."""
    return {
        path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (directory / "trials").glob("*.parquet")
    }


def test_a_csv_is_tuned_on_and_the_answer_fits_80_columns(
    reelstream: Reelstream, spark: SparkSession, csv: Path, tmp_path: Path
) -> None:
    answer = reelstream("tune", csv, *GRID, "--out", tmp_path / "out")

    assert answer.code == 0
    assert answer.err.startswith("Scale of ratings, guessed from 1 to 5: 0.5 to 5 in halves, liked from 4 on.")
    assert answer.err.count("\n") == 1
    assert max(map(len, answer.out.splitlines()[:-3])) <= 80
    assert re.match(rf"{TRIALS} trials on [\d,]+ ratings, held out by user-time 0\.2\.\n", answer.out)
    assert re.search(r"^Rating model +\n +rank +RMSE +MAE +fit s\n", answer.out, re.MULTILINE)
    assert re.search(r"^ *best(, in use)? .*\n", answer.out, re.MULTILINE)
    assert re.search(
        r"^On \d+ test ratings .*\n +winner +defaults +biases only +popularity\n", answer.out, re.MULTILINE
    )
    assert answer.out.endswith("Not adopted. The same command with --adopt does that; no trial runs again.\n")
    assert len(trials(tmp_path / "out")) == TRIALS
    assert (tmp_path / "out" / "heatmap.svg").read_text("utf-8").startswith("<?xml")
    assert [path.name for path in Path.cwd().iterdir()] == [], "no warehouse is left behind"


def test_the_warehouse_is_tuned_on_and_the_best_is_adopted_and_dropped(
    reelstream: Reelstream, spark: SparkSession, warehouse: Path
) -> None:
    stored(warehouse)
    words = ("tune", "--warehouse", warehouse, *GRID, "--json")

    first = reelstream(*words)

    assert (first.code, first.err) == (0, "")
    there = Path(first.json["out"])
    assert there.parent == warehouse / "tune"
    assert first.json["adopted"] is False
    assert (first.json["trials"], first.json["trials_kept"], first.json["trials_failed"]) == (TRIALS, 0, 0)
    assert first.json["ratings"] == len(camps()[0])
    assert set(first.json["test"]) == {"winner", "in_use", "defaults", "popularity", "bias_only"}
    rows = {row["trial"]: row for row in trials(there)}
    assert first.json["best"]["rating"]["rmse"] == min(r["rmse"] for r in rows.values() if r["rmse"] is not None)
    assert adopted(warehouse, rating_min=0.5, rating_max=5) == ModelSettings()
    before = files_of(there)

    second = reelstream(*words, "--adopt")

    assert second.json["adopted"] is True
    assert second.json["trials_kept"] == TRIALS
    assert files_of(there) == before
    assert second.json["settings"] == first.json["settings"]
    assert adopted(warehouse, rating_min=0.5, rating_max=5) == ModelSettings(**first.json["settings"])

    third = reelstream(*words)
    assert 0 < third.json["trials_kept"] < third.json["trials"], "the rating model is beside another ranking model now"
    assert third.json["settings"]["ranking_alpha0"] == first.json["settings"]["ranking_alpha0"]
    assert reelstream(*words).json["trials_kept"] == third.json["trials"], "what is in use now has been tried before"

    back = reelstream("tune", "--warehouse", warehouse, "--adopt-defaults")
    assert (back.code, back.out) == (0, "The next refits take the shipped defaults.\n")
    assert adopted(warehouse, rating_min=0.5, rating_max=5) == ModelSettings()
    again = reelstream("tune", "--warehouse", warehouse, "--adopt-defaults", "--json")
    assert again.json == {"adopted": False, "dropped": False}


def test_what_was_adopted_for_one_model_stays_when_the_other_is_tuned(
    reelstream: Reelstream, spark: SparkSession, warehouse: Path
) -> None:
    stored(warehouse)
    tune = ("tune", "--warehouse", warehouse, "--adopt", "--json")

    rating = reelstream(*tune, "--param", "rating_prior_count=3,7")
    ranking = reelstream(*tune, "--param", "ranking_alpha0=0.2,0.9")

    now = adopted(warehouse, rating_min=0.5, rating_max=5)
    assert now != ModelSettings()
    assert now.rating_prior_count == rating.json["best"]["rating"]["rating_prior_count"]
    assert now.ranking_alpha0 == ranking.json["best"]["ranking"]["ranking_alpha0"]


def test_a_failed_trial_is_told_and_does_not_stop_the_others(
    reelstream: Reelstream, spark: SparkSession, csv: Path, tmp_path: Path
) -> None:
    answer = reelstream("tune", csv, "--param", "rating_regularization=0,0.1", "--out", tmp_path / "out")

    assert answer.code == 0
    assert "1 failed; the first: rating_regularization is 0.0; set it to a number above 0.\n" in answer.out
    assert len(trials(tmp_path / "out")) == 3


def test_bad_rows_are_shown_and_left_out(
    reelstream: Reelstream, spark: SparkSession, csv: Path, tmp_path: Path
) -> None:
    with csv.open("a") as file:
        file.write("1,2,eleven,3\n")

    answer = reelstream("tune", csv, "--param", "rating_rank=1", "--out", tmp_path / "out")

    assert answer.code == 8
    assert "1 bad row was left out:\n  line " in answer.err
    as_json = reelstream("tune", csv, "--param", "rating_rank=1", "--out", tmp_path / "out", "--json")
    assert (as_json.code, as_json.json["bad_rows"], as_json.err) == (8, 1, "")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--param", "rank=1"], 2, "'rank' is no setting to tune; take one of rating_rank, "),
        (["--param", "rating_rank"], 2, "rating_rank has no value; "),
        (["--param", "rating_rank=[red]x"], 2, "rating_rank takes whole numbers, not '[red]x'."),
        (["--param", "ranking_alpha0=0.1..1"], 2, "ranking_alpha0 is a range; "),
        (["--split", "newest"], 2, "--split is 'newest'; "),
        (["--test-fraction", "1"], 2, "--test-fraction is 1; "),
        (["--encoding", "x"], 2, "--encoding x is unknown; "),
        (["--adopt"], 3, "there is no warehouse at warehouse; "),
        (["--adopt-defaults"], 3, "there is no warehouse at warehouse; "),
        (["--out", "ratings.csv"], 2, "--out ratings.csv is not a directory; "),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_runs(
    reelstream: Reelstream, csv: Path, words: Sequence[str], code: int, says: str
) -> None:
    mine = csv.rename(Path("ratings.csv"))

    answer = reelstream("tune", mine, *words)

    assert (answer.code, answer.out) == (code, "")
    assert answer.err.startswith(f"reelstream: {says}")
    assert not list(Path.cwd().rglob("*.parquet"))


def test_without_a_warehouse_or_ratings_it_says_what_is_missing(reelstream: Reelstream, warehouse: Path) -> None:
    assert reelstream("tune").code == 3
    warehouse.mkdir()
    answer = reelstream("tune", "--warehouse", warehouse)
    assert answer.code == 3
    assert answer.err.startswith("reelstream: there are no ratings yet;")
    both = reelstream("tune", "--warehouse", warehouse, "--adopt", "--adopt-defaults")
    assert (both.code, both.err.startswith("reelstream: --adopt and --adopt-defaults exclude")) == (2, True)


def test_damaged_adopted_settings_are_said_to_be(reelstream: Reelstream, warehouse: Path) -> None:
    stored(warehouse)
    (warehouse / "models").mkdir()
    (warehouse / "models" / "adopted.json").write_text("{")

    answer = reelstream("tune", "--warehouse", warehouse)

    assert answer.code == 7
    assert "adopted.json holds no settings of the models" in answer.err
    assert reelstream("tune", "--warehouse", warehouse, "--adopt-defaults").code == 0


def test_after_kill_9_the_same_command_goes_on_with_what_is_missing(
    reelstream: Reelstream, spark: SparkSession, warehouse: Path, csv: Path, tmp_path: Path
) -> None:
    words = ("tune", str(csv), *GRID, "--out", str(tmp_path / "out"))
    settings = load(warehouse=warehouse)
    with real_process(settings, *words, failpoint="trial-written") as process:
        started: set[int] = set()
        wait_until(lambda: started.update(descendants(process.pid)) or process.poll() is not None, "killed")
        assert process.returncode == -signal.SIGKILL
    wait_until(lambda: not running(started), "Spark has ended, too")
    before = files_of(tmp_path / "out")
    assert len(before) == 1

    answer = reelstream(*words, "--json")

    assert (answer.code, answer.json["trials"], answer.json["trials_kept"]) == (0, TRIALS, 1)
    after = files_of(tmp_path / "out")
    assert len(after) == TRIALS
    assert after.items() >= before.items()
    assert [row["error"] for row in trials(tmp_path / "out")] == [None] * TRIALS


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(warehouse: Path, csv: Path, tmp_path: Path) -> None:
    words = (
        "tune",
        str(csv),
        "--param",
        "rating_prior_count=0..100",
        "--random",
        "5000",
        "--out",
        str(tmp_path / "out"),
    )
    with real_process(load(warehouse=warehouse), *words) as process:
        wait_until(lambda: len(files_of(tmp_path / "out")) >= 2, "two trials", process)
        started = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130

    wait_until(lambda: not running(started), "Spark has ended, too")
    done = trials(tmp_path / "out")
    assert 2 <= len(done) < 5000
    assert [row["error"] for row in done] == [None] * len(done)
    said = (warehouse / "run" / "tune.log").read_text()
    assert f"Stopped; {len(done)} of " in said
    assert f"trials are done and kept in {tmp_path / 'out'}. The same command goes on from there.\n" in said
    assert "Traceback" not in said


def test_trials_run_on_executors_that_are_processes_of_their_own(csv: Path, warehouse: Path, tmp_path: Path) -> None:
    home = spark_home(tmp_path / "spark")
    settings = load(warehouse=warehouse, spark_master="local-cluster[2,1,1024]")

    ran = subprocess.run(
        [sys.executable, "-P", "-m", "reelstream", "tune", csv, *GRID, "--out", tmp_path / "out", "--json"],
        env={**os.environ, **to_env(settings), "SPARK_HOME": str(home)},
        capture_output=True,
        text=True,
    )

    assert ran.returncode == 0, ran.stderr
    assert (json.loads(ran.stdout)["trials"], json.loads(ran.stdout)["trials_failed"]) == (TRIALS, 0)
    assert len(list(home.glob("work/app-*/*/stdout"))) == 2
    assert len(trials(tmp_path / "out")) == TRIALS
    assert not warehouse.exists(), "a CSV needs none"
