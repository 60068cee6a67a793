"""What lists are worth: whether they hold the relevant movies and how far up, and how varied they are.

In: lists as positions, relevant movies, how often each movie is rated. Out: figures by name. Next: `metrics` reports them.
Positions are int32[R, k], best first; -1 fills a list that has fewer than k movies.
"""

from __future__ import annotations

import numpy as np

from reelstream.als.arrays import F32, F64, I32, I64, Csr

_ROWS = 8192
"""Lists whose vectors are gathered at once."""

Figures = dict[str, float | None]


def accuracy(positions: I32, relevant: Csr, n_movies: int) -> Figures:
    """nDCG, precision, recall, MAP and MRR at k of R lists against R rows of relevant movies; None where R is 0.

    Recall: the share of the relevant movies that are on the list. MAP: the mean over min(k, relevant) of the precision
    at the place of each relevant movie. MRR: one over the first relevant movie's place; 0 where none is on the list.
    """
    n_rows, k = positions.shape
    names = [f"{name}_at_{k}" for name in ("ndcg", "precision", "recall", "map", "mrr")]
    if not n_rows:
        return dict.fromkeys(names)
    n_relevant = relevant.counts()  # [R]
    hits = _hits(positions, relevant, n_movies)  # [R, k]
    place = np.arange(1, k + 1)
    precision = np.cumsum(hits, axis=1) / place  # [R, k]
    values = (
        _ndcg(hits, n_relevant),
        precision[:, -1],
        hits.sum(axis=1) / n_relevant,
        (precision * hits).sum(axis=1) / np.minimum(n_relevant, k),
        (hits / place).max(axis=1),
    )  # each [R]
    return {name: float(value.mean()) for name, value in zip(names, values, strict=True)}


def ndcg(positions: I32, relevant: Csr, n_movies: int) -> F64:
    """nDCG of each list, float64[R].

    Gain 1 for each relevant movie, discounted by log2(place + 1); the ideal has min(k, number relevant) of them in
    front (Järvelin, Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002).
    """
    return _ndcg(_hits(positions, relevant, n_movies), relevant.counts())


def variety(positions: I32, movie_counts: I64, n_users: int, vectors: F32) -> Figures:
    """coverage, novelty and diversity of R lists; None where no list is long enough.

    movie_counts: int64[M], users who rated each movie in training, of n_users. vectors: float32[M, K], a movie's
    ranking factors.
    coverage: the share of the M movies that are on some list. novelty: the mean over all listed movies of
    -log2(movie_counts / n_users), in bits (Zhou et al., "Solving the apparent diversity-accuracy dilemma of recommender
    systems", PNAS 2010). diversity: 1 minus the mean cosine of two movies of a list, the mean over lists of two or
    more; a movie without factors has cosine 0. Lists are comparable where `vectors` are the same.
    """
    listed = positions >= 0  # [R, k]
    on_lists = positions[listed]
    if not len(on_lists):
        return {"coverage": None, "novelty": None, "diversity": None}
    times = np.bincount(on_lists, minlength=len(movie_counts))  # [M]
    bits = -np.log2(np.maximum(movie_counts, 1) / n_users)  # [M]
    return {
        "coverage": float(np.mean(times > 0)),
        "novelty": float(times @ bits / times.sum()),
        "diversity": _diversity(positions, listed, vectors),
    }


def _hits(positions: I32, relevant: Csr, n_movies: int) -> np.ndarray:
    """bool[R, k]: whether the movie at that place is relevant."""
    rows = np.arange(len(positions))
    pairs = np.repeat(rows, relevant.counts()) * n_movies + relevant.indices  # [relevant], one number a (row, movie)
    hits: np.ndarray = np.isin(rows[:, None] * n_movies + positions, pairs) & (positions >= 0)
    return hits


def _ndcg(hits: np.ndarray, n_relevant: I64) -> F64:
    k = hits.shape[1]
    discount = 1 / np.log2(np.arange(2, k + 2))  # [k]
    value: F64 = hits @ discount / np.cumsum(discount)[np.minimum(n_relevant, k) - 1]  # [R]
    return value


def _diversity(positions: I32, listed: np.ndarray, vectors: F32) -> float | None:
    """From the length of the sum of a list's unit vectors: its square is the sum of all cosines, of a movie with
    itself too."""
    n = listed.sum(axis=1)  # [R]
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / np.where(length > 0, length, 1)  # [M, K]
    itself = length[:, 0] > 0  # [M]: cosine 1 with itself
    total, lists = 0.0, 0
    for rows in (slice(first, first + _ROWS) for first in range(0, len(positions), _ROWS)):
        at, on = positions[rows], listed[rows]
        whole = np.einsum("rnk,rn->rk", units[at], on.astype(np.float32))  # [r, K]
        pairs = (np.square(whole, dtype=np.float64)).sum(axis=1) - (itself[at] & on).sum(axis=1)  # [r]
        two = n[rows] >= 2
        total += float((1 - pairs[two] / (n[rows] * (n[rows] - 1))[two]).sum())
        lists += int(two.sum())
    return total / lists if lists else None
