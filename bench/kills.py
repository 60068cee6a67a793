"""Kills the stream with -9 again and again during a replay, then reads everything back.

    python -m bench.kills --kills 20

Each time a new stream takes over where the store says that the last one had come. Every event sent must be in the
store once.

    python -m bench.kills --points all --times 10
    python -m bench.kills --points batch-written lists-stored

has the stream, a refit, a rollback, a load of titles and a tune killed at the failpoints between every two durable steps, while
known and new users rate, ask to be forgotten, and read. Ctrl-C ends it after the kill that goes on, and what was sent up to
then is read back.
"""

from __future__ import annotations

import argparse
import itertools
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench import harness
from bench.harness import Figures, command, replay_all, wait_until_running
from reelstream.cli.demo import real_ratings
from reelstream.cli.up import embedded_broker
from reelstream.failpoint import FAILPOINTS
from reelstream.settings import Settings
from reelstream.store.ratings import RatingsStore
from tests.crash.audit import audit
from tests.crash.points import Crashes, crashes

WRONG = ("lost", "twice", "miscounted", "files_with_forgotten", "users_without_list", "shown_again")


def main() -> None:
    parser = harness.options(__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rate", type=float, default=320, help="events a second that the replay sends")
    points = "instead: failpoints to be killed at, or all"
    parser.add_argument("--points", nargs="+", metavar="POINT", choices=("all", *FAILPOINTS), help=points)
    parser.add_argument("--times", type=int, default=1, help="kills at each of the points")
    figures = harness.run("kills", parser, kills)
    if wrong := [name for name in WRONG if figures.get(name)]:
        raise SystemExit(f"{', '.join(wrong)}: see the figures above")


def kills(asked: argparse.Namespace) -> Figures:
    with harness.temporary_settings() as settings, embedded_broker(settings) as broker:
        settings = settings.model_copy(update={"bootstrap_servers": broker.bootstrap_servers})
        if asked.points:
            return at_points(settings, FAILPOINTS if "all" in asked.points else asked.points, asked.times)
        return at_random(settings, asked.kills, asked.rate)


def at_points(settings: Settings, points: Sequence[str], times: int) -> Figures:
    with crashes(settings) as crash:
        killed = in_rounds(crash, points, times)
        crash.recover()
        found = audit(settings.warehouse, crash.ledger)
    each = {point: {"kills": killed[point], "lost": found.lost[point], "twice": found.twice[point]} for point in points}
    return {
        "points": each,
        "kills": killed.total(),
        "sent": len(crash.ledger.sent) + crash.ledger.requests,
        "lost": found.lost.total(),
        "twice": found.twice.total(),
        "miscounted": found.miscounted,
        "forgotten": len(crash.ledger.forgotten),
        "files_with_forgotten": found.left,
        "users_without_list": found.without_list,
        "shown_again": found.shown_again,
    }


def in_rounds(crash: Crashes, points: Sequence[str], times: int) -> Counter[str]:
    """Each point once, then again; how often each was killed at. On Ctrl-C the kill that goes on is the last."""
    killed, asked = Counter[str](), threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: asked.set())
    try:
        for number, point in itertools.product(range(times), points):
            if asked.is_set():
                break
            began = time.perf_counter()
            crash.kill(point, number)
            killed[point] += 1
            print(f"killed at {point}, {number + 1}: {time.perf_counter() - began:.1f} s", file=sys.stderr)
    finally:
        signal.signal(signal.SIGINT, before)
    return killed


def at_random(settings: Settings, number: int, rate: float) -> Figures:
    store, at = RatingsStore(settings.warehouse), list[int]()
    with tempfile.TemporaryDirectory() as directory:
        csv, _ = real_ratings(Path(directory))
        table, _ = harness.ratings(csv)
        replay = threading.Thread(target=replay_all, args=(settings, csv, rate))
        replay.start()
        for seed in range(number):
            with command(settings, "stream") as stream:
                wait_until_running(settings, stream, "last_batch")
                time.sleep(random.Random(seed).uniform(0.0, 3.0))
                stream.kill()
                stream.wait()
            at.append(store.state().accepted)
            print(f"kill {seed + 1}: {at[-1]:,} events stored", file=sys.stderr)
        with command(settings, "stream") as stream:
            wait_until_running(settings, stream)
            replay.join()
            harness.wait_until_stored(settings, table.num_rows)
    columns, rows = ["user_id", "movie_id", "rating"], store.read()
    sent, stored = (Counter(zip(*(each[name].to_pylist() for name in columns), strict=True)) for each in (table, rows))
    return {
        "kills": number,
        "sent": sent.total(),
        "accepted": store.state().accepted,
        "lost": (sent - stored).total(),
        "twice": (stored - sent).total(),
        "stored_at_each_kill": at,
    }


if __name__ == "__main__":
    main()
