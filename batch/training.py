"""The ratings store → one training matrix, and the part of it that is held out to measure the model.

In: the store's rows. Out: `TrainingData`. Next: `reelstream.batch.engines.native` or `reelstream.batch.engines.mllib` fits it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from reelstream.als.factors import RatingMatrix
from reelstream.als.splits import split_user_time
from reelstream.errors import NotReady
from reelstream.store.pointer import consistent
from reelstream.store.rating_rows import ages_in, latest
from reelstream.store.ratings import RatingsStore
from reelstream.store.ratings_state import RatingsState

HELD_OUT = 0.2
"""The share of a user's ratings that is held out: the newest ones."""
HELD_OUT_USERS = 20_000
"""Users whose ratings are held out, at the most: more would cost time and not change the second digit of a metric."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The latest rating of each (user, movie), sorted by user, then movie: int64[L], int64[L], float32[L], and the
    time in milliseconds since 1970, int64[L]; ages, int32[L]: how many of the user's ratings are newer."""

    state: RatingsState
    user_id: np.ndarray
    movie_id: np.ndarray
    rating: np.ndarray
    rated_at_ms: np.ndarray
    ages: np.ndarray

    def matrix(self, rows: np.ndarray | None = None) -> RatingMatrix:
        """All ratings, or those where rows bool[L] is true."""
        keep = slice(None) if rows is None else rows
        return RatingMatrix.from_triples(self.user_id[keep], self.movie_id[keep], self.rating[keep], self.ages[keep])

    def held_out(self) -> np.ndarray:
        """bool[L]: the newest fifth of each user's ratings, of HELD_OUT_USERS users at the most.

        What is not held out only grows from one refit to the next, as ratings come in order of time: a user's newer
        ratings push older ones into training, and of users that become too many the half is left that has the even
        hash. So factors that were measured once have not seen what is held out later.
        """
        mine = _hash(self.user_id) % _one_in(len(np.unique(self.user_id))) == 0
        held_out = np.zeros(len(self.user_id), np.bool_)
        rows = np.flatnonzero(mine)
        held_out[rows[split_user_time(self.user_id[mine], self.rated_at_ms[mine], HELD_OUT)[1]]] = True
        return held_out


def load(store: RatingsStore) -> TrainingData:
    """Raises NotReady if the store has no rating."""

    def look() -> tuple[RatingsState, pa.Table]:
        state = store.state()
        return state, store.read(state)

    state, table = consistent(look)
    if not table.num_rows:
        raise NotReady(
            "there are no ratings yet; send some with `reelstream replay FILE.csv` while `reelstream up` runs."
        )
    table = latest(table)
    return TrainingData(
        state,
        table["user_id"].to_numpy(),
        table["movie_id"].to_numpy(),
        table["rating"].to_numpy(),
        table["rated_at"].cast(pa.int64()).to_numpy(),
        ages_in(table),
    )


def _one_in(n_users: int) -> int:
    """The least power of two that leaves HELD_OUT_USERS users at the most."""
    return 1 << max(0, math.ceil(math.log2(max(n_users, 1) / HELD_OUT_USERS)))


def _hash(user_id: np.ndarray) -> np.ndarray:
    mixed = user_id.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)  # an integer mix with wrap-around
    mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return mixed ^ (mixed >> np.uint64(32))
