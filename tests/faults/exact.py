"""What is in the store, to the row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from reelstream.settings import Settings
from reelstream.store.ratings import RatingsStore
from tests.kafka_topic import Place


def stored(settings: Settings) -> int:
    """Ratings that the store has ever taken in."""
    return RatingsStore(settings.warehouse).state().accepted


def exactly_stored(settings: Settings, sent: Mapping[Place, int]) -> None:
    """Fails unless the store has each of these events once, and no other: place in the topic → user."""
    rows = RatingsStore(settings.warehouse).read().to_pylist()
    found = Counter((row["partition"], row["offset"], row["user_id"]) for row in rows)
    wanted = Counter((*place, user_id) for place, user_id in sent.items())
    assert not wanted - found, "lost"
    assert not found - wanted, "twice, or never sent"
    assert stored(settings) == len(sent)
