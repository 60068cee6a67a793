"""Which ratings a model is measured on, and which it learns from.

In: how many rows, or their users and times. Out: (train rows, test rows), int64 ascending; every row is in one of them.
Next: `RatingMatrix.from_triples` of the one, `metrics.evaluate` on the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reelstream.als.arrays import I64
from reelstream.errors import UsageError


def split_random(n_rows: int, test_fraction: float = 0.2, seed: int = 42) -> tuple[I64, I64]:
    """A random test_fraction of the rows is the test. The same seed gives the same split."""
    test = np.zeros(n_rows, np.bool_)
    n_test = round(n_rows * _checked(test_fraction))
    test[np.random.default_rng(seed).permutation(n_rows)[:n_test]] = True
    return _parts(test)


def split_time(rated_at: I64, test_fraction: float = 0.2) -> tuple[I64, I64]:
    """The newest test_fraction of all rows is the test: what a model would have been asked next.

    rated_at: integers [L], of any unit. Of equal times the later rows count as newer. Users who came only lately have
    no rating in training: they are cold.
    """
    order = np.argsort(rated_at, kind="stable")
    test = np.zeros(len(rated_at), np.bool_)
    test[order[len(order) - round(len(order) * _checked(test_fraction)) :]] = True
    return _parts(test)


def split_user_time(user_id: I64, rated_at: I64, test_fraction: float = 0.2) -> tuple[I64, I64]:
    """The newest test_fraction of each user's rows, rounded down, is the test: no user is cold.

    user_id, rated_at: integers [L]. Of equal times the later rows count as newer.
    """
    _checked(test_fraction)
    order = np.lexsort((rated_at, user_id))  # by user, then time, then row
    _, first, counts = np.unique(user_id[order], return_index=True, return_counts=True)  # each [U]
    at = np.arange(len(order)) - np.repeat(first, counts)  # [L]: how many older rows the user has
    n_train = counts - np.floor(counts * test_fraction + 1e-9).astype(np.int64)  # [U]
    test = np.zeros(len(order), np.bool_)
    test[order] = at >= np.repeat(n_train, counts)
    return _parts(test)


def _checked(test_fraction: float) -> float:
    if not 0 < test_fraction < 1:
        raise UsageError(f"test_fraction is {test_fraction}; set it between 0 and 1.")
    return test_fraction


def _parts(test: NDArray[np.bool_]) -> tuple[I64, I64]:
    return np.flatnonzero(~test), np.flatnonzero(test)
