"""Ratings of two camps: every second user loves every second film and dislikes the others; the rest the other way."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from reelstream.als.factors import F32, I64
from reelstream.store.ratings import RatingsStore
from tests.store.rows import ratings, rejects

Triples = tuple[I64, I64, F32]

FIRST_MOVIE = 1000
"""Users count from 1, movies from here."""


def camps(n_users: int = 60, n_movies: int = 80, density: float = 0.4, seed: int = 0) -> Triples:
    """(user_id, movie_id, rating): 4 to 5 stars for the own camp's films, 1 to 2 for an eighth as many others."""
    rng = np.random.default_rng(seed)
    user, movie = np.indices((n_users, n_movies)).reshape(2, -1)
    own = user % 2 == movie % 2
    rated = rng.random(len(user)) < np.where(own, density, density / 8)
    stars = rng.integers(2, 5, len(user)) / 2 + np.where(own, 3, 0)
    return user[rated] + 1, movie[rated] + FIRST_MOVIE, stars[rated].astype(np.float32)


def own_camp(user_id: I64, movie_id: I64) -> np.ndarray:
    """bool: whether the films are of the users' own camp, by the ids that `camps` gives."""
    return (user_id - 1) % 2 == (movie_id - FIRST_MOVIE) % 2


def fill(warehouse: Path, triples: Triples) -> RatingsStore:
    """Appends the ratings to the store as one micro-batch, after what is in it."""
    store = RatingsStore(warehouse)
    add(store, *zip(*(column.tolist() for column in triples), strict=True))
    return store


def add(store: RatingsStore, *rows: tuple[int, int, float]) -> None:
    """One more micro-batch, rated later than those before it."""
    state = store.state()
    offset = state.offsets.get("ratings", {}).get(0, 0)
    table = ratings(*rows, offset=offset, rated_at_ms=1000 * (state.batch + 1))
    store.append(table, rejects(), {"ratings": {0: offset + len(rows)}})
