"""What the benches share: options, one JSON report, ratings, temporary warehouses, and `reelstream` in its own process.

In: a function that measures. Out: JSON on standard output, with the machine and the versions that the figures belong to.
Next: README and docs quote it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa

from bench.synthetic import generate
from reelstream.broker.embedded import running_broker
from reelstream.cli.demo import real_ratings
from reelstream.cli.ratings_file import read
from reelstream.cli.replay import replay_file
from reelstream.settings import Settings, load, to_env
from reelstream.store import run_files
from reelstream.store.movies import read_csv
from reelstream.store.ratings import RatingsStore
from tests.fixtures.processes import descendants, stream_runs

Figures = dict[str, Any]
PACKAGES = ("reelstream", "pyspark", "kafka-python", "pyarrow", "numpy", "numba", "lz4")
NEVER = {"refit_after_ratings": 10**9, "refit_after_minutes": 10**6}
"""Settings by which the pipeline refits only when it is asked to."""
START_S, STOP_S, LEAD_IN_S = 180.0, 90.0, 5.0


def options(doc: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="kept for symmetry: a bench always prints JSON")
    return parser


def data_options(parser: argparse.ArgumentParser, *, nargs: str | None = None) -> None:
    """--ratings and --synthetic; without either, `ratings` takes those of the demo."""
    data = parser.add_mutually_exclusive_group()
    data.add_argument("--ratings", type=Path, help="a MovieLens ratings.csv")
    data.add_argument("--synthetic", type=int, nargs=nargs, metavar="ROWS", help="ratings of bench.synthetic, so many")


def run(bench: str, parser: argparse.ArgumentParser, measure: Callable[[argparse.Namespace], Figures]) -> Figures:
    """Prints the figures, JSON-ready, with the whole run's seconds, the machine and the versions; returns them."""
    asked, started = parser.parse_args(), time.perf_counter()
    figures = measure(asked)
    seconds = round(time.perf_counter() - started, 1)
    report = {"bench": bench, **figures, "seconds": seconds, "machine": machine(), "versions": versions()}
    print(json.dumps(report, indent=2))
    return figures


def machine() -> Figures:
    """CPUs that this process may use, their model, memory in GB, system and Python."""
    models: list[str] = []
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu_model": models[0] if models else platform.processor() or "unknown",
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Of the installed packages that figures depend on."""
    found = {}
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def ratings(csv: Path | None = None, synthetic: int | None = None) -> tuple[pa.Table, pa.Table | None]:
    """(user_id, movie_id, rating, rated_at int64 in ms; titles or None) of the file, so many synthetic ones, or the demo's."""
    if synthetic:
        return generate(synthetic), None
    with tempfile.TemporaryDirectory() as directory:
        csv, movies = (csv, None) if csv else real_ratings(Path(directory))
        rows = read(csv, load(), lambda _done, _of: None).ratings
        titles = read_csv(movies) if movies else None
    columns = {"user_id": rows.user_id, "movie_id": rows.movie_id, "rating": rows.rating, "rated_at": rows.rated_at_ms}
    return pa.table(columns), titles


@contextmanager
def temporary_settings(**given: object) -> Iterator[Settings]:
    """Settings on a warehouse that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="reelstream-bench-") as directory:
        yield load(warehouse=Path(directory) / "warehouse", **given)


@contextmanager
def command(settings: Settings, *words: str, **more: Any) -> Iterator[subprocess.Popen[str]]:
    """`reelstream` in a process of its own; ended by Ctrl-C when the block is left. more: for Popen.

    Raises SystemExit if it does not end in order; it is killed then, with its children.
    """
    log = None if os.environ.get("REELSTREAM_BENCH_LOG") else subprocess.DEVNULL
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": log, **more}
    process: subprocess.Popen[str] = subprocess.Popen(
        [sys.executable, "-P", "-m", "reelstream", *words],
        env={**os.environ, **to_env(settings)},
        start_new_session=True,  # a Ctrl-C here ends it once, by the signal below
        text=True,
        **pipes,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            for pid in {process.pid, *descendants(process.pid)}:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()
            raise SystemExit(f"reelstream {words[0]} did not end in order, and was killed") from None


@contextmanager
def running(settings: Settings, *words: str) -> Iterator[Settings]:
    """`reelstream up`, or another command, once it is up; the settings that come out name its broker."""
    with command(settings, *(words or ("up", "--no-serve"))) as process:
        wait_until_running(settings, process)
        address = settings.bootstrap_servers or running_broker(settings.warehouse / "broker")
        yield settings.model_copy(update={"bootstrap_servers": address})


def wait_until_running(settings: Settings, process: subprocess.Popen[str], *said: str) -> None:
    """Until the process says that it runs, and `said` in its status."""

    def runs() -> bool:
        status = run_files.read(settings.warehouse, "stream") or {}
        return stream_runs(settings, process) and status.keys() >= set(said)

    wait_until(runs, "the pipeline did not start; run it by hand to see why: reelstream up", START_S, process)


def wait_until_stored(settings: Settings, events: int, limit_s: float = 600.0) -> None:
    """Until the store has taken in so many events."""

    def stored() -> bool:
        state = RatingsStore(settings.warehouse).state()
        return state.accepted + state.rejected >= events

    wait_until(stored, f"not all of {events} events were stored in {limit_s} s", limit_s)


def wait_until(
    true: Callable[[], bool], failure: str, limit_s: float, process: subprocess.Popen[str] | None = None
) -> None:
    """Raises SystemExit with `failure` if that takes longer, or the process ends before."""
    deadline = time.monotonic() + limit_s
    while not true():
        if (process and process.poll() is not None) or time.monotonic() > deadline:
            raise SystemExit(failure)
        time.sleep(0.02)


def replay_all(live: Settings, csv: Path, rate: float | None = None) -> int:
    """Sends the whole file, and returns how many events were acknowledged. rate: events a second; None: at once."""
    return replay_file(live, csv, rate=rate, speed=None, limit=None, resume=False, strict=True, quiet=True).acked


def replaying(live: Settings, csv: Path, rate: float) -> AbstractContextManager[subprocess.Popen[str]]:
    """A replay of the file in a process of its own, as a user's would be; LEAD_IN_S later it sends."""
    return command(live, "replay", str(csv), "--rate", str(rate), "--json", stdout=subprocess.PIPE)
