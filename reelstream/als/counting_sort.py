"""Sorting of ratings by user and by movie in linear time.

In: ids or positions as they come. Out: ascending ids, positions, sparse rows. Next: `RatingMatrix.from_triples`.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from reelstream.als.arrays import F32, I32, I64
from reelstream.als.jit import jit

V = TypeVar("V", F32, I32)

_DENSE = 16
"""Ids are looked up in a table if that takes at most so many places an id; else they are sorted."""


def positions(ids: NDArray[np.integer]) -> tuple[I64, I32]:
    """The different ids, int64[D] ascending, and the position of each id among them, int32[L]."""
    if not len(ids):
        return np.zeros(0, np.int64), np.zeros(0, np.int32)
    low, high = int(ids.min()), int(ids.max())
    if high - low >= _DENSE * len(ids) + 65536:
        known, at = np.unique(ids, return_inverse=True)
        return known.astype(np.int64), at.astype(np.int32)
    offset = ids.astype(np.int64) - low  # [L]
    present = np.zeros(high - low + 1, np.bool_)
    present[offset] = True
    known = np.flatnonzero(present)  # [D]
    table = np.zeros(len(present), np.int32)
    table[known] = np.arange(len(known), dtype=np.int32)
    return known + low, table[offset]


def by_key(first: I32, key: I32, value: V, n_first: int) -> tuple[I64, I32, V]:
    """Sparse rows by `key`: (indptr int64[n_keys + 1], `first` int32[L] ascending in a row, value [L])."""
    n_keys = int(key.max()) + 1 if len(key) else 0
    first_, key_, value_ = np.empty_like(first), np.empty_like(key), np.empty_like(value)
    _scatter(first, np.zeros(n_first + 1, np.int64), first, key, value, first_, key_, value_)
    indptr = np.zeros(n_keys + 1, np.int64)
    indices, _, values = np.empty_like(first), np.empty_like(key), np.empty_like(value)
    _scatter(key_, indptr, first_, key_, value_, indices, _, values)
    return indptr, indices, values


@jit
def ranks(indptr: I64, values: I32) -> I32:
    """The place of each value among those of its row, ascending from 0, int32[L]; no row has a value twice."""
    found = np.empty(len(values), np.int32)
    for row in range(len(indptr) - 1):
        begin, end = indptr[row], indptr[row + 1]
        order = np.argsort(values[begin:end])
        for place in range(end - begin):
            found[begin + order[place]] = place
    return found


@jit
def _scatter(by: I32, indptr: I64, a: I32, b: I32, c: V, a_: I32, b_: I32, c_: V) -> None:
    """Stable counting sort of the columns a, b, c by `by` into a_, b_, c_; indptr becomes each key's first entry."""
    for i in range(len(by)):
        indptr[by[i] + 1] += 1
    for k in range(1, len(indptr)):
        indptr[k] += indptr[k - 1]
    place = indptr.copy()
    for i in range(len(by)):
        at = place[by[i]]
        place[by[i]] += 1
        a_[at] = a[i]
        b_[at] = b[i]
        c_[at] = c[i]
