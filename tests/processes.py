"""Real `reelstream` processes for tests: started with settings, waited for, and always ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from reelstream.settings import Settings, to_env
from reelstream.store import run_files

LIMIT_S = 120.0


@contextmanager
def reelstream(
    settings: Settings, *command: str, failpoint: str = "", enter: Sequence[str] = (), cwd: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A command in a process of its own; what it says is in `run/COMMAND.log` of the warehouse.

    enter: words before it, of a program that starts it in its own place, such as `nsenter`.
    """
    log = settings.warehouse / "run" / f"{command[0]}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        process = subprocess.Popen(
            [*enter, sys.executable, "-P", "-m", "reelstream", *command],
            env={**os.environ, **to_env(settings), "REELSTREAM_FAILPOINT": failpoint},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until(true: Callable[[], object], what: str, process: subprocess.Popen[bytes] | None = None) -> None:
    """Fails when it is not true within LIMIT_S, or when the process that is to make it true has ended."""
    deadline = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < deadline, f"not within {LIMIT_S} s: {what}"
        assert process is None or process.poll() is None, f"ended with {process.returncode} before: {what}"
        time.sleep(0.05)


def stream_runs(settings: Settings, process: subprocess.Popen[bytes]) -> bool:
    """True once the stream of this very process, or of its `up`, has started."""
    status = run_files.read(settings.warehouse, "stream")
    return bool(status and status["pid"] == process.pid and status["state"] == "running")


def descendants(pid: int) -> set[int]:
    """Process ids of all children of a process, and theirs."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    found: set[int] = set()
    while more := {child for child, parent in parents.items() if parent in found | {pid}} - found:
        found |= more
    return found


def running(pids: set[int]) -> set[int]:
    """Those of the processes that still run; one that has ended and waits to be collected does not count."""
    alive = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z":
            alive.add(pid)
    return alive
