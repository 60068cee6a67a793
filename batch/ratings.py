"""The ratings store → one training matrix, and the part of it that is held out to measure the model.

In: the store's rows. Out: `TrainingData`. Next: `batch.native` or `batch.mllib` fits it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from reelstream.als.factors import RatingMatrix
from reelstream.errors import NotReady
from reelstream.store.pointer import consistent
from reelstream.store.ratings import RatingsState, RatingsStore, latest

HELD_OUT_PARTS = 5
"""One rating in five is held out."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The latest rating of each (user, movie): int64[L], int64[L], float32[L], sorted by user, then movie."""

    state: RatingsState
    user_id: np.ndarray
    movie_id: np.ndarray
    rating: np.ndarray

    def matrix(self, rows: np.ndarray | None = None) -> RatingMatrix:
        """All ratings, or those where rows bool[L] is true."""
        keep = slice(None) if rows is None else rows
        return RatingMatrix.from_triples(self.user_id[keep], self.movie_id[keep], self.rating[keep])

    def held_out(self) -> np.ndarray:
        """bool[L]: a random fifth, the same for a (user, movie) in every refit, so that versions can be compared."""
        held_out: np.ndarray = _hash(self.user_id, self.movie_id) % HELD_OUT_PARTS == 0
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
    return TrainingData(state, table["user_id"].to_numpy(), table["movie_id"].to_numpy(), table["rating"].to_numpy())


def _hash(user_id: np.ndarray, movie_id: np.ndarray) -> np.ndarray:
    mixed = user_id.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) ^ movie_id.astype(np.uint64)
    mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)  # an integer mix with wrap-around
    return mixed ^ (mixed >> np.uint64(32))
