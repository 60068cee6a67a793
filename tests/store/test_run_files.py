"""Whether a status is of a process that still runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reelstream.store import run_files

BOOT = "0f6bd9a2"


def alive(warehouse: Path) -> bool:
    status = run_files.read(warehouse, "stream")
    assert status is not None
    assert "born" not in status
    return bool(status["alive"])


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a Linux tells of this process and of no other."""
    directory = tmp_path / "proc"
    (directory / "sys" / "kernel" / "random").mkdir(parents=True)
    monkeypatch.setattr(run_files, "PROC", directory)
    system(directory, 700)
    return directory


def system(proc: Path, ticks: int, boot: str = BOOT, name: bytes = b"python") -> None:
    (proc / str(os.getpid())).mkdir(exist_ok=True)
    fields = b" ".join(str(number).encode() for number in (*range(4, 22), ticks, *range(23, 53)))
    (proc / str(os.getpid()) / "stat").write_bytes(b"%d (%s) S %s\n" % (os.getpid(), name, fields))
    (proc / "sys" / "kernel" / "random" / "boot_id").write_text(f"{boot}\n")


def test_it_is_alive_as_long_as_its_process(warehouse: Path) -> None:
    assert run_files.read(warehouse, "stream") is None
    (warehouse / "run").mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        run_files.write(warehouse, "stream", {"state": "running", "pid": process.pid})
        assert alive(warehouse)
    assert not alive(warehouse)


@pytest.mark.parametrize("name", [b"python", b"a) S 1 (b", b"\xff\xfe"])
def test_another_process_with_the_same_number_is_not_it(warehouse: Path, proc: Path, name: bytes) -> None:
    (warehouse / "run").mkdir(parents=True)
    system(proc, 700, name=name)
    run_files.write(warehouse, "stream", {"state": "running", "pid": os.getpid()})
    assert json.loads((warehouse / "run" / "stream.json").read_bytes())["born"] == f"{BOOT} 700"
    assert alive(warehouse)
    system(proc, 701, name=name)
    assert not alive(warehouse)
    system(proc, 700, boot="another", name=name)
    assert not alive(warehouse)
    system(proc, 700)
    assert alive(warehouse)


def test_where_the_system_does_not_tell_the_number_decides(warehouse: Path, proc: Path) -> None:
    (warehouse / "run").mkdir(parents=True)
    run_files.write(warehouse, "stream", {"state": "running", "pid": os.getpid()})
    (proc / str(os.getpid()) / "stat").unlink()  # hidden from this user
    assert alive(warehouse)
    run_files.write(warehouse, "stream", {"state": "running", "pid": os.getpid()})
    system(proc, 700)
    assert alive(warehouse)


def test_a_status_of_an_older_reelstream_is_read(warehouse: Path, proc: Path) -> None:
    (warehouse / "run").mkdir(parents=True)
    (warehouse / "run" / "stream.json").write_text(json.dumps({"state": "running", "pid": os.getpid()}))
    assert alive(warehouse)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"7"])
def test_what_is_no_status_is_none(warehouse: Path, content: bytes) -> None:
    (warehouse / "run").mkdir(parents=True)
    (warehouse / "run" / "stream.json").write_bytes(content)
    assert run_files.read(warehouse, "stream") is None
