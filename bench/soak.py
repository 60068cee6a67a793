"""Ten thousand micro-batches, one after the other: do memory, open files, files of the tables and seconds stay flat?

    python -m bench.soak --batches 10000 --json

Fast-forward, by `bench.fast_forward`: without Kafka and Spark, on real files. The start are the 100,004 real ratings and a
published version. Refits run as `reelstream refit`, and a reader in a process of its own asks for lists all the time.

At each tenth: open files and memory (MB) of both processes; per table the files on disk and those that a reader opens;
seconds of a micro-batch in this tenth, and the CPU time of its thread, which other processes of the machine hardly change.
Files that were replaced stay on disk for a minute or two, and here more of them fall into that time than in a stream, whose
micro-batches take longer; what a reader opens does not depend on the clock. In the end the store is compared with the
events, rating by rating.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import psutil

from bench.fast_forward import fast_forward, files_on_disk, files_opened
from bench.harness import NEVER, Figures, data_options, options, ratings, run, temporary_settings
from reelstream.cli.up import refit_in_child
from reelstream.errors import ReelstreamError
from reelstream.settings import Settings
from reelstream.store import run_files
from reelstream.store.ratings import SNAPSHOT_FROM_ROWS

TENTHS, EVENTS, FORGET_EVERY = 10, 20, 50
READS = {"recommend": 1, "ratings": 20}
MOST_FILES = 64
"""Files that a reader may open."""


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--batches", type=int, default=10_000, help="micro-batches of 20 events")
    parser.add_argument("--refit-every", type=int, default=2_000, help="micro-batches from one refit to the next")
    first = "rows that make the first snapshot of the ratings"
    parser.add_argument("--snapshot-from-rows", type=int, default=SNAPSHOT_FROM_ROWS, help=first)
    data_options(parser)
    figures = run("soak", parser, soak)
    if not figures["holds"]:
        most = figures["most_files_opened"]
        raise SystemExit(f"{most} files were opened, or something failed; see the figures above")


def soak(asked: argparse.Namespace) -> Figures:
    table, _ = ratings(asked.ratings, asked.synthetic)
    tenths, took, refits = list[Figures](), [(0.0, 0.0)], list[Future[Figures]]()
    sizes = {"size": EVENTS, "forget_every": FORGET_EVERY, "snapshot_from_rows": asked.snapshot_from_rows}
    with temporary_settings(**NEVER) as settings, ThreadPoolExecutor(1) as beside:
        with fast_forward(settings, table, READS, **sizes) as stream:
            most = files_opened(settings.warehouse)
            for number in range(asked.batches + 1):
                if number * TENTHS // asked.batches > (number - 1) * TENTHS // asked.batches:
                    tenths.append(_now(settings, number, took, stream.reader))
                    took.clear()
                if number % asked.refit_every == 0 and 0 < number < asked.batches:
                    refits.append(beside.submit(_refit, settings))
                if number < asked.batches:
                    took.append(stream.take())
                    most |= files_opened(settings.warehouse)
            ended = [one.result() for one in refits]
        compared, read = stream.compared(), stream.read
    done = Counter(one.get("state", "unknown") for one in ended)
    errors = read["errors"] + read["mixed"]
    bad = [compared[name] for name in ("missing", "ratings_lost", "ratings_wrong")]
    return {
        "batches": asked.batches,
        **compared,
        "refits": done,
        "refits_held_back_for": [reason for one in ended for reason in one.get("reasons", [])],
        "reads": sum(read["reads"].values()),
        "reader_errors": errors,
        "what_readers_and_maintenance_said": [*read["first_errors"], *stream.failed][:10],
        "most_files_opened": most,
        "last_to_second_tenth": _ratios(tenths),
        "tenths": tenths,
        "holds": max(most.values()) <= MOST_FILES and not any([*bad, errors, stream.failed, done["failed"]]),
    }


def _refit(settings: Settings) -> Figures:
    """In a process of its own; how it ended."""
    with suppress(ReelstreamError):
        refit_in_child(settings)(threading.Event())
    return run_files.read(settings.warehouse, "refit") or {}


def _now(settings: Settings, batch: int, took: Sequence[tuple[float, float]], reader: int) -> Figures:
    """One row of the table, also as a line of progress."""
    seconds, cpu = np.array(took).T
    times = {"median": np.median(seconds), "p95": np.quantile(seconds, 0.95), "cpu_median": np.median(cpu)}
    row = {
        "batch": batch,
        "seconds": {what: round(float(time_s), 4) for what, time_s in times.items()},
        "pipeline": _process(os.getpid()),
        "reader": _process(reader),
        "files_opened": files_opened(settings.warehouse),
        "files_on_disk": files_on_disk(settings.warehouse),
    }
    print("  ".join(f"{name} {value}" for name, value in row.items()), file=sys.stderr)
    return row


def _process(pid: int) -> Figures:
    """open_files: files, sockets and pipes."""
    process = psutil.Process(pid)
    return {"open_files": process.num_fds(), "resident_mb": round(process.memory_info().rss / 1e6)}


def _ratios(tenths: Sequence[Figures]) -> dict[str, float]:
    """What the last tenth has, by what the second had."""
    second, last = tenths[2], tenths[-1]
    parts = {part: second[part] for part in ("seconds", "pipeline", "reader")}
    return {f"{part}_{what}": round(last[part][what] / parts[part][what], 2) for part in parts for what in parts[part]}


if __name__ == "__main__":
    main()
