"""A store with enough ratings to fit, as if an earlier topic had brought them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from reelstream.settings import Settings
from reelstream.store.ratings import RatingsStore
from reelstream.store.schemas import RATINGS, REJECTS

USERS, MOVIES = 60, 40


def seed_ratings(settings: Settings) -> int:
    """Two camps of users, who like the odd or the even movies; returns how many ratings."""
    random = np.random.default_rng(7)
    pairs = [(u, m) for u in range(1, USERS + 1) for m in range(1, MOVIES + 1) if random.random() < 0.5]
    n = len(pairs)
    table = pa.table(
        {
            "user_id": [u for u, _ in pairs],
            "movie_id": [m for _, m in pairs],
            "rating": pa.array([5.0 if u % 2 == m % 2 else 2.0 for u, m in pairs], pa.float32()),
            "rated_at": pa.array([1_000_000_000_000] * n, pa.int64()).cast(pa.timestamp("ms", tz="UTC")),
            "topic": ["earlier"] * n,
            "partition": [0] * n,
            "offset": list(range(n)),
        }
    ).cast(RATINGS)
    RatingsStore(settings.warehouse).append(table, REJECTS.empty_table(), {"earlier": {0: n}})
    return n
