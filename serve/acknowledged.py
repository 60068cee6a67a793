"""Read-your-writes: ratings that Kafka has acknowledged and that the published lists do not count yet.

In: what was posted, with its place in the topic. Out: a user's ratings, with those merged in. Next: `reelstream.serve.service`
answers from them as from any ratings, until the stream has stored the rating and folded it in.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from reelstream.api.user_ratings import MergedRatings, StarsByMovie, StoredRatings
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore

MAX_USERS = 100_000
"""Users that may wait at once. Beyond, those that have waited longest wait for the stream like everybody else."""

T = TypeVar("T")
Place = tuple[int, int]
"""(partition, offset)."""


@dataclass(slots=True)
class _Waiting:
    ratings: dict[int, tuple[float | None, Place]] = field(default_factory=dict)
    dismissed: dict[int, tuple[bool, Place]] = field(default_factory=dict)
    batch: int | None = None
    """The micro-batch in which all of them are stored, once they are."""
    count: int = 0
    """How many there were."""


class AcknowledgedRatings:
    """Thread-safe. Held in memory alone: after a restart of the server the stream's own lists answer."""

    def __init__(self, warehouse: Path, topic: str) -> None:
        self._store = RatingsStore(warehouse)
        self._published = RecommendationsStore(warehouse)
        self._topic = topic
        self._lock = threading.Lock()
        self._waiting: OrderedDict[int, _Waiting] = OrderedDict()

    def add(self, user_id: int, rated: Sequence[tuple[int, float | None]], places: Sequence[Place]) -> None:
        """rated: (movie_id, stars), None for one taken back; places: where each is in the topic."""
        with self._lock:
            _keep(self._of(user_id, len(rated)).ratings, rated, places)

    def add_dismissed(self, user_id: int, movies: Sequence[tuple[int, bool]], places: Sequence[Place]) -> None:
        """movies: (movie_id, whether it is dismissed or that is taken back)."""
        with self._lock:
            _keep(self._of(user_id, len(movies)).dismissed, movies, places)

    def _of(self, user_id: int, more: int) -> _Waiting:
        """The user's, who waits anew with so many more. The caller holds the lock."""
        waiting = self._waiting.setdefault(user_id, _Waiting())
        waiting.batch = None
        waiting.count += more
        self._waiting.move_to_end(user_id)
        while len(self._waiting) > MAX_USERS:
            self._waiting.popitem(last=False)
        return waiting

    def waits(self, user_id: int) -> bool:
        """Whether the published list of the user may not count all that was acknowledged. Costs no file."""
        return user_id in self._waiting

    def count(self, user_id: int) -> int:
        """Grows with each rating of a user that waits; 0 for one that does not."""
        waiting = self._waiting.get(user_id)
        return waiting.count if waiting else 0

    def pending(self, user_id: int) -> dict[int, float | None] | None:
        """movie_id → stars that the store does not have yet; None once the published list counts everything.

        An empty dict says that all is stored and the published list is still older.
        """
        missing = self._missing(user_id)
        return None if missing is None else missing[0]

    def _missing(self, user_id: int) -> tuple[dict[int, float | None], dict[int, bool]] | None:
        """The same, with the dismissals that the store does not have yet."""
        with self._lock:
            waiting = self._waiting.get(user_id)
            if waiting is None:
                return None
            state = self._store.state()

            def not_stored(kept: Mapping[int, tuple[T, Place]]) -> dict[int, T]:
                return {movie: value for movie, (value, place) in kept.items() if not state.has(self._topic, place)}

            missing = not_stored(waiting.ratings), not_stored(waiting.dismissed)
            if any(missing):
                return missing
            if waiting.batch is None:
                waiting.batch = state.batch
            counted_up_to = self._published.counted_up_to()
            if counted_up_to is not None and counted_up_to >= waiting.batch:
                del self._waiting[user_id]
                return None
            return missing

    def ratings(self, user_id: int) -> StarsByMovie:
        """All ratings of the user; the stored ones alone, by which published lists answer, where no other waits."""
        stored, missing = StoredRatings(self._store, user_id), self._missing(user_id)
        if missing is None:
            return stored
        waiting, dismissed = missing
        merged = {movie_id: stars for movie_id, stars in stored.items() if movie_id not in waiting} | waiting
        stars_of = {movie_id: stars for movie_id, stars in merged.items() if stars is not None}
        return MergedRatings(user_id, stars_of, dismissed)

    def dismissed(self, user_id: int) -> dict[int, bool]:
        """movie_id → whether it was dismissed or that was taken back, of what the store does not have yet."""
        missing = self._missing(user_id)
        return missing[1] if missing else {}

    def newest_first(self, user_id: int) -> list[tuple[int, float, datetime | None]]:
        """(movie_id, stars, rated_at) of all ratings of the user; rated_at is None where the store does not have it yet."""
        waiting = self.pending(user_id) or {}
        stored = StoredRatings(self._store, user_id).table
        stored = stored.sort_by([("rated_at", "descending"), ("movie_id", "ascending")])
        columns = (stored[name].to_pylist() for name in ("movie_id", "rating", "rated_at"))
        new = [(movie_id, stars, None) for movie_id, stars in reversed(waiting.items()) if stars is not None]
        return new + [row for row in zip(*columns, strict=True) if row[0] not in waiting]


def _keep(kept: dict[int, tuple[T, Place]], new: Sequence[tuple[int, T]], places: Sequence[Place]) -> None:
    for (movie_id, value), place in zip(new, places, strict=True):
        known = kept.get(movie_id)
        if known is None or known[1][0] != place[0] or known[1][1] < place[1]:
            kept.pop(movie_id, None)  # it is the newest from now on
            kept[movie_id] = (value, place)
