"""One row of a half-step at K = 64 on one thread: solved to the end, and approached from its last vector.

python -m bench.half_step [--entries 8 24 64 154 1000] [--rounds 5]
"""

from __future__ import annotations

import time

import numpy as np

from bench.harness import options, run
from reelstream.als import kernel
from reelstream.als.arrays import F32, Csr

RANK, OTHERS, ENTRIES = 64, 20_000, 50_000


def microseconds(n_entries: int, rounds: int) -> dict[str, float]:
    """The best of the rounds, which take turns, over rows with so many random entries each."""
    random = np.random.default_rng(0)
    n_rows = max(200, ENTRIES // n_entries)
    indices = random.integers(0, OTHERS, n_rows * n_entries).astype(np.int32)
    ones = np.ones(len(indices), np.float32)
    rows = Csr(np.arange(n_rows + 1, dtype=np.int64) * n_entries, indices, ones)
    basis = kernel.basis(random.normal(size=(OTHERS, RANK)).astype(np.float32), 0.0)
    regularization = np.ones(n_rows, np.float32)
    ways: dict[str, F32 | None] = {"solved": None, "approached": np.zeros((n_rows, RANK), np.float32)}
    best = dict.fromkeys(ways, np.inf)
    for _ in range(rounds + 1):  # the first may compile
        for name, near in ways.items():
            since = time.perf_counter()
            kernel.solve(basis, rows, ones, ones, regularization, near=near, threads=1)
            best[name] = min(best[name], time.perf_counter() - since)
    return {name: round(seconds / n_rows * 1e6, 2) for name, seconds in best.items()}


if __name__ == "__main__":
    parser = options(__doc__)
    parser.add_argument("--entries", type=int, nargs="+", default=[8, 24, 64, 154, 1000])
    parser.add_argument("--rounds", type=int, default=5)
    run("half_step", parser, lambda by: {"us_a_row_by_entries": {n: microseconds(n, by.rounds) for n in by.entries}})
