"""What a pipeline says and takes, noted each second: the lag, the refits, the files, the memory and the CPU time.

In: the settings of a pipeline that runs. Out: `figures()`, JSON-ready. Next: `bench.load` prints them.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench import table_files
from bench.processes import command, cpu_s, family, resident_mb
from reelstream.settings import Settings
from reelstream.store import run_files

EVERY_S, SAY_EVERY_S = 1.0, 20.0
ROLES = {"kafka.Kafka": "broker", "SparkSubmit": "stream, Spark", "refit": "refits", "reelstream up": "stream, Python"}
"""What a command line with these words is."""


@dataclass(slots=True)
class _Process:
    role: str
    cpu_before_s: float
    cpu_s: float = 0.0


class Samples:
    """A thread adds; `figures` is called once it has ended."""

    def __init__(self, settings: Settings, others: Mapping[int, str]) -> None:
        self._warehouse = settings.warehouse
        self._others = others
        self._began = time.monotonic()
        self._ended: float | None = None
        self._lags: list[tuple[float, int]] = []
        self._errors: list[str] = []
        self._refits: dict[str, dict[str, Any]] = {}
        self._processes: dict[int, _Process] = {}
        self._memory_mb: dict[str, list[float]] = {}
        self._opened: dict[str, int] = {}
        self._median_batch: dict[str, float] = {}
        self._said_at = self._began
        self._first_refit = (run_files.read(self._warehouse, "refit") or {}).get("started_at")

    def sending_ended(self) -> None:
        """From now on the lag is not of the load any more."""
        self._ended = time.monotonic()

    def add(self) -> None:
        """A sample of this moment."""
        now = time.monotonic()
        status = run_files.read(self._warehouse, "stream") or {}
        self._median_batch = status.get("median_batch", {})
        if self._ended is None and status.get("lag_events") is not None:
            self._lags.append((now - self._began, status["lag_events"]))
        if status.get("error") and status["error"] not in self._errors:
            self._errors.append(status["error"])
        last = run_files.read(self._warehouse, "refit") or {}
        if last.get("started_at") != self._first_refit:
            self._refits[last["started_at"]] = last
        self._opened = {n: max(k, self._opened.get(n, 0)) for n, k in table_files.opened(self._warehouse).items()}
        self._add_processes(status["pid"])
        if now - self._said_at >= SAY_EVERY_S:
            self._said_at = now
            lag, batch = status.get("lag_events"), self._median_batch
            print(f"{now - self._began:.0f} s: lag {lag}, {len(self._refits)} refits, {batch}", file=sys.stderr)

    def figures(self) -> dict[str, Any]:
        """Seconds, events, MB (10^6 bytes); `cpu_cores` are CPU seconds by seconds."""
        lags = np.array([lag for _, lag in self._lags] or [0])
        at = np.array([at for at, _ in self._lags] or [0.0])
        spent_s = (self._ended or time.monotonic()) - self._began
        minute = min(60.0, spent_s / 4)
        second, last = lags[(at >= minute) & (at < 2 * minute)], lags[at >= spent_s - minute]
        cores: dict[str, float] = {}
        for process in self._processes.values():
            cores[process.role] = cores.get(process.role, 0.0) + (process.cpu_s - process.cpu_before_s) / spent_s
        refits = list(self._refits.values())
        return {
            "lag_events": {
                "median": round(float(np.median(lags))),
                "p95": round(float(np.quantile(lags, 0.95))),
                "max": int(lags.max()),
                "second_minute": round(float(np.median(second))) if len(second) else None,
                "last_minute": round(float(np.median(last))) if len(last) else None,
            },
            "refits": {
                how.replace(" ", "_"): sum(one["state"] == how for one in refits)
                for how in ("published", "held back", "failed", "running")
            },
            "refit_seconds": [one["seconds"]["all"] for one in refits if "seconds" in one],
            "refits_said": [one[why] for one in refits for why in ("error", "reasons") if one.get(why)],
            "errors": self._errors,
            "median_batch": self._median_batch,
            "most_files_opened": self._opened,
            "memory_mb": {
                role: {"most": round(max(mb)), "last": round(mb[-1])} for role, mb in self._memory_mb.items()
            },
            "cpu_cores": {role: round(value, 2) for role, value in sorted(cores.items())},
        }

    def _add_processes(self, up: int) -> None:
        memory: dict[str, float] = {}
        for pid in family(up) | set(self._others):
            if pid not in self._processes:
                words = command(pid)
                role = self._others.get(pid) or next((r for w, r in ROLES.items() if w in words), "others")
                self._processes[pid] = _Process(role, 0.0 if role in ("refits", "replay") else cpu_s(pid))
            process = self._processes[pid]
            process.cpu_s = max(process.cpu_s, cpu_s(pid))
            memory[process.role] = memory.get(process.role, 0.0) + resident_mb(pid)
        for role, mb in memory.items():
            self._memory_mb.setdefault(role, []).append(mb)


@contextmanager
def sampling(settings: Settings, others: Mapping[int, str]) -> Iterator[Samples]:
    """Samples while the block runs. others: process id → what it is, besides the processes of the pipeline."""
    samples, stopping = Samples(settings, others), threading.Event()

    def work() -> None:
        while not stopping.wait(EVERY_S):
            samples.add()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield samples
    finally:
        stopping.set()
        thread.join()
