"""The kernels of `transitions`: rows of T built from sequences, changed by new ratings, and read for what comes next.

In: arrays. Out: arrays. Next: `transitions` wraps them.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from reelstream.als import blocks
from reelstream.als.arrays import F32, I32, I64, Csr, row_starts
from reelstream.als.jit import jit
from reelstream.als.transition_rule import (
    ARRIVING_POWER,
    DAMPING,
    FADE,
    LEAVING_POWER,
    SUCCESSORS,
    UNIT,
    WINDOW,
    TransitionArrays,
    ages_of_row,
)

_WORTH = 200_000
"""Entries below which one thread is faster than several."""


def build(by_user: Csr, by_movie: Csr, threads: int | None) -> tuple[I64, I32, I32, I64, I64, I64]:
    """(starts, lengths, successors, counts, leaving, arriving) of `Transitions`, of all ratings."""
    n_movies = by_movie.n_rows
    place, sequence = _in_order(by_user.indptr, by_user.indices, ages_of_row(by_user), by_movie.indptr)
    room = np.minimum(by_movie.counts() * WINDOW, SUCCESSORS)  # [M]
    starts = row_starts(room)  # [M + 1]
    lengths = np.zeros(n_movies, np.int32)
    successors, counts = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.int64)
    leaving, arriving = np.zeros(n_movies, np.int64), np.zeros(n_movies, np.int64)
    _sums(by_user.indptr, sequence, leaving, arriving)
    arrays = (by_movie.indptr, by_movie.indices, place, by_user.indptr, sequence, starts, lengths, successors, counts)
    blocks.run(partial(_build, *arrays), np.cumsum(by_movie.counts()), threads, _WORTH)
    keep = np.arange(starts[-1]) - np.repeat(starts[:-1], room) < np.repeat(lengths, room)  # [room of all]
    return row_starts(lengths)[:-1], lengths, successors[keep], counts[keep], leaving, arriving


def next_scores(histories: Csr, arrays: TransitionArrays) -> Csr:
    """See `transitions.Transitions.next_scores`; arrays as it passes them."""
    lengths, to_row = arrays[1], arrays[-2]
    indptr = np.require(histories.indptr, np.int64, ["C", "W"])
    indices, ages = (np.require(array, np.int32, ["C", "W"]) for array in (histories.indices, ages_of_row(histories)))
    new = ages < WINDOW  # [nnz]
    row = np.repeat(np.arange(histories.n_rows), histories.counts())[new]  # [newest]
    of = to_row[indices[new]]  # [newest]
    most = np.bincount(
        row, weights=np.where(of >= 0, lengths[of] if len(lengths) else 0, 0), minlength=histories.n_rows
    )
    first = row_starts(most.astype(np.int64))  # [R + 1]
    positions, scores = np.empty(first[-1], np.int32), np.empty(first[-1], np.float32)
    found = np.zeros(histories.n_rows, np.int64)
    given = (indptr, indices, ages, *arrays, first, positions, scores, found)
    blocks.run(partial(_next_scores, *given), np.cumsum(most + 1).astype(np.int64), None, _WORTH)
    keep = np.arange(first[-1]) - np.repeat(first[:-1], np.diff(first)) < np.repeat(found, np.diff(first))
    return Csr(row_starts(found), positions[keep], scores[keep])


def difference(before: tuple[I64, I32], after: tuple[I64, I32]) -> tuple[I32, I32, I64]:
    """(a int32[P], b int32[P], change int64[P] in 1 / UNIT) between the sequences of the same users."""
    most = WINDOW * int(before[0][-1] + after[0][-1])
    a, b, change = np.empty(most, np.int32), np.empty(most, np.int32), np.empty(most, np.int64)
    n = _difference(*before, *after, a, b, change)
    return a[:n], b[:n], change[:n]


@jit
def _in_order(indptr: I64, indices: I32, ages: I32, movie_indptr: I64) -> tuple[I64, I32]:
    """(the place of each entry of by_movie in `sequence`, int64[nnz]; sequence int32[nnz], a user's oldest first)."""
    place, sequence = np.empty(len(indices), np.int64), np.empty(len(indices), np.int32)
    filled = movie_indptr.copy()
    for user in range(len(indptr) - 1):
        for e in range(indptr[user], indptr[user + 1]):
            at = indptr[user + 1] - 1 - ages[e]
            sequence[at] = indices[e]
            place[filled[indices[e]]] = at
            filled[indices[e]] += 1
    return place, sequence


@jit
def _sums(indptr: I64, sequence: I32, leaving: I64, arriving: I64) -> None:
    for user in range(len(indptr) - 1):
        begin, end = indptr[user], indptr[user + 1]
        for at in range(begin, end):
            for d in range(1, WINDOW + 1):
                if at + d < end:
                    leaving[sequence[at]] += UNIT // d
                if at - d >= begin:
                    arriving[sequence[at]] += UNIT // d


@jit
def _build(
    movie_indptr: I64,
    raters: I32,
    place: I64,
    user_indptr: I64,
    sequence: I32,
    starts: I64,
    lengths: I32,
    successors: I32,
    counts: I64,
    start: int,
    stop: int,
) -> None:
    """Fills the rows from start to stop; of more than SUCCESSORS those with the largest counts, of equal ones the first."""
    n_movies = len(movie_indptr) - 1
    sums = np.zeros(n_movies, np.int64)
    touched = np.empty(n_movies, np.int32)
    for a in range(start, stop):
        n = 0
        for e in range(movie_indptr[a], movie_indptr[a + 1]):
            end = user_indptr[raters[e] + 1]
            for d in range(1, WINDOW + 1):
                if place[e] + d >= end:
                    break
                b = sequence[place[e] + d]
                if sums[b] == 0:
                    touched[n] = b
                    n += 1
                sums[b] += UNIT // d
        found = np.sort(touched[:n])
        if n > SUCCESSORS:
            found = np.sort(found[np.argsort(-sums[found], kind="mergesort")[:SUCCESSORS]])
        lengths[a] = len(found)
        for i in range(len(found)):
            successors[starts[a] + i] = found[i]
            counts[starts[a] + i] = sums[found[i]]
        for i in range(n):
            sums[touched[i]] = 0


@jit
def _difference(indptr: I64, sequence: I32, indptr_after: I64, after: I32, a: I32, b: I32, change: I64) -> int:
    n = 0
    for row in range(len(indptr) - 1):
        old, new = sequence[indptr[row] : indptr[row + 1]], after[indptr_after[row] : indptr_after[row + 1]]
        same = 0
        while same < min(len(old), len(new)) and old[same] == new[same]:
            same += 1
        for part in range(2):
            of, sign = (old, -1) if part == 0 else (new, 1)
            for at in range(same, len(of)):
                for d in range(1, min(WINDOW, at) + 1):
                    a[n], b[n], change[n] = of[at - d], of[at], sign * (UNIT // d)
                    n += 1
    return n


@jit
def add(
    a: I32,
    b: I32,
    change: I64,
    starts: I64,
    lengths: I32,
    room: I32,
    successors: I32,
    counts: I64,
    leaving: I64,
    arriving: I64,
) -> None:
    """Adds each change to its entry; an entry that comes to 0 leaves."""
    for i in range(len(a)):
        leaving[a[i]] += change[i]
        arriving[b[i]] += change[i]
        begin = starts[a[i]]
        end = begin + lengths[a[i]]
        at, least = begin, begin
        while at < end and successors[at] != b[i]:
            if counts[at] < counts[least]:
                least = at
            at += 1
        if at < end:
            counts[at] += change[i]
            if counts[at] <= 0:
                successors[at], counts[at] = successors[end - 1], counts[end - 1]
                lengths[a[i]] -= 1
        elif change[i] > 0 and lengths[a[i]] < room[a[i]]:
            successors[end], counts[end] = b[i], change[i]
            lengths[a[i]] += 1
        elif change[i] > 0 and counts[least] <= change[i]:
            successors[least], counts[least] = b[i], change[i]


@jit
def _next_scores(
    indptr: I64,
    indices: I32,
    ages: I32,
    starts: I64,
    lengths: I32,
    successors: I32,
    counts: I64,
    leaving: I64,
    arriving: I64,
    to_row: I64,
    to_position: I64,
    first: I64,
    positions: I32,
    scores: F32,
    found: I64,
    start: int,
    stop: int,
) -> None:
    sums = np.zeros(len(to_row))
    seen = np.zeros(len(to_row), np.bool_)
    newest = np.empty(WINDOW, np.int32)
    for row in range(start, stop):
        newest[:] = -1
        for e in range(indptr[row], indptr[row + 1]):
            seen[indices[e]] = True
            if ages[e] < WINDOW:
                newest[ages[e]] = indices[e]
        n, most, fade = 0, 0.0, 1.0
        for k in range(WINDOW):
            a = to_row[newest[k]] if newest[k] >= 0 else -1
            if a >= 0:
                weight = fade * (leaving[a] / UNIT + DAMPING) ** -LEAVING_POWER / UNIT
                for entry in range(starts[a], starts[a] + lengths[a]):
                    b = to_position[successors[entry]]
                    if b < 0 or seen[b]:
                        continue
                    if sums[b] == 0:
                        positions[first[row] + n] = b
                        n += 1
                    sums[b] += weight * counts[entry]
            fade *= FADE
        of_row = positions[first[row] : first[row] + n]
        of_row.sort()
        for i in range(n):
            sums[of_row[i]] *= (arriving[to_row[of_row[i]]] / UNIT + DAMPING) ** -ARRIVING_POWER
            most = max(most, sums[of_row[i]])
        for i in range(n):
            scores[first[row] + i] = sums[of_row[i]] / most
            sums[of_row[i]] = 0
        found[row] = n
        for e in range(indptr[row], indptr[row + 1]):
            seen[indices[e]] = False
