"""The process of one contestant: takes orders as JSON lines on standard input, answers on standard output.

    python -m bench.peers.worker '{"library": "implicit", "model": "ranking", "threads": 2}'

In: load, fit, top_n, answers. Out: seconds, peak memory, or what went wrong. Next: `compare` measures the answers.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from bench.peers.protocol import Contestant, Job, Split, TooSlow

MODULES = {
    "ours": "bench.peers.ours",
    "mllib": "bench.peers.mllib_als",
    "implicit": "bench.peers.implicit_als",
    "cmfrec": "bench.peers.cmfrec_cmf",
    "lenskit": "bench.peers.lenskit_als",
    "surprise": "bench.peers.surprise_svd",
}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints goes to standard error
    job = Job(**json.loads(sys.argv[1]))
    contestant: Contestant | None = None
    for line in sys.stdin:
        try:
            if contestant is None:
                contestant = importlib.import_module(MODULES[job.library]).make(job)
            answer = obey(contestant, json.loads(line))
        except ImportError as error:
            answer = {"missing": str(error)}
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers)


def obey(contestant: Contestant, order: dict[str, Any]) -> dict[str, Any]:
    """Does one order; the answer has its seconds, and the peak memory so far."""
    began = time.perf_counter()
    answer: dict[str, Any] = {}
    if order["do"] == "load":
        contestant.load(Split.load(Path(order["split"])))
    elif order["do"] == "fit":
        answer["iterations_s"] = contestant.fit()
        answer["settings"] = contestant.settings
    elif order["do"] == "top_n":
        try:
            contestant.top_n(order["n"], Path(order["out"]), order["limit_s"])
        except TooSlow as error:
            answer["too_slow_s"] = error.seconds
    elif order["do"] == "answers":
        lists = contestant.lists(order["n"]) if order["lists"] else None
        both: dict[str, Any] = {"lists": lists, "predicted": contestant.predict()}
        np.savez(Path(order["out"]), **{name: array for name, array in both.items() if array is not None})
    return {**answer, "seconds": time.perf_counter() - began, "peak_mb": peak_mb()}


def peak_mb() -> dict[str, float]:
    """Most memory that this process and its children (Spark's JVM) ever had, as far as the system tells.

    From /proc where there is one: `ru_maxrss` also counts what the process was before it became this program.
    """
    if not Path("/proc/self/status").exists():
        unit = 1e6 if sys.platform == "darwin" else 1e3
        return {"process": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)}
    peaks = {"process": _peak_kb(_status("self")) / 1e3}
    statuses = [_status(directory.name) for directory in Path("/proc").iterdir() if directory.name.isdecimal()]
    children = [status for status in statuses if status.get("PPid") == str(os.getpid())]
    if children:
        peaks["children"] = sum(map(_peak_kb, children)) / 1e3
    return {name: round(peak * 1.024, 1) for name, peak in peaks.items()}


def _status(pid: str) -> dict[str, str]:
    try:
        lines = (Path("/proc") / pid / "status").read_text().splitlines()
    except OSError:  # it has ended
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _peak_kb(status: dict[str, str]) -> float:
    return float(status.get("VmHWM", "0 kB").split()[0])


if __name__ == "__main__":
    main()
