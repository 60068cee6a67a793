"""A reader that never stops, while version after version is published under it: its errors, and its mixed versions.

    python -m bench.publishes --publishes 1000 --json

One process reads through `reelstream.open` as fast as it can. Another one publishes whole versions (models and tables) and
takes micro-batches (ratings, lists in `updates/`); a thread beside it compacts small files and forgets users, as in
the stream. No read may fail, and no answer may hold rows of two versions.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import reelstream as api
from bench._report import print_report
from bench.small_writer import MOVIES, USERS, Writer
from reelstream.store import ratings as ratings_store

BATCHES_A_VERSION = 2
SNAPSHOT_FROM_ROWS = 500
"""Small, as all is here, so that there are many snapshots."""

READ, STOP_S = "read", 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--publishes", type=int, default=1000, help="how many versions to publish")
    parser.add_argument("--json", action="store_true", help="kept for symmetry: a bench always prints JSON")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)  # this process is the reader
    asked = parser.parse_args()
    if asked.read:
        read_until_told(asked.read)
        return
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory:
        figures = measure(Path(directory) / "warehouse", asked.publishes)
    print_report("publishes", figures, seconds=time.perf_counter() - started)
    if figures["errors"] or figures["mixed"]:
        raise SystemExit(1)


def measure(warehouse: Path, publishes: int) -> dict[str, Any]:
    """Publishes so many versions under a reader, and returns what it counted."""
    writer = Writer(warehouse)
    writer.publish()
    done = threading.Event()
    with (
        patch.object(ratings_store, "SNAPSHOT_FROM_ROWS", SNAPSHOT_FROM_ROWS),
        ThreadPoolExecutor(1) as beside,
        reader(warehouse) as counted,
    ):
        maintenance = beside.submit(writer.maintain, done)
        try:
            for _ in range(publishes):
                writer.publish()
                for _ in range(BATCHES_A_VERSION):
                    writer.take_batch()
                writer.ask_to_be_forgotten()
        finally:
            done.set()
        maintenance.result()
    last = api.open(warehouse).version().name
    return {"publishes": publishes, "last_version": last, **writer.counts, **counted}


@contextmanager
def reader(warehouse: Path) -> Iterator[dict[str, Any]]:
    """A process that reads while the block runs; what it counted is in the dict after it."""
    counted: dict[str, Any] = {}
    command = [sys.executable, "-m", "bench.publishes", "--read", str(warehouse)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            if process.stdout.readline().strip() != READ:
                raise SystemExit("the reader did not start")
            yield counted
        finally:
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=STOP_S)
        counted |= json.loads(said)


def read_until_told(warehouse: Path) -> None:
    """The reader: says READ once it reads, and when it is terminated what it counted, as JSON."""
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: told.append(number))
    recommender = api.open(warehouse)
    reads: collections.Counter[str] = collections.Counter()
    errors: list[str] = []
    mixed, versions, parent = 0, set[str](), os.getppid()
    print(READ, flush=True)
    while not told and os.getppid() == parent:
        user, movie = 1 + sum(reads.values()) % USERS, 1 + sum(reads.values()) % MOVIES
        for name, look in looks(recommender, user, movie).items():
            try:
                found = look()
            except Exception as error:  # to be counted
                errors.append(f"{name}: {type(error).__name__}: {error}")
                continue
            reads[name] += 1
            mixed += len(found) > 1
            versions |= found
    figures = {"reads": dict(reads), "versions_seen": len(versions), "errors": len(errors), "mixed": mixed}
    print(json.dumps({**figures, "first_errors": errors[:3]}), flush=True)


def looks(recommender: api.Recommender, user: int, movie: int) -> dict[str, Callable[[], set[str]]]:
    """What a reader asks for; each answers with the versions of its rows."""

    def of_ratings() -> set[str]:
        rows = recommender.ratings(user)
        if rows.num_rows < 1 or rows["movie_id"].to_pylist() != sorted(set(rows["movie_id"].to_pylist())):
            raise ValueError(f"ratings of user {user} are lost or doubled")
        return set()

    def whole_lists() -> set[str]:
        rows = recommender.recommendations()
        places = list(zip(rows["user_id"].to_pylist(), rows["rank"].to_pylist(), strict=True))
        if len(set(places)) < len(places):
            raise ValueError("a list is there twice")
        if lost := set(range(1, USERS + 1)) - set(rows["user_id"].to_pylist()):
            raise ValueError(f"users {lost} have no list")
        return set(rows["version"].to_pylist())

    return {
        "recommend": lambda: {entry.version for entry in recommender.recommend(user)},
        "recommendations": whole_lists,
        "similar": lambda: {entry.version for entry in recommender.similar(movie)},
        "popular": lambda: {entry.version for entry in recommender.popular()},
        "predict": lambda: {recommender.predict(user, movie).version},
        "ratings": of_ratings,
    }


if __name__ == "__main__":
    main()
