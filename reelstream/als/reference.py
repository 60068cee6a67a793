"""The half-step and the lists in readable numpy: what `kernel` and `scoring` must agree with.

In: sparse rows and the factors of the other side. Out: the rows' factors, or their best movies. Next: tests compare the
compiled ones with these, which serve one user where numba is not installed.
"""

from __future__ import annotations

import numpy as np

from reelstream.als.arrays import F32, F64, I32, Csr
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


def top_n(ranking_user: F32, ranking_movie: F32, seen: Csr, n: int) -> tuple[I32, F32]:
    """The n movies with the highest product of each row, without those it has seen; of equal ones the lower first.

    Shapes, dtypes and result as `top_n.top_n`; scores may differ from its in the last bits, as BLAS sums in another order.
    """
    positions = np.full((len(ranking_user), n), -1, np.int32)
    scores = np.zeros((len(ranking_user), n), np.float32)
    for row, vector in enumerate(ranking_user):
        products = ranking_movie @ vector  # [M]
        left = np.setdiff1d(np.arange(len(ranking_movie)), seen.row(row)[0])  # [movies not seen], ascending
        best = left[np.argsort(-products[left], kind="stable")[:n]]
        positions[row, : len(best)], scores[row, : len(best)] = best, products[best]
    return positions, scores
