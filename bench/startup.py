"""How long `reelstream --version` and `--help` take, beside a Python that does nothing.

python -m bench.startup [--rounds 9]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from bench.harness import Figures, options, run

WORDS = {"python": ["-c", "pass"], **{name: ["-m", "reelstream", name] for name in ("--version", "--help")}}


def startup(asked: argparse.Namespace) -> Figures:
    took: dict[str, list[float]] = {name: [] for name in WORDS}
    for _ in range(asked.rounds):
        for name, words in WORDS.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-P", *words], stdout=subprocess.DEVNULL, check=True)
            took[name].append(time.perf_counter() - began)
    medians = {name: round(1000 * statistics.median(seconds), 1) for name, seconds in took.items()}
    return {"median_ms": medians, "rounds": asked.rounds}


if __name__ == "__main__":
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    run("startup", parser, startup)
