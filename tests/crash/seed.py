"""Ratings that are in a warehouse before the first kill: users who like the odd or the even movies.

In: nothing. Out: rows for the ratings store. Next: `tests.crash.points`.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

USERS, MOVIES, ONE_IN = 700, 120, 6
"""Each of the users has rated all but one in six of the movies: more rows than the first snapshot takes."""
TOPIC = "earlier"


def rated(user_id: int, movie_id: int) -> bool:
    return (user_id + movie_id) % ONE_IN != 0


def pairs(users: range, *, are_rated: bool) -> list[tuple[int, int]]:
    """(user, movie) of those users that are, or are not, among the rows."""
    return [(u, m) for u in users for m in range(1, MOVIES + 1) if rated(u, m) == are_rated]


def everyone_rates(rated_at_ms: int) -> pa.Table:
    """The columns of RATINGS but for `offset`."""
    users, movies = np.array(pairs(range(1, USERS + 1), are_rated=True)).T
    return pa.table(
        {
            "user_id": users,
            "movie_id": movies,
            "rating": np.where(users % 2 == movies % 2, 5.0, 2.0).astype(np.float32),
            "rated_at": pa.array(np.full(len(users), rated_at_ms)).cast(pa.timestamp("ms", tz="UTC")),
            "topic": pa.repeat(pa.scalar(TOPIC), len(users)),
            "partition": pa.array(np.zeros(len(users), np.int32)),
        }
    )
