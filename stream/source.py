"""The Kafka source: where it starts, how much a micro-batch takes, and what is refused before the first one.

In: a topic, and the offsets up to which the ratings store has events. Out: a streaming DataFrame with Kafka's columns.
Next: `stream.parse`.

The ratings store alone knows how far ingestion has come. Spark's checkpoint is scratch, made anew at each start, so it
can neither be lost nor disagree with the store.
"""

from __future__ import annotations

import json

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from pyspark.sql import DataFrame, SparkSession

from reelstream.errors import BrokerUnavailable, DamagedStore
from reelstream.kafka_client import ensure_topic, kafka_python_options, load_command_config, spark_options
from reelstream.settings import Settings
from reelstream.store.ratings import Offsets

EARLIEST = -2
FETCH = {
    "kafka.fetch.max.wait.ms": "10",  # Kafka's 500 would hold back each small micro-batch
    "kafka.max.poll.records": "10000",  # a backlog drains in large polls
    "kafka.max.partition.fetch.bytes": str(8 * 2**20),
}


def records(spark: SparkSession, settings: Settings, bootstrap_servers: str, taken: Offsets) -> DataFrame:
    """The topic from the first event that is not in the store; the topic is made if it is missing.

    Raises BrokerUnavailable if nothing answers, DamagedStore if the topic cannot be continued where the store ends.
    """
    properties = load_command_config(settings.command_config)
    ensure_topic(bootstrap_servers, settings.topic, settings.partitions, properties)
    ends = end_offsets(settings, bootstrap_servers)
    starts = dict(taken.get(settings.topic, {}))
    check_continues(settings.topic, starts, *ends)
    starting = {str(partition): starts.get(partition, EARLIEST) for partition in ends[1]}
    reader = spark.readStream.format("kafka").options(**spark_options(bootstrap_servers, properties))
    return (
        reader.option("subscribe", settings.topic)
        .option("startingOffsets", json.dumps({settings.topic: starting}))
        .option("maxOffsetsPerTrigger", settings.max_batch_events)
        .option("failOnDataLoss", "true")
        .options(**FETCH)
        .load()
    )


def end_offsets(settings: Settings, bootstrap_servers: str) -> tuple[dict[int, int], dict[int, int]]:
    """(first offset, next offset) of each partition of the topic, as the broker has them now."""
    properties = load_command_config(settings.command_config)
    consumer = None
    try:
        consumer = KafkaConsumer(**kafka_python_options(bootstrap_servers, properties))
        partitions = [TopicPartition(settings.topic, p) for p in consumer.partitions_for_topic(settings.topic) or ()]
        first = consumer.beginning_offsets(partitions)
        end = consumer.end_offsets(partitions)
    except KafkaError as error:
        raise BrokerUnavailable(f"Kafka at {bootstrap_servers} does not answer ({error}); check the broker.") from error
    finally:
        if consumer:
            consumer.close()
    return {tp.partition: o for tp, o in first.items()}, {tp.partition: o for tp, o in end.items()}


def check_continues(topic: str, starts: dict[int, int], first: dict[int, int], end: dict[int, int]) -> None:
    """Raises DamagedStore where events between the store and the topic are gone, or the topic is another one."""
    for partition, start in sorted(starts.items()):
        if partition not in end or end[partition] < start:
            raise DamagedStore(
                f"topic {topic} partition {partition} ends at offset {end.get(partition, 0)}, but the store has taken "
                f"{start} events from it: the topic was made anew. Use another --topic, or another --warehouse."
            )
        if first[partition] > start:
            raise DamagedStore(
                f"topic {topic} partition {partition}: offsets {start} to {first[partition] - 1} were deleted by Kafka's "
                "retention before the stream took them. Send these events again to another --topic, and read that."
            )
