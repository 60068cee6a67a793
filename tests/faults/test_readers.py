"""A reader that runs all the time, in a process of its own, while versions are published, ratings and lists come, small
files are compacted and users are forgotten: it sees no error, and no answer of two versions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PUBLISHES = 60


def test_a_reader_sees_no_error_and_no_mixed_version() -> None:
    command = [sys.executable, "-m", "bench.publishes", "--publishes", str(PUBLISHES), "--json"]

    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert ended.stdout, ended.stderr
    counted = json.loads(ended.stdout)
    assert counted["errors"] == 0, counted["first_errors"]
    assert counted["mixed"] == 0
    assert ended.returncode == 0
    assert counted["last_version"] == f"{PUBLISHES + 1:06d}"
    assert set(counted["reads"]) == {"recommend", "recommendations", "similar", "popular", "predict", "ratings"}
    assert counted["versions_seen"] > 10, "it hardly read while versions came"
    assert counted["compactions"]
    assert counted["forgotten"] == PUBLISHES
