"""Which movies a user rated says what stars to expect: the rating model's vectors by those of the ranking model.

In: both models' vectors of users. Out: a map from one to the other, and the vector that a user's stars are expected to come
to. Next: `fit` and `fold_in` draw a user's rating vector to that one instead of to 0.

SVD++ adds to a user's vector one for each movie that they rated (Koren, "Factorization Meets the Neighborhood", KDD 2008,
equation 15). The ranking model has made one vector of these already; what is left to learn is the map.
"""

from __future__ import annotations

import numpy as np

from reelstream.als.arrays import F32, F64, Csr

PENALTIES = 10.0 ** np.arange(-2.0, 6.01, 0.25)
"""λ of the ridge regression that are compared."""
LEAST_GAIN = 0.01
"""Share by which the best score must be below that of no map; else there is none."""
_ROWS, _ENTRIES = 256, 1 << 16


def learned(ranking: F32, rating: F32) -> F32:
    """The map from unit ranking vectors to rating vectors, float32[K, Kr], by ridge regression over U users.

    ranking: float32[U, K]. rating: float32[U, Kr]. λ is the one of PENALTIES with the least generalised cross-validation
    score: Golub, Heath, Wahba, "Generalized Cross-Validation as a Method for Choosing a Good Ridge Parameter",
    Technometrics 21 (1979). The same bit by bit for any number of threads.
    """
    from reelstream.als import compiled, kernel  # importing numba takes a moment, and reading factors needs none

    n, k = ranking.shape
    none = np.zeros((k, rating.shape[1]), np.float32)
    if not none.size or not n:
        return none
    gram = kernel.gram(np.column_stack([_unit(ranking), rating]))  # [K + Kr, K + Kr]
    eigenvalues, Qt = compiled.eigen(gram[:k, :k].copy())  # [K], [K, K]
    turned = np.einsum("ak,kj->aj", Qt, gram[:k, k:])  # [K, Kr]
    explained = np.square(turned).sum(axis=1)  # [K]
    total = float(np.trace(gram[k:, k:]))
    scores = []
    for penalty in PENALTIES:
        left = eigenvalues + penalty  # [K]
        error = total - float((explained * (2 / left - eigenvalues / left**2)).sum())
        freedom = float((eigenvalues / left).sum())
        scores.append(max(error, 0.0) / max(1 - freedom / n, 1e-3) ** 2)
    if min(scores) > (1 - LEAST_GAIN) * total:
        return none
    best = PENALTIES[int(np.argmin(scores))]
    solved: F64 = np.einsum("ak,aj->kj", Qt, turned / (eigenvalues + best)[:, None])  # [K, Kr]
    return solved.astype(np.float32)


def expected(ranking: F32, learned_map: F32) -> F32:
    """Where R users' rating vectors are expected, float32[R, Kr]: the same bit by bit whether for one alone or for many.

    ranking: float32[R, K]. learned_map: float32[K, Kr].
    """
    unit = _unit(ranking)
    out = np.zeros((len(unit), learned_map.shape[1]), np.float32)
    for start in range(0, len(unit), _ROWS):
        some = unit[start : start + _ROWS]
        out[start : start + _ROWS] = (some[:, :, None] * learned_map).sum(axis=1)
    return out


def left_over(targets: F32, rows: Csr, other: F32, expected_rows: F32) -> F32:
    """The targets float32[nnz] less what the expected vectors float32[R, Kr] say of them. other: float32[C, Kr]."""
    row = np.repeat(np.arange(rows.n_rows), rows.counts())
    left = targets.copy()
    for start in range(0, len(left), _ENTRIES):
        some = slice(start, start + _ENTRIES)
        left[some] -= np.einsum("lk,lk->l", other[rows.indices[some]], expected_rows[row[some]])
    return left


def _unit(vectors: F32) -> F32:
    length = np.sqrt(np.square(vectors).sum(axis=1, keepdims=True))
    unit: F32 = vectors / np.maximum(length, np.float32(1e-12))
    return unit
