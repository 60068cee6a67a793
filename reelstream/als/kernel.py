"""The half-step, fast: the same as `reference.half_step`, compiled, over blocks of rows in threads.

In: sparse rows and the factors of the other side. Out: the rows' factors. Next: `fit` alternates it; `fold_in` runs it
once.

Three turns make it fast. (1) α₀ VᵀV is turned into a diagonal: with VᵀV = Q Λ Qᵀ, the rows of V Q have the Gram matrix
Λ, so every row's system is D + Σ w v vᵀ with a diagonal D of its own, and x is turned back by Q. (2) A row with n < K
entries is then solved as n equations instead of K (the Woodbury identity): with B = √W V D^-½, x = D^-½ Bᵀ (I + B Bᵀ)⁻¹
√W y. Either way the matrix is a sum of outer products plus a diagonal, solved by Cholesky. (3) While a fit goes on, a row
that was solved for nearly the same vectors before is not solved anew: from there, three conjugate-gradient steps, which
never form the matrix, take it near enough. At K = 64 that takes a quarter of the time for 64 entries and less than half
for 1,000, and the fit ends after as many passes with the same RMSE and nDCG@10.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reelstream.als import blocks, compiled
from reelstream.als.arrays import F32, F64, Csr
from reelstream.als.compiled import PAD
from reelstream.als.reference import NOT_FINITE
from reelstream.errors import UsageError

STEPS = 3
"""Conjugate-gradient steps of a half-step that starts near its solution."""
_WORTH = 4_000_000
"""Multiplications below which one thread is faster than several."""
_GRAM_ROWS = 1024
"""Rows of V that are summed up in float32 before they go into the float64 sum."""


@dataclass(frozen=True, slots=True)
class Basis:
    """The other side's factors, prepared for any number of half-steps: `vectors` = V Q, `diagonal` = α₀ Λ."""

    vectors: F32
    """float32[C, Kp]: Kp is K rounded up to a multiple of 16, the added columns are 0."""
    diagonal: F32
    """float32[K]."""
    turn: F32
    """Qᵀ, float32[K, Kp]; float32[0, 0] if nothing was turned."""
    turn_back: F32
    """Q, in the same shape."""


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
    """See `reference.half_step`. threads: None is one for each CPU; any number gives the same result bit by bit."""
    prepared = basis(other, alpha0, threads=threads)
    return solve(
        prepared, rows, weights, targets, regularization, bias_regularization, least=least, near=near, threads=threads
    )


def basis(other: F32, alpha0: float, *, threads: int | None = None) -> Basis:
    """other: float32[C, K]. The same other and alpha0 give the same basis bit by bit, for any number of threads.

    Raises UsageError if the Gram matrix is not finite.
    """
    n_factors = other.shape[1]
    vectors = _padded(other)  # [C, Kp]
    if alpha0 == 0.0:
        nothing = np.zeros((0, 0), np.float32)
        return Basis(vectors, np.zeros(n_factors, np.float32), nothing, nothing)
    products = gram(other, threads=threads)
    if not np.isfinite(products).all():
        raise UsageError(NOT_FINITE)
    eigenvalues, Qt = compiled.eigen(products)  # [K], [K, K]
    diagonal = (alpha0 * eigenvalues).astype(np.float32)
    turn, turned = _padded(Qt), np.zeros_like(vectors)  # [K, Kp], [C, Kp]
    ends = np.arange(1, len(other) + 1) * n_factors * n_factors
    blocks.run(lambda start, stop: compiled.turn_rows(vectors, turn, turned, start, stop), ends, threads, _WORTH)
    return Basis(turned, diagonal, turn, _padded(Qt.T))


def solve(
    prepared: Basis,
    rows: Csr,
    weights: F32,
    targets: F32,
    regularization: F32,
    bias_regularization: F32 | None = None,
    *,
    least: F64 | None = None,
    near: F32 | None = None,
    threads: int | None = None,
) -> F32:
    """The half-step for a prepared other side; the arguments are those of `reference.half_step`.

    near: float32[R, K], where rows are approached from by STEPS conjugate-gradient steps; None solves exactly.

    A row's factors are the same bit by bit whether it is solved alone or among others.
    Raises UsageError if an index lies outside the columns, for a bias together with α₀, or if a row's factors are not
    finite: then a number that went in was not, or overflowed.
    """
    n_factors = len(prepared.diagonal)
    has_bias = bias_regularization is not None
    if has_bias and len(prepared.turn_back):
        raise UsageError("a half-step takes a bias or alpha0, not both; set one of them to none.")
    rows.check_columns(len(prepared.vectors))
    last = regularization if bias_regularization is None else bias_regularization
    arrays = (
        _plain(rows.indptr, np.int64),
        _plain(rows.indices, np.int32),
        _plain(weights, np.float32),
        _plain(targets, np.float32),
        _plain(regularization, np.float32),
        _plain(last, np.float32),
        prepared.vectors,
        prepared.diagonal,
        prepared.turn,
        prepared.turn_back,
        0 if near is None else STEPS,
    )
    out = np.zeros((rows.n_rows, n_factors), np.float32) if near is None else near.astype(np.float32, "C")
    sums = np.zeros(rows.n_rows) if least is None else least
    counts = rows.counts()
    small = np.minimum(counts, n_factors)
    cost = np.maximum(counts, n_factors) * small * small + small**3 // 3 + 1
    if near is not None:
        cost = (counts * 4 * (STEPS + 1) + 1) * n_factors
    ends = np.cumsum(cost)
    blocks.run(lambda start, stop: compiled.solve_rows(*arrays, out, sums, start, stop), ends, threads, _WORTH)
    if not np.isfinite(out).all():
        raise UsageError(NOT_FINITE)
    return out


def _plain(array: np.ndarray, dtype: type) -> np.ndarray:
    """Contiguous and writable (copied if it is not): the kernels are compiled for that kind only."""
    return np.require(array, dtype, ["C", "W"])


def _padded(matrix: np.ndarray) -> F32:
    padded = np.zeros((len(matrix), -(-matrix.shape[1] // PAD) * PAD), np.float32)
    padded[:, : matrix.shape[1]] = matrix
    return padded


def gram(vectors: F32, *, threads: int | None = None) -> F64:
    """VᵀV, float64[K, K], of float32[C, K]. Summed in parts of a fixed size: the same bit by bit for any number of threads."""
    padded, n_factors = _padded(vectors), vectors.shape[1]
    n_parts = -(-len(padded) // _GRAM_ROWS)
    size = padded.shape[1]
    parts = np.zeros((n_parts, size, size), np.float32)

    def work(start: int, stop: int) -> None:
        for part in range(start, stop):
            compiled.gram_part(padded, part * _GRAM_ROWS, min((part + 1) * _GRAM_ROWS, len(padded)), parts[part])

    blocks.run(work, np.arange(1, n_parts + 1) * _GRAM_ROWS * size * size, threads, _WORTH)
    lower = np.tril(parts.sum(axis=0, dtype=np.float64))  # [Kp, Kp]
    full: F64 = lower + np.tril(lower, -1).T
    return full[:n_factors, :n_factors].copy()
