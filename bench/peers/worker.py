"""The process of one contestant: each line of JSON on standard input has it take a turn, each on standard output answers.

    python -m bench.peers.worker '{"library": "implicit", "model": "ranking", "threads": 2}'

In: what `turn` takes. Out: seconds, peak memory and files, or its end and why. Next: `compare` measures the answers.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from bench.peers.protocol import AT_HOME, INSTALL, Contestant, Job, Split


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints goes to standard error
    contestant, job = None, Job(**json.loads(sys.argv[1]))
    module = "bench.peers.ours" if job.library in AT_HOME else "bench.peers.libraries"
    for line in sys.stdin:
        try:  # here, not before, so that no JVM starts in another's turn
            contestant = contestant or getattr(import_module(module), f"{job.library.capitalize()}Contestant")(job)
        except ImportError as error:
            sys.exit(f"{sys.executable} cannot import {job.library} ({error}). {INSTALL}")
        print(json.dumps(turn(contestant, rates=job.model == "rating", **json.loads(line))), file=answers)


def turn(contestant: Contestant, *, rates: bool, split: str, out: str, n: int) -> dict[str, Any]:
    """Fits the split, makes lists in out/lists, and writes out/answers.npz: "lists" int32[U, n], "predicted" float32[T].

    Only what the contestant can do is in the file, and in the figures.
    """
    with np.load(split, allow_pickle=False) as arrays:
        contestant.load(Split(**arrays))
    began = time.perf_counter()
    iterations_s = contestant.fit()
    fitted, lists = time.perf_counter(), Path(out) / "lists"
    contestant.top_n(n, lists)
    ended = time.perf_counter()
    figures = {"fit_s": fitted - began, **peak_mb()}
    figures |= {"iteration_s": statistics.median(iterations_s)} if iterations_s else {}
    answers: dict[str, Any] = {"predicted": contestant.predict()} if rates else {}
    if lists.exists():
        figures["top_n_s"] = ended - fitted
        answers["lists"] = contestant.lists(n)
    np.savez(Path(out) / "answers.npz", **answers)
    return {"settings": ", ".join(f"{name} {value}" for name, value in contestant.options.items()), **figures}


def peak_mb() -> dict[str, float]:
    """Most memory that this process and its children (Spark's JVM) ever had: peak_mb, peak_mb_of_children. It needs Linux.

    From /proc: `ru_maxrss` also counts what the process was before it became this program.
    """
    peaks, me = {"peak_mb": 0.0, "peak_mb_of_children": 0.0}, str(os.getpid())
    for path in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):  # it has ended
            status = dict(line.split(":\t", 1) for line in path.read_text().splitlines())
            if me in (status["Pid"], status["PPid"]):
                whose = "peak_mb" if status["Pid"] == me else "peak_mb_of_children"
                peaks[whose] += int(status.get("VmHWM", "0 kB").split()[0]) * 1024 / 1e6
    return {name: round(peak, 1) for name, peak in peaks.items() if peak}


if __name__ == "__main__":
    main()
