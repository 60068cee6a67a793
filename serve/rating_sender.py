"""Ratings into Kafka, for as long as the server runs.

In: a user's ratings. Out: their places in the topic, acknowledged. Next: the stream takes them from there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from reelstream.errors import BrokerUnavailable, DamagedStore
from reelstream.events import RatingEvent, check
from reelstream.ids import Id, number_of
from reelstream.producer.rating_producer import RatingProducer, rating_producer
from reelstream.settings import Settings
from reelstream.store.dismissed import DismissedStore
from reelstream.store.ratings import RatingsStore

DELIVERY_TIMEOUT_S = 10.0
"""A person waits for the answer."""


class RatingSender:
    """Connects at the first rating, and anew after a failure: the embedded broker may come back on another port.

    Thread-safe.
    """

    def __init__(self, settings: Settings, address: Callable[[], str]) -> None:
        self._settings = settings
        self._store = RatingsStore(settings.warehouse)
        self._dismissed = DismissedStore(settings.warehouse)
        self._address = address
        self._lock = threading.Lock()
        self._producer: RatingProducer | None = None

    def post(self, user_id: Id, ratings: Sequence[tuple[Id, float | None]]) -> list[tuple[int, int]]:
        """Sends (movie_id, stars), None to take a rating back; returns (partition, offset) of each, acknowledged.

        Raises BadRating, and BrokerUnavailable if Kafka does not take them within DELIVERY_TIMEOUT_S.
        """
        now_ms, scale = time.time_ns() // 1_000_000, self._settings.scale
        for movie_id, stars in ratings:
            event = RatingEvent(user_id, movie_id, stars, now_ms)
            check(event, rating_min=scale.rating_min, rating_max=scale.rating_max, now_ms=now_ms)
        stored_ms: dict[int, int] = {}
        with suppress(DamagedStore):  # a rating can be given all the same
            stored_ms = self._store.rated_at_ms(number_of(user_id))
        return self._send(lambda producer: producer.rate_live(user_id, ratings, stored_ms))

    def dismiss(self, user_id: Id, movies: Sequence[tuple[Id, bool]]) -> list[tuple[int, int]]:
        """The same for (movie_id, whether it is dismissed or that is taken back)."""
        stored_ms: dict[int, int] = {}
        with suppress(DamagedStore):
            stored_ms = self._dismissed.changed_at_ms(number_of(user_id))
        return self._send(lambda producer: producer.dismiss_live(user_id, movies, stored_ms))

    def close(self) -> None:
        with self._lock:
            producer, self._producer = self._producer, None
        if producer is not None:
            producer.close()

    def _send(self, send: Callable[[RatingProducer], list[tuple[int, int]]]) -> list[tuple[int, int]]:
        producer = self._connected()
        try:
            return send(producer)
        except BrokerUnavailable:
            self._forget(producer)
            raise

    def _connected(self) -> RatingProducer:
        with self._lock:
            if self._producer is None:
                self._producer = rating_producer(self._settings, self._address(), delivery_timeout_s=DELIVERY_TIMEOUT_S)
            return self._producer

    def _forget(self, producer: RatingProducer) -> None:
        with self._lock:
            if self._producer is producer:
                self._producer = None
                producer.__exit__(BrokerUnavailable)
