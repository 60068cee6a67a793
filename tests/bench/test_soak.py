"""The benches on long runs in small, as commands: the harness drives the real parts, and its counts add up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv as pcsv
import pytest

from reelstream.cli.demo import real_ratings
from tests.fixtures.camps import camps
from tests.fixtures.processes import LIMIT_S, descendants, running, wait_until

ROOT = Path(__file__).resolve().parents[2]
BATCHES, EVENTS, FORGET_EVERY, MOST_FILES = 60, 20, 50, 64
FIRST_NEW_USER, STAY_S, RATINGS_PER_USER = 10**6, 60, 154


def ended(bench: str, *options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"bench.{bench}", *map(str, options)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def figures(bench: str, *options: object) -> dict[str, Any]:
    done = ended(bench, *options)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["bench"] == bench
    assert found["seconds"] > 0 < found["machine"]["cpus"]
    assert {"pyspark", "kafka-python", "pyarrow", "numpy"} <= set(found["versions"])
    return found


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    """A ratings.csv of two camps."""
    path = tmp_path / "ratings.csv"
    rows = enumerate(zip(*camps(), strict=True))
    lines = [f"{user},{movie},{stars},{10**9 + at}" for at, (user, movie, stars) in rows]
    path.write_text("\n".join(["userId,movieId,rating,timestamp", *lines]) + "\n")
    return path


def test_a_small_soak_adds_up(csv: Path) -> None:
    found = figures("soak", "--ratings", csv, "--batches", BATCHES, "--refit-every", 25, "--snapshot-from-rows", 500)

    assert found["holds"], found
    real = len(csv.read_text().splitlines()) - 1
    kinds = found["of_which"]
    assert found["events_sent"] == real + BATCHES * EVENTS == sum(kinds.values())
    assert (found["accepted"], found["rejected"]) == (found["events_sent"] - kinds["not_json"], kinds["not_json"])
    assert 0 < kinds["not_json"] < 100
    assert kinds["taken_back"] > 0
    assert kinds["forget"] == found["users_forgotten"] == BATCHES // FORGET_EVERY == 1
    assert (found["missing"], found["ratings_lost"], found["ratings_wrong"]) == (0, 0, 0)
    assert sum(found["refits"].values()) == 2
    assert found["reads"] > 0
    assert found["reader_errors"] == 0
    assert 2 <= max(found["most_files_opened"].values()) <= MOST_FILES
    assert [tenth["batch"] for tenth in found["tenths"]] == [BATCHES * tenth // 10 for tenth in range(11)]
    last = found["tenths"][-1]
    for process in ("pipeline", "reader"):
        assert last[process]["resident_mb"] > 10
        assert last[process]["open_files"] >= 3
    assert last["files_on_disk"]["ratings"] >= last["files_opened"]["ratings"] - 1 > 0
    assert found["rows_in_snapshot"] >= 500
    assert found["compactions"] > 0


def test_sigterm_ends_what_a_bench_has_started_and_leaves_no_files(tmp_path: Path) -> None:
    command, children = [sys.executable, "-m", "bench.publishes", "--publishes", "1000"], set[int]()
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)})
    try:
        wait_until(lambda: len({*tmp_path.glob("*/warehouse/recommendations/v*")}) > 1, "two versions", process)
        children = descendants(process.pid)
        assert len(children) >= 2, "the reader, and the manager between it and the bench"
        process.terminate()
        assert process.wait(LIMIT_S) == 128 + signal.SIGTERM
        wait_until(lambda: not running(children), "the end of the children")
    finally:
        for pid in running({process.pid, *children}):
            os.kill(pid, signal.SIGKILL)
        process.wait()
    assert list(tmp_path.iterdir()) == []


def test_the_events_of_a_load_come_in_time_order_from_users_who_come_and_go(tmp_path: Path) -> None:
    csv = tmp_path / "events.csv"

    found = figures("load", "--rate", 200, "--seconds", 300, "--events", csv)

    user, movie, stars, rated_at = (column.to_numpy() for column in pcsv.read_csv(csv).columns)
    assert found["events"] == len(user) == 60_000
    assert set(np.unique(stars)) <= set(np.arange(1, 11) / 2)
    assert (np.diff(rated_at) >= 0).all()
    assert rated_at[-1] <= time.time_ns() // 1_000_000
    new = user >= FIRST_NEW_USER
    assert 0.97 < new.mean() < 0.99
    real, _ = real_ratings(tmp_path)
    known = pcsv.read_csv(real)
    assert set(user[~new]) <= set(known["userId"].to_pylist())
    assert set(movie) <= set(known["movieId"].to_pylist())
    ids, counts = np.unique(known["movieId"], return_counts=True)
    assert np.bincount(movie).argmax() == ids[counts.argmax()]
    users, counts = np.unique(user[new], return_counts=True)
    assert counts.mean() == pytest.approx(RATINGS_PER_USER, abs=10)
    at = np.flatnonzero(user == users[len(users) // 2])
    assert at[-1] - at[0] <= STAY_S * 200 + counts[len(users) // 2]


def test_a_point_to_be_killed_at_has_to_be_one() -> None:
    done = ended("kills", "--points", "batch-written", "batch-eaten")

    assert (done.returncode, done.stdout) == (2, "")
    assert "invalid choice: 'batch-eaten' (choose from " in done.stderr
