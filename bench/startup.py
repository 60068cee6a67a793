"""How long `reelstream --version` and `--help` take, beside a Python that does nothing, and what they import.

python -m bench.startup [--rounds 9]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from bench._report import print_report

COMMANDS = {
    "python": ["-c", "pass"],
    "--version": ["-m", "reelstream", "--version"],
    "--help": ["-m", "reelstream", "--help"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args()
    started = time.perf_counter()
    took: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(asked.rounds):
        for name, words in COMMANDS.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-P", *words], stdout=subprocess.DEVNULL, check=True)
            took[name].append(time.perf_counter() - began)
    medians = {name: round(1000 * statistics.median(seconds), 1) for name, seconds in took.items()}
    print_report("startup", {"median_ms": medians, "rounds": asked.rounds}, seconds=time.perf_counter() - started)


if __name__ == "__main__":
    main()
