"""A whole pipeline for a bench, as users run it: `reelstream up` in a process of its own, on a warehouse in a
temporary directory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.processes import family
from reelstream.broker.embedded import running_broker
from reelstream.settings import Settings, load, to_env
from reelstream.store import run_files
from reelstream.store.ratings import RatingsStore

START_S, STOP_S = 180.0, 90.0


@contextmanager
def temporary_settings(**given: object) -> Iterator[Settings]:
    """Settings on a warehouse that is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="reelstream-bench-") as directory:
        yield load(warehouse=Path(directory) / "warehouse", **given)


@contextmanager
def running(settings: Settings, *command: str) -> Iterator[Settings]:
    """`reelstream up`, or another command, with these settings; those that come out name its broker."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "reelstream", *(command or ("up", "--no-serve"))],
        env={**os.environ, **to_env(settings)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=sys.stderr if os.environ.get("REELSTREAM_BENCH_LOG") else subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C here ends it once, by the signal below
    )
    try:
        deadline = time.monotonic() + START_S
        while not _ready(settings, process.pid):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the pipeline did not start; run it by hand to see why: reelstream up")
            time.sleep(0.1)
        address = settings.bootstrap_servers or running_broker(settings.warehouse / "broker")
        yield settings.model_copy(update={"bootstrap_servers": address})
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            for pid in family(process.pid):
                os.kill(pid, signal.SIGKILL)
            process.wait()
            raise SystemExit("the pipeline did not end in order, and was killed") from None


def wait_until_stored(settings: Settings, events: int, limit_s: float = 600.0) -> None:
    """Waits until the store has taken in so many events."""
    store = RatingsStore(settings.warehouse)
    deadline = time.monotonic() + limit_s
    while True:
        state = store.state()
        if state.accepted + state.rejected >= events:
            return
        if time.monotonic() > deadline:
            raise SystemExit(f"only {state.accepted + state.rejected} of {events} events were stored in {limit_s} s")
        time.sleep(0.02)


def _ready(settings: Settings, pid: int) -> bool:
    status = run_files.read(settings.warehouse, "stream")
    return bool(status and status["pid"] == pid and status["state"] == "running")
