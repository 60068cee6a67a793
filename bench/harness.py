"""What the benches share: options, one JSON report, ratings, temporary warehouses, and `reelstream` in its own process.

In: a function that measures. Out: JSON on standard output, with the machine and the versions that the figures belong to.
Next: README and docs quote it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
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

import psutil
import pyarrow as pa

from bench.synthetic import generate
from reelstream import child_process
from reelstream.als.blocks import n_cpus
from reelstream.batch.refit import refit
from reelstream.broker.embedded import running_broker
from reelstream.cli.demo import real_ratings
from reelstream.cli.ratings_file import read
from reelstream.cli.replay import replay_file
from reelstream.errors import Busy
from reelstream.producer.movies_file import read_movies
from reelstream.settings import Settings, load
from reelstream.store import run_files
from reelstream.store.movies import MoviesStore
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from reelstream.store.schemas import RATINGS, REJECTS
from tests.fixtures.processes import stream_runs

Figures = dict[str, Any]
PACKAGES = ("reelstream", "pyspark", "kafka-python", "pyarrow", "numpy", "numba", "lz4")
NEVER = {"refit_after_ratings": 10**9, "refit_after_minutes": 10**6, "self_tuning": False}
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
    """Prints the figures, JSON-ready, with the whole run's seconds, the machine and the versions; returns them.

    SIGTERM ends it as an exception does: with what it has started, and without its temporary directories.
    """
    asked, started = parser.parse_args(), time.perf_counter()
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    figures = measure(asked)
    seconds = round(time.perf_counter() - started, 1)
    belongs_to = {"machine": machine(), "versions": {package: metadata.version(package) for package in PACKAGES}}
    print(json.dumps({"bench": bench, **figures, "seconds": seconds, **belongs_to}, indent=2))
    return figures


def machine() -> Figures:
    """CPUs that this process may use, their model, memory in GB, system and Python."""
    cpu_info = Path("/proc/cpuinfo")
    models = re.findall(r"model name\s*: (.*)", cpu_info.read_text()) if cpu_info.exists() else []
    return {
        "cpus": n_cpus(),
        "cpu_model": models[0] if models else platform.processor() or "unknown",
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def ratings(csv: Path | None = None, synthetic: int | None = None) -> tuple[pa.Table, pa.Table | None]:
    """(user_id, movie_id, rating, rated_at int64 in ms; titles or None) of the file, so many synthetic ones, or the demo's."""
    if synthetic:
        return generate(synthetic), None
    with tempfile.TemporaryDirectory() as directory:
        csv, movies = (csv, None) if csv else real_ratings(Path(directory))
        rows = read(csv, load(), lambda _done, _of: None).ratings
        titles = read_movies(movies).table if movies else None
    columns = {"user_id": rows.user_id, "movie_id": rows.movie_id, "rating": rows.rating, "rated_at": rows.rated_at_ms}
    return pa.table(columns), titles


def store(settings: Settings, table: pa.Table) -> None:
    """Puts ratings (user_id, movie_id, rating, rated_at int64 in ms) into the ratings store, as the stream would.

    Raises SystemExit if what is stored is not what was given.
    """
    rows = table.num_rows
    places = {"topic": pa.repeat("ratings", rows), "partition": pa.repeat(0, rows), "offset": pa.array(range(rows))}
    rated_at = table["rated_at"].cast(pa.timestamp("ms", tz="UTC"))
    columns = {**{name: table[name] for name in ("user_id", "movie_id", "rating")}, "rated_at": rated_at, **places}
    ratings_store = RatingsStore(settings.warehouse)
    ratings_store.append(pa.table(columns).cast(RATINGS), REJECTS.empty_table(), {"ratings": {0: rows}})
    if not ratings_store.read(columns=table.column_names).cast(table.schema).equals(table):
        raise SystemExit("the ratings store holds other ratings than were put into it")


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
        child_process.command(*words),
        env=child_process.environment(settings),
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
            top = psutil.Process(process.pid)
            for one in (*top.children(recursive=True), top):
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            process.wait()
            raise SystemExit(f"reelstream {words[0]} did not end in order, and was killed") from None


@contextmanager
def real_pipeline(*words: str, **given: object) -> Iterator[tuple[Settings, Path]]:
    """`reelstream up` with the 100,004 real ratings, titles and a published version: (settings that name its broker, the
    ratings.csv). words: another command, or more options."""
    with (
        temporary_settings(**{**NEVER, **given}) as settings,
        tempfile.TemporaryDirectory() as directory,
        command(settings, *(words or ("up", "--no-serve"))) as process,
    ):
        csv, movies = real_ratings(Path(directory))
        wait_until_running(settings, process)
        address = settings.bootstrap_servers or running_broker(settings.warehouse / "broker")
        live = settings.model_copy(update={"bootstrap_servers": address})
        MoviesStore(live.warehouse).load(read_movies(movies).table)
        wait_until_stored(live, replay_all(live, csv))
        with suppress(Busy):  # the stream's own first refit, where one comes so early
            refit(live)
        published = RecommendationsStore(live.warehouse)
        wait_until(lambda: published.current_or_none() is not None, "there is no first version", START_S)
        time.sleep(2)
        yield live, csv


def wait_until_running(settings: Settings, process: subprocess.Popen[str], *said: str) -> None:
    """Until the process says that it runs, and `said` in its status."""

    def runs() -> bool:
        status = run_files.read(settings.warehouse, "stream") or {}
        return stream_runs(settings, process) and status.keys() >= set(said)

    wait_until(runs, "the pipeline did not start; run it by hand to see why: reelstream up", START_S, process)


def wait_until_stored(settings: Settings, events: int, limit_s: float = 600.0) -> None:
    """Until the store has taken in so many events."""
    store = RatingsStore(settings.warehouse)
    failure = f"not all of {events} events were stored in {limit_s} s"
    wait_until(lambda: (state := store.state()).accepted + state.rejected >= events, failure, limit_s)


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
