"""How far a topic reaches: where the stream may go on, and how far it is behind.

In: a Kafka, and a topic there. Out: the first and the next offset of each partition, as the broker has them now.
Next: `reelstream.stream.source`, and the lag in `run/stream.json`.
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError, for_code

from reelstream.errors import BrokerUnavailable
from reelstream.kafka_io.connection import admin_client, connected
from reelstream.kafka_io.properties import kafka_python_options, load_command_config
from reelstream.settings import Settings
from reelstream.store.rating_rows import Offsets

CONNECT_TIMEOUT_MS = 3000
LOOK_MS = 500
MOST_LOOKED_AT = 1000
"""Offsets; more than that are events that wait."""


class TopicOffsets:
    """A connection that is made when it is needed, and anew after a failure, so a broker that is back is seen at once."""

    def __init__(self, settings: Settings, bootstrap_servers: str, topic: str) -> None:
        self._topic = topic
        self._bootstrap_servers = bootstrap_servers
        self._options = kafka_python_options(bootstrap_servers, load_command_config(settings.command_config))
        self._connection = ExitStack()
        self._admin: Any = None
        self._behind: dict[int, tuple[int, int]] = {}
        self._empty: set[tuple[int, int, int]] = set()

    def first_and_end(self) -> tuple[dict[int, int], dict[int, int]]:
        """(first offset, next offset) of each partition.

        Raises BrokerUnavailable if no broker answers, or there is no such topic.
        """
        try:
            self._admin = self._admin or self._connection.enter_context(admin_client(self._options, CONNECT_TIMEOUT_MS))
            (described,) = self._admin.describe_topics([self._topic])
            if described["error_code"]:
                raise for_code(described["error_code"])(self._topic)
            places = [TopicPartition(self._topic, p["partition_index"]) for p in described["partitions"]]
            first = self._admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.EARLIEST))
            end = self._admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST))
        except (KafkaError, OSError) as error:
            self.close()
            raise BrokerUnavailable(
                f"Kafka at {self._bootstrap_servers} does not answer for topic {self._topic} ({type(error).__name__}); "
                "check the broker."
            ) from None
        return {at.partition: o.offset for at, o in first.items()}, {at.partition: o.offset for at, o in end.items()}

    def lag(self, offsets: Offsets) -> int:
        """Events of the topic that are not in the store, whose state has these offsets. Raises as `first_and_end`.

        Transactions end with a record that is no event, and what they took back is none either: where the same offsets are
        behind as the last time, these are looked at.
        """
        taken = offsets.get(self._topic, {})
        first, end = self.first_and_end()
        behind = {p: (max(taken.get(p, 0), first[p]), end[p]) for p in end}
        behind = {p: (start, stop) for p, (start, stop) in behind.items() if start < stop}
        for partition, (start, stop) in behind.items():
            if self._behind.get(partition) == (start, stop) and stop - start <= MOST_LOOKED_AT:
                self._look(partition, start, stop)
        self._behind = behind
        self._empty &= {(p, *offsets) for p, offsets in behind.items()}
        return sum(stop - start for p, (start, stop) in behind.items() if (p, start, stop) not in self._empty)

    def _look(self, partition: int, start: int, stop: int) -> None:
        """Remembers offsets that hold no event."""
        if (partition, start, stop) in self._empty:
            return
        options = {**self._options, "enable_auto_commit": False, "isolation_level": "read_committed"}
        place = TopicPartition(self._topic, partition)
        try:
            with closing(connected(KafkaConsumer, options, CONNECT_TIMEOUT_MS)) as consumer:
                consumer.assign([place])
                consumer.seek(place, start)
                found = consumer.poll(timeout_ms=LOOK_MS, max_records=1)
                if not found and consumer.position(place) >= stop:
                    self._empty.add((partition, start, stop))
        except (KafkaError, OSError):
            return

    def close(self) -> None:
        self._admin = None
        self._connection.close()
