"""Ratings into Kafka, for as long as the server runs.

In: a user's ratings. Out: their places in the topic, acknowledged. Next: the stream takes them from there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from reelstream.errors import BrokerUnavailable, DamagedStore
from reelstream.events import DismissEvent, RatingEvent, check
from reelstream.ids import Id
from reelstream.producer.rating_producer import RatingProducer, rating_producer
from reelstream.settings import Settings
from reelstream.store.own_times import OwnTimes, now_ms

Event = TypeVar("Event", RatingEvent, DismissEvent)

DELIVERY_TIMEOUT_S = 10.0
"""A person waits for the answer."""


class RatingSender:
    """Connects at the first rating, and anew after a failure: the embedded broker may come back on another port.

    Thread-safe.
    """

    def __init__(self, settings: Settings, address: Callable[[], str]) -> None:
        self._settings = settings
        self._times = OwnTimes(settings.warehouse)
        self._address = address
        self._lock = threading.Lock()
        self._producer: RatingProducer | None = None

    def rate(self, user_id: Id, movie_id: Id, stars: float | None) -> tuple[int, int]:
        """Sends a rating, None to take it back; returns its (partition, offset), acknowledged.

        Raises BadRating, and BrokerUnavailable if Kafka does not take it within DELIVERY_TIMEOUT_S.
        """
        event, scale = RatingEvent(user_id, movie_id, stars, now_ms()), self._settings.scale
        check(event, rating_min=scale.rating_min, rating_max=scale.rating_max, now_ms=event.rated_at_ms)
        return self._send(event, self._times.to_rate)

    def dismiss(self, user_id: Id, movie_id: Id, *, is_so: bool) -> tuple[int, int]:
        """The same for a movie that the user dismisses, or takes that back."""
        return self._send(DismissEvent(user_id, movie_id, is_so, now_ms()), self._times.to_dismiss)

    def close(self) -> None:
        with self._lock:
            producer, self._producer = self._producer, None
        if producer is not None:
            producer.close()

    def _send(self, event: Event, times_ms: Callable[[Id, Iterable[Id]], list[int]]) -> tuple[int, int]:
        with suppress(DamagedStore):  # it can be sent all the same
            [at_ms] = times_ms(event.user_id, [event.movie_id])
            event = replace(event, rated_at_ms=at_ms)
        producer = self._connected()
        try:
            [place] = producer.send_now([event])
            return place
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
