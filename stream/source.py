"""The Kafka source: where it starts, how much a micro-batch takes, and what is refused before the first one.

In: topics, and the offsets up to which the ratings store has events. Out: a streaming DataFrame with Kafka's columns.
Next: `reelstream.stream.parse`.

The ratings store alone knows how far ingestion has come. Spark's checkpoint is scratch, recreated at each start, so it
can neither be lost nor disagree with the store.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing

from pyspark.sql import DataFrame, SparkSession

from reelstream.errors import DamagedStore
from reelstream.kafka_io.properties import spark_options
from reelstream.kafka_io.topic import cleanup_policy, prepare_topics
from reelstream.kafka_io.topic_offsets import TopicOffsets
from reelstream.settings import Settings
from reelstream.store.ratings import RatingsStore
from reelstream.store.ratings_state import Gap
from reelstream.store.schemas import RATINGS, REJECTS

FETCH = {
    "kafka.isolation.level": "read_committed",  # what a producer took back was never rated
    "kafka.fetch.max.wait.ms": "10",  # Kafka's 500 would hold back each small micro-batch
    "kafka.max.poll.records": "10000",  # a backlog drains in large polls
    "kafka.max.partition.fetch.bytes": str(8 * 2**20),
}


class TopicSource:
    """The topics of one stream, whose query may be started many times.

    `accept_data_loss`: go on behind a gap, which the store keeps as `lost` and `notice` is told, instead of raising.
    """

    def __init__(
        self,
        settings: Settings,
        bootstrap_servers: str,
        store: RatingsStore,
        *,
        accept_data_loss: bool = False,
        notice: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._settings = settings
        self._bootstrap_servers = bootstrap_servers
        self._store = store
        self._accept_data_loss = accept_data_loss
        self._notice = notice
        self._began = False

    def records(self, spark: SparkSession) -> DataFrame:
        """The topics from the first event of each that is not in the store; those that are missing are made.

        Raises BrokerUnavailable if nothing answers, DamagedStore if a topic cannot be continued where the store ends.
        """
        topics = self._settings.topics
        properties = prepare_topics(self._settings, self._bootstrap_servers)
        starts = {topic: self._starts(topic) for topic in topics}
        self._began = True
        reader = spark.readStream.format("kafka").options(**spark_options(self._bootstrap_servers, properties))
        return (
            reader.option("subscribe", ",".join(topics))
            .option("startingOffsets", json.dumps(starts))
            .option("maxOffsetsPerTrigger", self._settings.max_batch_events)
            .option("failOnDataLoss", "true")  # also where loss is accepted: the next start finds and names the gap
            .options(**FETCH)
            .load()
        )

    def _starts(self, topic: str) -> dict[int, int]:
        """partition → the offset to go on at. What is skipped is in the store first, so that it is skipped once."""
        if not self._began and (policy := cleanup_policy(self._settings, self._bootstrap_servers, topic)) != "delete":
            self._notice(
                f"topic {topic} has cleanup.policy={policy}: of each key Kafka keeps the newest event alone. Where a key is a "
                "user, as in our events, ratings are deleted before a stream that is behind takes them; set it to delete. "
                "Where it is the row of a rating, only older values of it are."
            )
        with closing(TopicOffsets(self._settings, self._bootstrap_servers, topic)) as offsets:
            first, end = offsets.first_and_end()
        taken = self._store.state().offsets.get(topic, {})
        check_same_topic(topic, taken, end)
        gaps = gaps_before(topic, taken, first)
        if gaps and (taken or self._began):
            if not self._accept_data_loss:
                raise DamagedStore(
                    f"topic {topic} has lost {_listed(gaps)}: Kafka's retention deleted them before the stream took them. "
                    "Start with --accept-data-loss to go on without these events, or send them again to another --topic "
                    "and read that."
                )
            self._notice(f"data loss accepted: topic {topic} goes on without {_listed(gaps)}")
        if gaps:  # of a topic that is new to the store, too: from now on a gap is one that came later
            self._store.append(
                RATINGS.empty_table(),
                REJECTS.empty_table(),
                {topic: {gap.partition: gap.last + 1 for gap in gaps}},
                lost=gaps if taken or self._began else (),
            )
        return {partition: max(offset, taken.get(partition, 0)) for partition, offset in first.items()}


def check_same_topic(topic: str, taken: Mapping[int, int], end: Mapping[int, int]) -> None:
    """Raises DamagedStore if the topic ends before what the store has taken from it: then it is another one."""
    for partition, start in sorted(taken.items()):
        if end.get(partition, 0) < start:
            raise DamagedStore(
                f"topic {topic} partition {partition} ends at offset {end.get(partition, 0)}, but the store has taken "
                f"{start} events from it: the topic was recreated. Use another --topic, or another --warehouse."
            )


def gaps_before(topic: str, taken: Mapping[int, int], first: Mapping[int, int]) -> list[Gap]:
    """The offsets that are neither in the store nor in the topic. A partition of which nothing was taken begins at 0."""
    starts = {partition: taken.get(partition, 0) for partition in sorted(first)}
    return [Gap(topic, p, start, first[p] - 1) for p, start in starts.items() if first[p] > start]


def _listed(gaps: Sequence[Gap]) -> str:
    return " and ".join(f"offsets {gap.first} to {gap.last} of partition {gap.partition}" for gap in gaps)
