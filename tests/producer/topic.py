"""What is in a topic, for the producer's tests."""

from __future__ import annotations

from typing import NamedTuple

from kafka import KafkaConsumer, TopicPartition

from reelstream.events import RatingEvent, from_json


class Record(NamedTuple):
    partition: int
    offset: int
    key: bytes
    value: bytes

    def event(self) -> RatingEvent:
        return from_json(self.value, rating_min=0.5, rating_max=5.0, now_ms=2**62)


def records_of(bootstrap_servers: str, topic: str) -> list[Record]:
    """All records, by partition and offset."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap_servers, enable_auto_commit=False)
    try:
        places = [TopicPartition(topic, partition) for partition in consumer.partitions_for_topic(topic)]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        ends = consumer.end_offsets(places)
        records: list[Record] = []
        while any(consumer.position(place) < ends[place] for place in places):
            for polled in consumer.poll(timeout_ms=500).values():
                records += [Record(r.partition, r.offset, r.key, r.value) for r in polled]
        return sorted(records)
    finally:
        consumer.close(autocommit=False)
