"""Whose ratings an answer is made from: a user's as they are stored, or any others.

In: the ratings store, or movie id → stars. Out: a mapping of movie id → stars. Next: `reelstream.api.lists` and
`reelstream.api.why` answer from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np
import pyarrow as pa

from reelstream.api.movie_filter import id_of
from reelstream.ids import Id
from reelstream.store.rating_rows import ages_in, latest
from reelstream.store.ratings import RatingsStore

StarsByMovie = Mapping[int, float]
"""movie id → stars, what was rated last at the end."""


class MergedRatings(dict[int, float]):
    """A user's stored ratings and what was acknowledged since; `dismissed` are movies dismissed since, or taken back."""

    def __init__(self, user_id: int, stars: StarsByMovie, dismissed: Mapping[int, bool]) -> None:
        super().__init__(stars)
        self.user_id = user_id
        self.dismissed = dismissed


class StoredRatings(StarsByMovie):
    """A user's stored ratings, read when they are first asked for: a published list needs none of them."""

    def __init__(self, store: RatingsStore, user_id: Id | None) -> None:
        """Raises UsageError without an id, or for one beyond 64 bits."""
        self.user_id = id_of(user_id)
        self._store = store

    @cached_property
    def table(self) -> pa.Table:
        """The latest rating of each movie, in the columns of RATINGS."""
        return latest(self._store.read(user_ids=[self.user_id]))

    @cached_property
    def _stars(self) -> dict[int, float]:
        in_order = self.table.take(pa.array(np.argsort(-ages_in(self.table))))
        return dict(zip(in_order["movie_id"].to_pylist(), in_order["rating"].to_pylist(), strict=True))

    def __getitem__(self, movie_id: int) -> float:
        return self._stars[movie_id]

    def __iter__(self) -> Iterator[int]:
        return iter(self._stars)

    def __len__(self) -> int:
        return len(self._stars)
