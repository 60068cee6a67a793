"""The Kafka producer of rating events.

In: rating events. Out: records on the topic, key = user id, value = the event's JSON.
Next: `reelstream.producer.send` replays a file through it; `reelstream rate` sends live ratings.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError
from kafka.partitioner import Partitioner
from kafka.partitioner.default import murmur2

from reelstream.errors import BrokerUnavailable, UsageError
from reelstream.events import AnyEvent, RatingEvent
from reelstream.ids import Id
from reelstream.kafka_io.connection import CONNECT_TIMEOUT_MS, connect
from reelstream.kafka_io.properties import kafka_python_options
from reelstream.kafka_io.topic import prepare_topic
from reelstream.settings import Settings
from reelstream.store.own_times import now_ms

MAX_PENDING = 20_000
"""Most events that wait for their acknowledgement: kafka-python itself sets no bound on its memory."""
DELIVERY_TIMEOUT_S = 60.0
CLOSE_TIMEOUT_S = 5.0

MOVIELENS_IDS_BELOW = 2**40
IDS_BELOW = 2**53


def rating_producer(
    settings: Settings, bootstrap_servers: str, *, delivery_timeout_s: float = DELIVERY_TIMEOUT_S
) -> RatingProducer:
    """A producer for the topic of the settings, which is made if it is missing. Raises as `prepare_topic` and
    `RatingProducer`."""
    properties = prepare_topic(settings, bootstrap_servers)
    return RatingProducer(bootstrap_servers, settings.topic, properties, delivery_timeout_s=delivery_timeout_s)


class RatingProducer:
    """A producer that loses nothing silently: acks from all in-sync replicas, no repeats by retries, bounded memory.

    The topic is there already (`reelstream.kafka_io.topic.ensure_topic`): a broker that makes topics itself would make it
    with another number of partitions. One thread calls `send` and `flush`; `rate_live` may be called from any thread.
    Raises BrokerUnavailable if no broker answers within CONNECT_TIMEOUT_MS, and UsageError if the topic can't be used.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        properties: Mapping[str, str] | None = None,
        *,
        delivery_timeout_s: float = DELIVERY_TIMEOUT_S,
    ) -> None:
        self.topic = topic
        self.sent = 0
        """Events given to `send`."""
        self.acked = 0
        """Events acknowledged, as far as there is no gap before them in the order of sending."""
        self.settled = 0
        """`acked`, and those that `count_as_sent` put between them."""
        self.offsets: dict[int, int] = {}
        """partition → one after the offset of its last event in `acked`."""
        self._bootstrap_servers = bootstrap_servers
        self._delivery_timeout_s = delivery_timeout_s
        self._pending: deque[Any] = deque()
        options = {
            **kafka_python_options(bootstrap_servers, properties or {}),
            "acks": "all",
            "enable_idempotence": True,
            "compression_type": "lz4",
            "partitioner": _ByUser(),
            "batch_size": 1 << 17,
            "linger_ms": 20,
            "delivery_timeout_ms": int(delivery_timeout_s * 1000),
            "request_timeout_ms": int(delivery_timeout_s * 500),
            "max_block_ms": CONNECT_TIMEOUT_MS,
            "metrics_enabled": False,
        }
        self._kafka = connect(KafkaProducer, options)
        try:
            self._kafka.partitions_for(topic)
        except KafkaError as error:
            self._close(0)
            raise UsageError(
                f"topic {topic} at {bootstrap_servers} can't be used ({error}); check its name and the user's rights."
            ) from error

    def send(self, event: RatingEvent) -> None:
        """Queues the event; waits while MAX_PENDING are unacknowledged. Raises BrokerUnavailable if one got lost."""
        while len(self._pending) >= MAX_PENDING:
            self._wait_for_oldest(self._delivery_timeout_s + 1)
        try:
            self._pending.append(self._kafka.send(self.topic, event.to_json(), event.key()))
        except KafkaError as error:
            raise self._failed(error) from error
        self.sent += 1

    def count_as_sent(self) -> None:
        """Puts an event that is in the topic already at its place in the order, without sending it."""
        self._pending.append(None)

    def collect(self) -> None:
        """Brings the counts up to date, without waiting. Raises BrokerUnavailable if a delivery failed."""
        pending = self._pending
        while pending:
            future = pending[0]
            if future is not None:
                if not future.is_done:
                    return
                if future.exception is not None:
                    raise self._failed(future.exception) from future.exception
                self.offsets[future.value.partition] = future.value.offset + 1
                self.acked += 1
            self.settled += 1
            pending.popleft()

    def flush(self, timeout_s: float | None = None) -> None:
        """Returns when everything that was sent is acknowledged.

        Raises BrokerUnavailable if a delivery failed, or if they take longer than `timeout_s` (by default, as long as
        one delivery may take).
        """
        timeout_s = self._delivery_timeout_s + 1 if timeout_s is None else timeout_s
        deadline_s = time.monotonic() + timeout_s
        with suppress(KafkaError):  # it gives up early when a batch had to be split
            self._kafka.flush(timeout_s)
        while self._pending and (left_s := deadline_s - time.monotonic()) > 0:
            self._wait_for_oldest(left_s)
        self.collect()
        if self._pending:
            raise BrokerUnavailable(
                f"Kafka at {self._bootstrap_servers} does not acknowledge: {len(self._pending):,} events are waiting; "
                "check the broker, then send again."
            )

    def rate_live(
        self,
        user_id: Id,
        ratings: Sequence[tuple[Id, float | None]],
        times_ms: Sequence[int] | None = None,
    ) -> list[tuple[int, int]]:
        """Sends (movie id, stars) of one user; None as stars takes the rating back. Returns the (partition, offset) of
        each, acknowledged.

        times_ms: of each, see `reelstream.store.own_times`; without it now.
        The caller has checked them with `reelstream.events.check`. Raises BrokerUnavailable.
        """
        timed = zip(ratings, times_ms or [now_ms()] * len(ratings), strict=True)
        return self.send_now([RatingEvent(user_id, movie_id, _float(stars), at) for (movie_id, stars), at in timed])

    def send_now(self, events: Sequence[AnyEvent]) -> list[tuple[int, int]]:
        """Sends events that the caller has checked; returns the (partition, offset) of each, acknowledged. Raises
        BrokerUnavailable."""
        try:
            futures = [self._kafka.send(self.topic, event.to_json(), event.key()) for event in events]
            with suppress(KafkaError):  # see `flush`
                self._kafka.flush(self._delivery_timeout_s + 1)
            placed = [future.get(self._delivery_timeout_s + 1) for future in futures]
        except KafkaError as error:
            raise self._failed(error) from error
        return [(place.partition, place.offset) for place in placed]

    def close(self) -> None:
        """Flushes and closes; see `flush`."""
        try:
            self.flush()
        finally:
            self._close(self._delivery_timeout_s)

    def _wait_for_oldest(self, timeout_s: float) -> None:
        oldest = self._pending[0]
        if oldest is not None:
            try:
                oldest.get(timeout_s)
            except KafkaError as error:
                raise self._failed(error) from error
        self.collect()

    def _failed(self, error: BaseException) -> BrokerUnavailable:
        return BrokerUnavailable(
            f"Kafka at {self._bootstrap_servers} did not take an event for topic {self.topic} ({error}); "
            "check the broker, then send again."
        )

    def _close(self, timeout_s: float) -> None:
        try:
            self._kafka.close(timeout_s)
        except KafkaTimeoutError:  # its flush took too long, and it has left its thread running
            self._kafka._sender.force_close()
            self._kafka.close(CLOSE_TIMEOUT_S)

    def __enter__(self) -> RatingProducer:
        return self

    def __exit__(self, error_type: object, *_error: object) -> None:
        if error_type is None:
            self.close()
        else:
            self._close(0)


def new_user_id() -> int:
    """A random id in [2^40, 2^53): above MovieLens' ids, and exact in JavaScript and in JSON tools that use doubles.

    There are 9.0e15 of them, so among n new users two share an id with a probability of about n^2 / 1.8e16: 1 in 18,000
    for a million users. Bits of time would make this worse: fewer random bits, and new users come in bursts.
    """
    return MOVIELENS_IDS_BELOW + secrets.randbelow(IDS_BELOW - MOVIELENS_IDS_BELOW)


def _float(stars: float | None) -> float | None:
    return None if stars is None else float(stars)


class _ByUser(Partitioner):  # type: ignore[misc]
    """Java's default partitioner for records with a key; kafka-python's own takes three times as long for the same."""

    def partition(self, topic: str, _key: object, key: bytes, _value: object, _bytes: object, cluster: Any) -> int:
        count: int = len(cluster.partitions_for_topic(topic))
        return int(murmur2(key) & 0x7FFFFFFF) % count
