"""Every codec that Kafka has: the stream reads its topics to exact rows; the producer's side does, or names the package."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.codec import has_gzip, has_lz4, has_snappy, has_zstd
from pyspark.sql import SparkSession

from reelstream.errors import UsageError
from reelstream.events import RatingEvent
from reelstream.kafka_io.topic import ensure_topic
from reelstream.producer.resume import read_since
from reelstream.settings import load
from reelstream.store.ratings import RatingsStore
from tests.fixtures.kafka_broker import fresh_topic
from tests.fixtures.kafka_topic import send_to
from tests.fixtures.rows import triples
from tests.fixtures.topic_to_store import take_all

CODECS = {"gzip": has_gzip, "lz4": has_lz4, "snappy": has_snappy, "zstd": has_zstd}
PACKAGES = {"snappy": "python-snappy", "zstd": "zstandard"}


def test_compressed_topics_are_read_to_exact_rows(
    spark: SparkSession, warehouse: Path, bootstrap_servers: str, tmp_path: Path
) -> None:
    topics = {codec: fresh_topic() for codec in CODECS}
    for codec, topic in topics.items():  # the broker compresses what comes uncompressed
        ensure_topic(bootstrap_servers, topic, 1, {})
        with closing(KafkaAdminClient(bootstrap_servers=bootstrap_servers)) as admin:
            admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"compression.type": codec})])
    wanted = []
    for number, topic in enumerate(topics.values()):
        movies = range(1000 * number + 1, 1000 * number + 101)
        send_to(bootstrap_servers, topic, [(0, RatingEvent(1, movie, 4.0, 1_600_000_000_000)) for movie in movies])
        wanted += [(1, movie, 4.0) for movie in movies]

    first, *more = topics.values()
    settings = load(warehouse=warehouse, bootstrap_servers=bootstrap_servers, topic=first, more_topics=",".join(more))
    take_all(spark, settings, tmp_path / "checkpoint")

    assert sorted(triples(RatingsStore(warehouse).read())) == wanted
    for codec, topic in topics.items():
        if CODECS[codec]():
            assert sum(read_since(bootstrap_servers, topic, {}, {0: 0}).values()) == 100
        else:
            with pytest.raises(UsageError, match=PACKAGES[codec]):
                read_since(bootstrap_servers, topic, {}, {0: 0})
