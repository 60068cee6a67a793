"""AUC: how often a relevant movie is scored above one that is not.

In: list scores, what each user has seen and what is relevant. Out: one figure a user. Next: `metrics` takes the mean.
Scores come block by block, so memory stays flat, however many users there are.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from reelstream.als import blocks
from reelstream.als.arrays import F32, F64, I32, I64, Csr
from reelstream.als.jit import jit
from reelstream.als.list_scores import ListScores

_BLOCK_BYTES = 32 << 20
"""Scores that are held at once."""
_WORTH = 1_000_000
"""Scores below which one thread is faster than several."""


def auc(by: ListScores, ranking_movie: F32, relevant: Csr, seen: Csr, listable: NDArray[np.bool_] | None = None) -> F64:
    """For each row the share of (relevant, other candidate) pairs that are in the right order; a tie counts half.

    by: of R rows. ranking_movie: float32[M, K]. relevant, seen: R rows of positions, each position once;
    no relevant one is seen. Candidates are all movies that are not seen. listable: bool[M], a movie where it is False
    comes after all others; None is all True.
    Returns float64[R], NaN where a row has no relevant movie or no other candidate. It is the area under the ROC curve
    (Rendle, Freudenthaler, Gantner, Schmidt-Thieme, "BPR", UAI 2009, section 5.2).
    """
    found = np.full(len(by.vectors), np.nan)
    n_rows = max(1, _BLOCK_BYTES // (4 * max(1, len(ranking_movie))))
    for first in range(0, len(found), n_rows):
        block = by.rows(np.arange(first, min(first + n_rows, len(found))))
        scores = block.vectors @ ranking_movie.T  # [B, M]
        if block.extra is not None:
            scores[np.repeat(np.arange(len(scores)), block.extra.counts()), block.extra.indices] += block.extra.values
        if listable is not None:
            scores[:, ~listable] = -np.inf
        ends = np.arange(1, len(scores) + 1) * scores.shape[1]
        of_block = (scores, relevant.indptr[first:], relevant.indices, seen.indptr[first:], seen.indices, found[first:])
        blocks.run(partial(_auc_rows, *of_block), ends, None, _WORTH)
    return found


@jit
def _auc_rows(
    scores: F32,
    relevant_indptr: I64,
    relevant: I32,
    seen_indptr: I64,
    seen: I32,
    found: F64,
    start: int,
    stop: int,
) -> None:
    """Fills rows start to stop of found; scores, [B, M], are used up."""
    for row in range(start, stop):
        s = scores[row]
        of_row = relevant[relevant_indptr[row] : relevant_indptr[row + 1]]
        liked = np.sort(s[of_row])
        n = len(liked)
        if not n:
            continue
        for m in of_row:
            s[m] = np.nan
        for m in seen[seen_indptr[row] : seen_indptr[row + 1]]:
            s[m] = np.nan
        half_wins, others = 0, 0
        for score in s:
            if score < liked[0]:  # most movies: below every relevant one
                half_wins += 2 * n
                others += 1
            elif score == score:
                below_or_equal = np.searchsorted(liked, score, side="right")
                half_wins += 2 * n - below_or_equal - np.searchsorted(liked, score, side="left")
                others += 1
        if others:
            found[row] = half_wins / (2.0 * n * others)
