"""Blocks of rows, spread over threads of our own.

In: the cost of each row. Out: the work done, block by block. Next: `kernel` and `top_n` run their rows with it.
numba's own threads are not used: its built-in layer aborts the process when two Python threads run kernels at once, and
a refit and a fold-in do.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from reelstream.als.arrays import I64

BLOCKS_PER_THREAD = 6
"""More blocks than threads, so that a slow block does not leave the others waiting."""


def run(work: Callable[[int, int], object], ends: I64, threads: int | None, worth: int) -> None:
    """Calls work(start, stop) for blocks that together cover all rows; their cost is spread evenly.

    ends: int64[R], running sum of the rows' costs. threads: None is one for each CPU of this process.
    Work that costs less than `worth` in all is done in the calling thread: starting another would take longer.
    Raises what a call of `work` raises.
    """
    n_rows = len(ends)
    if not n_rows:
        return
    threads = n_cpus() if threads is None else max(1, threads)
    if threads == 1 or ends[-1] < worth:
        work(0, n_rows)
        return
    n_blocks = threads * BLOCKS_PER_THREAD
    cuts = np.searchsorted(ends, ends[-1] * np.arange(1, n_blocks) / n_blocks)
    edges = np.unique(np.concatenate([[0], cuts, [n_rows]])).tolist()
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, start, stop) for start, stop in pairwise(edges)]:
            done.result()


def n_cpus() -> int:
    """CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
