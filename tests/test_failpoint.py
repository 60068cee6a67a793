"""Every failpoint of the product has a name in FAILPOINTS, each name is at one place, and a name that is none is refused."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from reelstream.failpoint import FAILPOINTS
from tests.crash import points

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("reelstream", "producer", "stream", "batch", "cli")


def names_in_the_code() -> Counter[str]:
    found: Counter[str] = Counter()
    for path in [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "failpoint":
                [name] = node.args
                assert isinstance(name, ast.Constant), f"{path}:{node.lineno} has a name that is computed"
                found[str(name.value)] += 1
    return found


def test_each_name_is_at_one_place_in_the_code_and_in_the_tuple() -> None:
    assert names_in_the_code() == Counter(FAILPOINTS)


def test_the_bench_kills_at_each_of_them() -> None:
    rooms = (*points.STREAM, *points.REFIT, *points.ROLLBACK, *points.TITLES, *points.TUNE)
    assert Counter(rooms) == Counter(FAILPOINTS)
    assert set(points.PREPARE) | set(points.NTH) <= set(FAILPOINTS)


REACH_IT = (
    "from reelstream.failpoint import failpoint\nfor n in range(3): failpoint('batch-stored'); print(n, flush=True)"
)


@pytest.mark.parametrize(
    ("asked", "said", "code"),
    [
        ("batch-stored", "", -signal.SIGKILL),
        ("batch-stored:1", "", -signal.SIGKILL),
        ("batch-stored:3", "0\n1\n", -signal.SIGKILL),
        ("batch-stored:4", "0\n1\n2\n", 0),
        ("batch-written", "0\n1\n2\n", 0),
        ("", "0\n1\n2\n", 0),
    ],
)
def test_the_process_dies_where_it_is_asked_to(asked: str, said: str, code: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", REACH_IT],
        env={**os.environ, "REELSTREAM_FAILPOINT": asked},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.stdout, ended.returncode) == (said, code)


@pytest.mark.parametrize("asked", ["batch-stord", "batch-stored:0", "batch-stored:", "batch-stored:x", ":2"])
def test_a_name_that_is_none_is_refused_at_the_start(asked: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "reelstream", "settings"],
        env={**os.environ, "REELSTREAM_FAILPOINT": asked},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 2
    assert ended.stderr.startswith(f"reelstream: REELSTREAM_FAILPOINT={asked} is none of table-aside, ")
    assert ended.stdout == ""
