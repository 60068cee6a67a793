"""The set-up as a program: what can't be had is one sentence, and Ctrl-C ends all that it had started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fixtures.processes import descendants, running
from tools import set_up

PROGRAM = Path(set_up.__file__)


def test_an_old_python_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_up, "OLDEST_PYTHON", (4, 0))
    with pytest.raises(set_up.Missing, match=r"is too old; install Python 3\.11 or newer, or run make PYTHON="):
        set_up.check_machine("demo")


def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_up, "NEEDED_MB", {"demo": 10**9})
    with pytest.raises(
        set_up.Missing, match=r"this disk has \d+ MB left; the set-up needs 1000000000. Free some first"
    ):
        set_up.check_machine("demo")


def test_no_network_is_one_sentence(tmp_path: Path) -> None:
    env = {
        **os.environ,
        "PIP_INDEX_URL": "http://127.0.0.1:9/",
        "PIP_RETRIES": "0",
        "PIP_NO_INDEX": "",
        "PIP_FIND_LINKS": "",
    }
    ran = subprocess.run(
        [sys.executable, PROGRAM, "demo", tmp_path / "venv"], env=env, capture_output=True, text=True, check=False
    )
    assert ran.returncode == set_up.EXIT_MISSING
    assert [
        line
        for line in ran.stderr.splitlines()
        if line.startswith("reelstream: uv can't be installed; check the network")
    ]


def test_ctrl_c_ends_it_and_all_that_it_started(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    for name in ("python", "uv"):
        (venv / "bin" / name).write_text("#!/bin/sh\nexec sleep 60\n")
        (venv / "bin" / name).chmod(0o755)
    process = subprocess.Popen([sys.executable, PROGRAM, "demo", venv], stderr=subprocess.PIPE, text=True)
    while len(descendants(process.pid)) < 3:
        assert process.poll() is None
        time.sleep(0.05)
    started = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == set_up.EXIT_INTERRUPTED
    assert said.splitlines()[-1] == "interrupted; the next make goes on from here"
    assert "Traceback" not in said
    assert not running(started)


def test_a_step_that_fails_is_told_in_its_own_words() -> None:
    step = set_up.Step("some", [sys.executable, "-c", "import sys; sys.exit('reelstream: it is not there; get it.')"])
    with pytest.raises(set_up.Missing, match=r"^it is not there; get it\.$"):
        set_up.wait([step], set_up.Screen(), set_up.Interruption())
