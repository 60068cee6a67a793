"""Kills the stream with -9 again and again during a replay, then reads everything back.

    python -m bench.kills --kills 20

Each time a new stream takes over where the store says that the last one had come. Every event sent must be in the
store once.

    python -m bench.kills --points all --times 10
    python -m bench.kills --points batch-written,lists-stored

has the stream, a refit, a load of titles and a tune killed at the failpoints between every two durable steps, while
known and new users rate, ask to be forgotten, and read. Ctrl-C ends it after the kill that goes on, and what was sent up to
then is read back.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from bench._report import print_report
from bench.pipeline import temporary_settings, wait_until_stored
from reelstream.cli.demo import real_ratings
from reelstream.cli.replay import replay_file
from reelstream.cli.up import embedded_broker
from reelstream.failpoint import FAILPOINTS
from reelstream.settings import Settings, to_env
from reelstream.store import run_files
from reelstream.store.ratings import RatingsStore
from tests.crash.audit import audit
from tests.crash.points import Crashes, crashes
from tests.fixtures.csv_events import read

START_LIMIT_S = 120.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rate", type=float, default=320, help="events a second that the replay sends")
    parser.add_argument(
        "--points", type=chosen, help="instead: failpoints to be killed at, with commas between, or all"
    )
    parser.add_argument("--times", type=int, default=1, help="kills at each of the points")
    asked = parser.parse_args()
    if asked.points:
        kill_at_points(asked.points, asked.times)
    else:
        kill_at_random(asked.kills, asked.rate)


def chosen(points: str) -> Sequence[str]:
    """The points of "all", or those whose names stand there with commas between."""
    names = FAILPOINTS if points == "all" else tuple(points.split(","))
    if unknown := sorted(set(names) - set(FAILPOINTS)):
        raise argparse.ArgumentTypeError(f"no failpoint: {', '.join(unknown)}; there are {', '.join(FAILPOINTS)}")
    return names


def kill_at_points(points: Sequence[str], times: int) -> None:
    started = time.perf_counter()
    with temporary_settings() as settings, embedded_broker(settings) as broker:
        settings = settings.model_copy(update={"bootstrap_servers": broker.bootstrap_servers})
        with crashes(settings) as crash:
            kills = kill_in_rounds(crash, points, times)
            crash.recover()
            found = audit(settings.warehouse, crash.ledger)
    print_report(
        "kills",
        {
            "points": {
                point: {"kills": kills[point], "lost": found.lost[point], "twice": found.twice[point]}
                for point in points
            },
            "kills": kills.total(),
            "sent": len(crash.ledger.sent) + crash.ledger.requests,
            "lost": found.lost.total(),
            "twice": found.twice.total(),
            "miscounted": found.miscounted,
            "forgotten": len(crash.ledger.forgotten),
            "files_with_forgotten": found.left,
            "users_without_list": found.without_list,
        },
        seconds=time.perf_counter() - started,
    )


def kill_in_rounds(crash: Crashes, points: Sequence[str], times: int) -> collections.Counter[str]:
    """Each point once, then again; how often each was killed at. On Ctrl-C the kill that goes on is the last."""
    kills: collections.Counter[str] = collections.Counter()
    asked = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: asked.set())
    try:
        for number, point in itertools.product(range(times), points):
            if asked.is_set():
                break
            began = time.perf_counter()
            crash.kill(point, number)
            kills[point] += 1
            print(f"killed at {point}, {number + 1}: {time.perf_counter() - began:.1f} s", file=sys.stderr)
    finally:
        signal.signal(signal.SIGINT, before)
    return kills


def kill_at_random(kills: int, rate: float) -> None:
    started = time.perf_counter()
    with (
        temporary_settings() as settings,
        embedded_broker(settings) as broker,
        tempfile.TemporaryDirectory() as directory,
    ):
        settings = settings.model_copy(update={"bootstrap_servers": broker.bootstrap_servers})
        ratings, _ = real_ratings(Path(directory))
        replay = threading.Thread(
            target=replay_file,
            args=(settings, ratings),
            kwargs={"rate": rate, "speed": None, "limit": None, "resume": False, "strict": True, "quiet": True},
        )
        replay.start()
        at = [kill_one(settings, number) for number in range(kills)]
        last = start(settings)
        replay.join()
        sent = read_all(ratings)
        wait_until_stored(settings, sum(sent.values()))
        last.terminate()
        last.wait(60)
        rows = RatingsStore(settings.warehouse).read(columns=["user_id", "movie_id", "rating"])
        stored = collections.Counter(zip(*(rows[name].to_pylist() for name in rows.column_names), strict=True))
        state = RatingsStore(settings.warehouse).state()
    print_report(
        "kills",
        {
            "kills": kills,
            "sent": sum(sent.values()),
            "accepted": state.accepted,
            "lost": sum((sent - stored).values()),
            "twice": sum((stored - sent).values()),
            "stored_at_each_kill": at,
        },
        seconds=time.perf_counter() - started,
    )


def kill_one(settings: Settings, number: int) -> int:
    """Starts a stream, kills it while it works, and returns how many events were stored by then."""
    process = start(settings)
    time.sleep(random.Random(number).uniform(0.0, 3.0))
    process.kill()
    process.wait()
    stored = RatingsStore(settings.warehouse).state().accepted
    print(f"kill {number + 1}: {stored:,} events stored", file=sys.stderr)
    return stored


def start(settings: Settings) -> subprocess.Popen[bytes]:
    """A stream in a process of its own, at work."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "reelstream", "stream"],
        env={**os.environ, **to_env(settings)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + START_LIMIT_S
    while not _at_work(settings, process.pid):
        if process.poll() is not None or time.monotonic() > deadline:
            said = run_files.read(settings.warehouse, "stream")
            process.kill()
            raise SystemExit(f"the stream did not start (exit code {process.returncode}): {said}")
        time.sleep(0.05)
    return process


def _at_work(settings: Settings, pid: int) -> bool:
    status = run_files.read(settings.warehouse, "stream")
    return bool(status and status["pid"] == pid and status["state"] == "running" and "last_batch" in status)


def read_all(csv: Path) -> collections.Counter[tuple[int, int, float | None]]:
    """How often each (user, movie, rating) stands in the file."""
    bad: list[object] = []
    rows = read(csv, rating_min=0.5, rating_max=5.0, now_ms=time.time_ns() // 1_000_000, on_bad=bad.append)
    return collections.Counter((event.user_id, event.movie_id, event.rating) for _, event in rows)


if __name__ == "__main__":
    main()
