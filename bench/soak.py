"""Ten thousand micro-batches, one after the other: do memory, open files, files of the tables and seconds stay flat?

    python -m bench.soak --batches 10000 --json

Fast-forward: neither Kafka nor Spark is there. A micro-batch is an Arrow table in the columns that Spark hands over,
and a small object with `toArrow` stands for its DataFrame. All the rest is what runs in `reelstream up`, on real files:
`ingest`, the maintenance in a thread beside it, refits as `reelstream refit`, and a reader in a process of its own that
asks for lists all the time. The start are the 100,004 real ratings and a published version.

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
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
from pyspark.sql import DataFrame

from bench import table_files
from bench._report import print_report
from bench.pipeline import temporary_settings
from bench.processes import open_files, resident_mb
from bench.soak_events import Events, MicroBatch, left, real_rows
from bench.soak_reader import SoakReader, reading
from reelstream.batch.refit import refit
from reelstream.cli.demo import real_ratings
from reelstream.cli.up import refit_in_child
from reelstream.producer.ratings_csv import RatingRows
from reelstream.settings import Settings
from reelstream.store import run_files
from reelstream.store.rating_rows import latest
from reelstream.store.ratings import RatingsStore
from reelstream.stream.fold_in import FoldInStage
from reelstream.stream.ingest import BatchReport, ingest
from reelstream.stream.maintenance import Maintenance
from reelstream.stream.run import WATCH_S

EVENTS, SEED = 20, 6
TENTHS = 10
MOST_FILES = 64
"""Files that a reader may open."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=10_000, help="micro-batches of 20 events")
    parser.add_argument("--refit-every", type=int, default=2_000, help="micro-batches from one refit to the next")
    parser.add_argument("--json", action="store_true", help="kept for symmetry: a bench always prints JSON")
    asked = parser.parse_args()
    started = time.perf_counter()
    with temporary_settings(refit_after_ratings=10**9, refit_after_minutes=10**6) as settings:
        with tempfile.TemporaryDirectory() as directory:
            rows = real_rows(real_ratings(Path(directory))[0])
        figures = soak(settings, rows, asked.batches, asked.refit_every)
    print_report("soak", figures, seconds=time.perf_counter() - started)
    if not figures["holds"]:
        raise SystemExit(
            f"{figures['most_files_opened']} files were opened, or something failed; see the figures above"
        )


