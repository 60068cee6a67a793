"""A `reelstream` command in a process of its own, which dies at a failpoint as by `kill -9`.

In: settings, a command, a failpoint. Out: what the process left on disk. Next: `tests.crash.points`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from reelstream.settings import Settings, to_env

LIMIT_S = 300.0


def killed_at(at: str, settings: Settings, *command: str, end_when: Callable[[int], bool] | None = None) -> None:
    """Runs the command until it is killed at the failpoint `at`, as in REELSTREAM_FAILPOINT.

    With `end_when` it is asked to end once that is true of its process id, and dies on its way out.
    Raises RuntimeError if it ends otherwise, or does not come there within LIMIT_S.
    """
    with process(at, settings, *command) as started:
        if end_when:
            wait_until(end_when, started, settings)
            started.terminate()
        try:
            started.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{command[0]} did not come to {at} within {LIMIT_S:g} s: {said(settings)}") from None
    if started.returncode != -signal.SIGKILL:
        raise RuntimeError(f"not killed at {at}, but exit code {started.returncode}: {said(settings)}")


def wait_until(true: Callable[[int], bool], started: subprocess.Popen[bytes], settings: Settings) -> None:
    """Raises RuntimeError if the process ends before, or it takes longer than LIMIT_S."""
    deadline = time.monotonic() + LIMIT_S
    while not true(started.pid):
        if started.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"did not do all its work (exit code {started.returncode}): {said(settings)}")
        time.sleep(0.05)


@contextmanager
def process(at: str, settings: Settings, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Asked to end when the block is left, if it runs then; what it says is in `run/kills.log`."""
    log = settings.warehouse / "run" / "kills.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        started = subprocess.Popen(
            [sys.executable, "-P", "-m", "reelstream", *command],
            env={**os.environ, **to_env(settings), "REELSTREAM_FAILPOINT": at},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,  # a Ctrl-C is for the bench, which ends it in order
        )
    try:
        yield started
        if started.poll() is None:
            started.terminate()
            started.wait(LIMIT_S)
    finally:
        if started.poll() is None:
            started.kill()
            started.wait()


def said(settings: Settings) -> str:
    """The end of what the last process said."""
    return (settings.warehouse / "run" / "kills.log").read_text(errors="replace")[-2000:]
