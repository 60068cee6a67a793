"""What an operator may do to a topic, and events that go to a partition of the test's choice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kafka import KafkaProducer, TopicPartition

from reelstream.events import RatingEvent
from reelstream.kafka_client import CONNECT_TIMEOUT_MS, admin_client, kafka_python_options

Place = tuple[int, int]
"""(partition, offset)"""


def send_to(bootstrap_servers: str, topic: str, events: Iterable[tuple[int, RatingEvent]]) -> dict[Place, int]:
    """Sends (partition, event) pairs; returns the user of each place when all are acknowledged."""
    producer = KafkaProducer(bootstrap_servers=bootstrap_servers, acks="all")
    try:
        sent = [
            (event.user_id, producer.send(topic, event.to_json(), event.key(), partition=partition))
            for partition, event in events
        ]
        placed = [(user_id, future.get(60)) for user_id, future in sent]
    finally:
        producer.close()
    return {(place.partition, place.offset): user_id for user_id, place in placed}


def delete_before(bootstrap_servers: str, topic: str, offsets: Mapping[int, int]) -> None:
    """As retention does: the events of each partition below the offset are gone."""
    with _admin(bootstrap_servers) as admin:
        admin.delete_records({TopicPartition(topic, partition): offset for partition, offset in offsets.items()})


def set_partitions(bootstrap_servers: str, topic: str, count: int) -> None:
    with _admin(bootstrap_servers) as admin:
        admin.create_partitions({topic: count})


def delete_topic(bootstrap_servers: str, topic: str) -> None:
    with _admin(bootstrap_servers) as admin:
        admin.delete_topics([topic])


def _admin(bootstrap_servers: str) -> Any:
    return admin_client(kafka_python_options(bootstrap_servers, {}), CONNECT_TIMEOUT_MS)