def soak(settings: Settings, rows: RatingRows, batches: int, refit_every: int) -> dict[str, Any]:
    """The figures of a whole run, on an empty warehouse."""
    events, store = Events(rows, SEED, EVENTS), RatingsStore(settings.warehouse)
    fold_in = FoldInStage(settings)
    _ingest(events.real(), store, fold_in)
    refit(settings)
    maintenance = Maintenance(store, fold_in)
    maintenance.once()
    tenths: list[dict[str, Any]] = []
    took: list[tuple[float, float]] = []
    most = table_files.opened(settings.warehouse)
    refits = _Refits(settings)
    readers = [int(user) for user in rows["user_id"][:: len(rows) // 200]]
    with reading(settings.warehouse, readers) as reader:
        with _beside(maintenance) as failed, refits:
            tenths.append(_now(settings, 0, took, reader))
            for number in range(1, batches + 1):
                table = events.batch()
                began = time.perf_counter(), time.thread_time()
                _ingest(table, store, fold_in)
                took.append((time.perf_counter() - began[0], time.thread_time() - began[1]))
                most = {name: max(n, most[name]) for name, n in table_files.opened(settings.warehouse).items()}
                if number % refit_every == 0 and number < batches:
                    refits.start()
                if number * TENTHS // batches > (number - 1) * TENTHS // batches:
                    tenths.append(_now(settings, number, took, reader))
                    took.clear()
        while maintenance.once():
            pass
    fold_in.quality.close()
    lost, wrong = _compare(store, rows, batches)
    state = store.state()
    sent = len(rows) + batches * EVENTS
    bad = [lost, wrong, reader.errors.value, len(failed), sent - state.accepted - state.rejected]
    return {
        "batches": batches,
        "events_sent": sent,
        "accepted": state.accepted,
        "rejected": state.rejected,
        "ratings_lost": lost,
        "ratings_wrong": wrong,
        "users_forgotten": sum(one.removed is not None for one in store.forgotten().values()),
        "refits": refits.done,
        "refits_held_back_for": refits.reasons,
        "reads": reader.reads.value,
        "reader_errors": reader.errors.value,
        "what_readers_and_maintenance_said": [*reader.said(), *failed][:10],
        "most_files_opened": most,
        "last_to_second_tenth": _ratios(tenths),
        "tenths": tenths,
        "holds": max(most.values()) <= MOST_FILES and not any(bad),
    }


def _ingest(table: Any, store: RatingsStore, fold_in: FoldInStage) -> BatchReport:
    return ingest(cast(DataFrame, MicroBatch(table)), store, fold_in)


@contextmanager
def _beside(maintenance: Maintenance) -> Iterator[list[str]]:
    """The maintenance in a thread, as in `reelstream.stream.run`; what comes out are its errors."""
    stopping, failed = threading.Event(), list[str]()

    def work() -> None:
        more = False
        while not stopping.wait(0 if more else WATCH_S):
            more = maintenance.once()
            if maintenance.error:
                failed.append(f"maintenance: {maintenance.error}")

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield failed
    finally:
        stopping.set()
        thread.join()


class _Refits:
    """Refits in a process each, beside the micro-batches, one at a time; `done` counts how they ended, and `reasons`
    say why some were held back."""

    def __init__(self, settings: Settings) -> None:
        self.done: dict[str, int] = {}
        self.reasons: list[str] = []
        self._settings = settings
        self._stopping = threading.Event()
        self._thread = threading.Thread()

    def start(self) -> None:
        if self._thread.is_alive():
            self._count("skipped, as the one before still ran")
            return
        self._thread = threading.Thread(target=self._refit)
        self._thread.start()

    def _refit(self) -> None:
        try:
            refit_in_child(self._settings)(self._stopping)
        finally:
            last = run_files.read(self._settings.warehouse, "refit") or {}
            self._count(last.get("state", "unknown"))
            self.reasons += last.get("reasons", [])

    def _count(self, how: str) -> None:
        self.done[how] = self.done.get(how, 0) + 1

    def __enter__(self) -> _Refits:
        return self

    def __exit__(self, error: object, *_: object) -> None:
        if error:
            self._stopping.set()
        if self._thread.ident:
            self._thread.join()


def _now(settings: Settings, batch: int, took: Sequence[tuple[float, float]], reader: SoakReader) -> dict[str, Any]:
    """One row of the table, also as a line of progress."""
    seconds, cpu = np.array(took or [(0.0, 0.0)]).T
    row: dict[str, Any] = {
        "batch": batch,
        "seconds": {
            "median": round(float(np.median(seconds)), 4),
            "p95": round(float(np.quantile(seconds, 0.95)), 4),
            "cpu_median": round(float(np.median(cpu)), 4),
        },
        "pipeline": {"open_files": open_files(os.getpid()), "resident_mb": round(resident_mb(os.getpid()))},
        "reader": {"open_files": open_files(reader.pid), "resident_mb": round(resident_mb(reader.pid))},
        "files_opened": table_files.opened(settings.warehouse),
        "files_on_disk": table_files.on_disk(settings.warehouse),
        "reads": reader.reads.value,
        "reader_errors": reader.errors.value,
    }
    print("  ".join(f"{name} {value}" for name, value in row.items()), file=sys.stderr)
    return row


def _ratios(tenths: Sequence[dict[str, Any]]) -> dict[str, float]:
    """What the last tenth has, by what the second had."""
    second, last = tenths[2], tenths[-1]
    return {
        **{f"seconds_{what}": round(last["seconds"][what] / second["seconds"][what], 2) for what in second["seconds"]},
        **{
            f"{process}_{what}": round(last[process][what] / second[process][what], 2)
            for process in ("pipeline", "reader")
            for what in ("resident_mb", "open_files")
        },
    }


def _compare(store: RatingsStore, rows: RatingRows, batches: int) -> tuple[int, int]:
    """(ratings that should be in the store and are not, ratings there that should not be, or with other stars)."""
    again = Events(rows, SEED, EVENTS)
    expected = left([again.real(), *(again.batch() for _ in range(batches))])
    table = latest(store.read())
    found = dict(
        zip(
            zip(table["user_id"].to_pylist(), table["movie_id"].to_pylist(), strict=True),
            table["rating"].to_pylist(),
            strict=True,
        )
    )
    return len(expected.keys() - found.keys()), sum(expected.get(pair) != stars for pair, stars in found.items())


if __name__ == "__main__":
    main()
