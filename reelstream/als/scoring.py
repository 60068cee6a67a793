"""The kernel of `top_n`: scores, the filter of seen movies and the selection, tile by tile, so that memory stays flat.

In: factors and the positions to leave out. Out: the best n positions of each row. Next: `top_n` wraps it.
Rows are scored four at a time, always (missing ones as zeros), with the same operations for each: a row's scores are
the same bit by bit in any company. A BLAS product does not promise that.
"""

from __future__ import annotations

import numpy as np

from reelstream.als.arrays import F32, I32, I64, Mask
from reelstream.als.jit import jit

_TILE = 128
"""Movies scored at once: their factors stay in the first-level cache while four rows pass over them."""
_ROWS = 64
"""Rows that share a tile once it is transposed; a multiple of 4."""
_ROUNDING = 1.001
"""A rounded sum of products may exceed the product of the rounded norms by less than this factor."""


@jit
def best_rows(
    rows: F32,
    row_norms: F32,
    movies: F32,
    movie_norms: F32,
    places: I32,
    seen_indptr: I64,
    seen: I32,
    left_out: Mask,
    positions: I32,
    scores: F32,
    start: int,
    stop: int,
) -> None:
    """Fills rows start to stop of positions and scores, both [R, n], best first; positions come filled with -1.

    movies come with falling norms, and movie m stands for position places[m]. left_out: bool[M], positions that no row
    may have. No score is above the product of the two norms: a row is done at the first tile whose product is below the
    last score of its list (Teflioudi, Gemulla, Mykytiuk, "LEMP: Fast Retrieval of Large Entries in a Matrix Product",
    SIGMOD 2015).
    """
    n_movies, n_factors = movies.shape
    n = positions.shape[1]
    tile = np.zeros((n_factors, _TILE), np.float32)
    block = np.zeros((_ROWS, n_factors), np.float32)
    sums = np.zeros((4, _TILE), np.float32)
    hidden = np.zeros((_ROWS, n_movies), np.bool_)
    hidden[:] = left_out
    filled = np.zeros(_ROWS, np.int64)
    for first in range(start, stop, _ROWS):
        n_rows = min(_ROWS, stop - first)
        block[:] = 0
        filled[:] = 0
        for r in range(n_rows):
            for k in range(n_factors):
                block[r, k] = rows[first + r, k]
            for s in range(seen_indptr[first + r], seen_indptr[first + r + 1]):
                hidden[r, seen[s]] = True
        for m in range(0, n_movies, _TILE):
            n_tile = min(_TILE, n_movies - m)
            loaded = False
            for four in range(0, n_rows, 4):
                done = True
                for r in range(four, min(four + 4, n_rows)):
                    most = row_norms[first + r] * movie_norms[m] * np.float32(_ROUNDING)
                    done = done and filled[r] == n and most < scores[first + r, n - 1]
                if done:
                    continue
                if not loaded:
                    loaded = True
                    for t in range(n_tile):
                        for k in range(n_factors):
                            tile[k, t] = movies[m + t, k]
                _score(block[four : four + 4], tile, sums)
                for r in range(four, min(four + 4, n_rows)):
                    filled[r] = _select(
                        sums[r - four],
                        hidden[r],
                        places[m : m + n_tile],
                        positions[first + r],
                        scores[first + r],
                        filled[r],
                        n,
                    )
            if not loaded:
                break
        for r in range(n_rows):
            for s in range(seen_indptr[first + r], seen_indptr[first + r + 1]):
                hidden[r, seen[s]] = left_out[seen[s]]


@jit
def add_extra(
    rows: F32,
    movies: F32,
    seen_indptr: I64,
    seen: I32,
    left_out: Mask,
    extra_indptr: I64,
    extra: I32,
    extra_scores: F32,
    positions: I32,
    scores: F32,
    start: int,
    stop: int,
) -> None:
    """Adds the extra scores, of 0 or more, to the rows from start to stop that `best_rows` has filled.

    A movie without extra score that belongs on the list is on it already: all that it must beat are. movies: float32[M, K]
    by position. The sum of a movie with extra score is made here, whatever was on the list: it is the same for any n.
    """
    n_movies, n = len(movies), positions.shape[1]
    more = np.zeros(n_movies, np.float32)
    listed, before = np.empty(n, np.int32), np.empty(n, np.float32)
    for row in range(start, stop):
        first, end = extra_indptr[row], extra_indptr[row + 1]
        for e in range(first, end):
            more[extra[e]] = np.float32(0) if left_out[extra[e]] else extra_scores[e]
        for s in range(seen_indptr[row], seen_indptr[row + 1]):
            more[seen[s]] = 0
        listed[:], before[:] = positions[row], scores[row]
        positions[row, :], scores[row, :] = -1, 0
        filled = 0
        for i in range(n):
            if listed[i] >= 0 and more[listed[i]] == 0:
                filled = _insert(before[i], listed[i], positions[row], scores[row], filled, n)
        for i in range(n):
            place = listed[i]
            if place >= 0 and more[place] > 0:
                score = more[place] + _product(rows[row], movies[place])
                filled = _insert(score, place, positions[row], scores[row], filled, n)
                more[place] = 0
        for e in range(first, end):
            place = extra[e]
            most = before[n - 1] + more[place]  # it was not listed, so its product is not above the last one's
            if more[place] > 0 and not (filled == n and most + np.float32(1e-4) * abs(most) < scores[row, n - 1]):
                score = more[place] + _product(rows[row], movies[place])
                filled = _insert(score, place, positions[row], scores[row], filled, n)
            more[place] = 0


@jit
def _product(row: F32, movie: F32) -> np.float32:
    total = np.float32(0)
    for k in range(len(row)):
        total += row[k] * movie[k]
    return total


@jit
def _score(rows: F32, tile: F32, sums: F32) -> None:
    """sums = rows · tile: [4, K] · [K, _TILE]."""
    sums[:] = 0
    s0, s1, s2, s3 = sums[0], sums[1], sums[2], sums[3]
    for k in range(len(tile)):
        c0, c1, c2, c3 = rows[0, k], rows[1, k], rows[2, k], rows[3, k]
        v = tile[k]
        for t in range(_TILE):
            s0[t] += c0 * v[t]
            s1[t] += c1 * v[t]
            s2[t] += c2 * v[t]
            s3[t] += c3 * v[t]


@jit
def _select(sums: F32, hidden: np.ndarray, places: I32, positions: I32, scores: F32, filled: int, n: int) -> int:
    """Takes the tile's scores into the row's list, kept sorted; of equal scores the lower position comes first."""
    for t in range(len(places)):
        score, place = sums[t], places[t]
        if filled == n and not (score > scores[n - 1] or (score == scores[n - 1] and place < positions[n - 1])):
            continue
        if not hidden[place]:
            filled = _insert(score, place, positions, scores, filled, n)
    return filled


@jit
def _insert(score: np.float32, place: int, positions: I32, scores: F32, filled: int, n: int) -> int:
    """Takes a score into a sorted list where it belongs on it; returns how many the list has then."""
    if filled == n and not (score > scores[n - 1] or (score == scores[n - 1] and place < positions[n - 1])):
        return filled
    at = filled if filled < n else n - 1
    while at > 0 and (scores[at - 1] < score or (scores[at - 1] == score and positions[at - 1] > place)):
        scores[at] = scores[at - 1]
        positions[at] = positions[at - 1]
        at -= 1
    scores[at] = score
    positions[at] = place
    return min(filled + 1, n)
