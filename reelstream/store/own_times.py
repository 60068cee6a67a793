"""Times for what a user does now, so that it counts though stored events of the user come from a clock that is ahead.

In: a user, movies. Out: milliseconds since 1970-01-01 UTC: now, or one after what is stored. Next:
`reelstream.producer.rating_producer` sends events with these times.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from reelstream.ids import Id, number_of
from reelstream.store.dismissed import DismissedStore
from reelstream.store.ratings import RatingsStore


class OwnTimes:
    """Each method raises DamagedStore if it cannot be read what is stored."""

    def __init__(self, warehouse: Path) -> None:
        self._ratings = RatingsStore(warehouse)
        self._dismissed = DismissedStore(warehouse)

    def to_rate(self, user_id: Id, movie_ids: Iterable[Id]) -> list[int]:
        """For a rating of each movie, or one taken back."""
        return self._after(self._ratings.rated_at_ms(number_of(user_id)), user_id, movie_ids)

    def to_dismiss(self, user_id: Id, movie_ids: Iterable[Id]) -> list[int]:
        """For each movie that is dismissed, or where that is taken back."""
        return self._after(self._dismissed.changed_at_ms(number_of(user_id)), user_id, movie_ids)

    def to_forget(self, user_id: Id) -> int:
        """For a request that covers all that is stored of the user."""
        number = number_of(user_id)
        stored = (*self._ratings.rated_at_ms(number).values(), *self._dismissed.changed_at_ms(number).values())
        return max([now_ms(), *stored])

    def _after(self, stored_ms: Mapping[int, int], user_id: Id, movie_ids: Iterable[Id]) -> list[int]:
        forgotten = self._ratings.forgotten().get(number_of(user_id))
        earliest = max(now_ms(), forgotten.until_ms + 1 if forgotten else 0)
        return [max(earliest, stored_ms.get(number_of(movie_id), -1) + 1) for movie_id in movie_ids]


def now_ms() -> int:
    return time.time_ns() // 1_000_000
