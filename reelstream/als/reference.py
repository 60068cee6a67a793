"""The half-step and the lists in readable numpy: what `kernel`, `scoring` and `transition_rows` must agree with.

In: sparse rows and the factors of the other side. Out: the rows' factors, or their best movies. Next: tests compare the
compiled ones with these, which serve one user where numba is not installed.
"""

from __future__ import annotations

import numpy as np

from reelstream.als.arrays import F32, F64, I32, Csr, Mask, row_starts
from reelstream.als.transition_rule import (
    FADE,
    WINDOW,
    TransitionArrays,
    ages_of_row,
    arriving_weight,
    leaving_weight,
)
from reelstream.errors import UsageError

NOT_FINITE = (
    "a half-step has no finite result. Weights must be 0 or more, regularization above 0, and every number finite and"
    " small enough for its square to fit 32 bits; look at the ratings and their scale."
)


def half_step(
    rows: Csr,
    other: F32,
    weights: F32,
    targets: F32,
    regularization: F32,
    *,
    alpha0: float = 0.0,
    bias_regularization: F32 | None = None,
    least: F64 | None = None,
    near: F32 | None = None,
    threads: int | None = None,
) -> F32:
    """The factors x of each row that minimise Σ w (y − v·x)² + α₀ Σ_all (v·x)² + x·diag(reg)·x, all v fixed.

    The normal equations of that sum: (Σ w v vᵀ + α₀ VᵀV + diag(reg)) x = Σ w y v, over the entries of the row.

    rows: R rows over C columns; its values are not used. other: V, float32[C, K]. weights w ≥ 0, targets y:
    float32[nnz], in the order of the entries. regularization: float32[R], above 0. bias_regularization: float32[R] for
    the last factor instead, whose column of `other` is then a bias (all ones). least: zeros float64[R], filled with that
    sum of each row at its minimum. near: where a faster half-step may start from; not used here. Returns float32[R, K]; a
    row without entries is all 0.

    Hu, Koren, Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008, equation 4, where a pair
    that is not rated weighs α₀ instead of 1.
    """
    n_factors = other.shape[1]
    if not all(np.isfinite(array).all() for array in (other, weights, targets, regularization)):
        raise UsageError(NOT_FINITE)
    V = other.astype(np.float64)  # [C, K]
    gram = alpha0 * (V.T @ V)  # [K, K]
    out = np.zeros((rows.n_rows, n_factors), np.float32)
    for i in range(rows.n_rows):
        entries = slice(rows.indptr[i], rows.indptr[i + 1])
        v = V[rows.indices[entries]]  # [n, K]
        w = weights[entries].astype(np.float64)  # [n]
        penalty = np.full(n_factors, regularization[i], np.float64)  # [K]
        if bias_regularization is not None:
            penalty[-1] = bias_regularization[i]
        left = (v * w[:, None]).T @ v + gram + np.diag(penalty)  # [K, K]
        right = v.T @ (w * targets[entries])  # [K]
        x = np.linalg.solve(left, right)  # [K]
        out[i] = x
        if least is not None:
            y = targets[entries].astype(np.float64)  # [n]
            least[i] = w @ (y - v @ x) ** 2 + x @ (gram + np.diag(penalty)) @ x
    return out


def top_n(
    ranking_user: F32, ranking_movie: F32, seen: Csr, n: int, extra: Csr | None = None, left_out: Mask | None = None
) -> tuple[I32, F32]:
    """The n movies with the highest product of each row, without those it has seen or that are left out; of equal ones the
    lower first.

    Shapes, dtypes and result as `top_n.top_n`; scores may differ from its in the last bits, as BLAS sums in another order.
    """
    positions = np.full((len(ranking_user), n), -1, np.int32)
    scores = np.zeros((len(ranking_user), n), np.float32)
    for row, vector in enumerate(ranking_user):
        products = ranking_movie @ vector  # [M]
        if extra is not None:
            at, more = extra.row(row)
            products[at] += more
        allowed = np.arange(len(ranking_movie)) if left_out is None else np.flatnonzero(~left_out)
        left = np.setdiff1d(allowed, seen.row(row)[0])  # [movies not seen], ascending
        best = left[np.argsort(-products[left], kind="stable")[:n]]
        positions[row, : len(best)], scores[row, : len(best)] = best, products[best]
    return positions, scores


def next_scores(histories: Csr, arrays: TransitionArrays) -> Csr:
    """See `transitions.Transitions.next_scores`; arrays as it passes them."""
    starts, lengths, successors, counts, leaving, arriving, to_row, to_position = arrays
    all_ages = ages_of_row(histories)
    rows = []
    for row in range(histories.n_rows):
        entries = slice(histories.indptr[row], histories.indptr[row + 1])
        seen, ages = histories.indices[entries], all_ages[entries]
        t = np.zeros(len(to_row) + 1)  # the last for movies that are at no position
        for at in np.argsort(ages)[:WINDOW].tolist():
            a = to_row[seen[at]]
            if a >= 0 and ages[at] < WINDOW:
                of_row = slice(starts[a], starts[a] + lengths[a])
                t[to_position[successors[of_row]]] += (
                    FADE ** int(ages[at]) * counts[of_row] * leaving_weight(leaving[a])
                )
        t = t[:-1]
        t[seen] = 0
        found = np.flatnonzero(t)
        t[found] *= arriving_weight(arriving[to_row[found]])
        rows.append((found, t[found] / max(t.max(initial=0), 1e-300)))
    counts_of = np.array([len(found) for found, _ in rows], np.int64)
    positions = np.concatenate([np.empty(0, np.int32), *(found.astype(np.int32) for found, _ in rows)])
    values = np.concatenate([np.empty(0, np.float32), *(scores.astype(np.float32) for _, scores in rows)])
    return Csr(row_starts(counts_of), positions, values)
