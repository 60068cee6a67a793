from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from pyspark.sql import SparkSession

from reelstream.errors import DamagedStore
from reelstream.events import RatingEvent
from reelstream.settings import load
from reelstream.store.ratings import RatingsStore
from reelstream.store.ratings_state import Gap
from reelstream.store.schemas import RATINGS, REJECTS
from reelstream.stream.source import TopicSource, check_same_topic, gaps_before
from tests.fixtures.kafka_topic import delete_before, send_to


@pytest.mark.parametrize(
    ("taken", "first", "end"),
    [
        ({}, {0: 0, 1: 0}, {0: 0, 1: 0}),  # a new store, a new topic
        ({0: 90}, {0: 0, 1: 0}, {0: 90, 1: 5}),  # all taken; a partition that had none yet
        ({0: 50, 1: 5}, {0: 0, 1: 5}, {0: 90, 1: 5}),  # some to take; retention deleted only what was taken
        ({0: 40}, {0: 40}, {0: 90}),  # retention reaches just up to where the store is
    ],
)
def test_the_stream_goes_on_where_the_topic_still_has_all(
    taken: dict[int, int], first: dict[int, int], end: dict[int, int]
) -> None:
    check_same_topic("ratings", taken, end)
    assert gaps_before("ratings", taken, first) == []


@pytest.mark.parametrize(
    ("taken", "end", "told"),
    [
        ({0: 90}, {0: 89}, "partition 0 ends at offset 89, but the store has taken 90 events"),
        ({0: 5, 3: 7}, {0: 5}, "partition 3 ends at offset 0, but the store has taken 7 events"),
    ],
)
def test_another_topic_is_refused(taken: dict[int, int], end: dict[int, int], told: str) -> None:
    with pytest.raises(DamagedStore, match=told) as error:
        check_same_topic("movies", taken, end)
    assert "another --topic" in str(error.value)


def test_gaps_are_what_is_neither_in_the_store_nor_in_the_topic() -> None:
    taken, first = {0: 39, 1: 10, 2: 7}, {0: 40, 1: 10, 2: 3, 3: 5}
    assert gaps_before("movies", taken, first) == [Gap("movies", 0, 39, 39), Gap("movies", 3, 0, 4)]


@pytest.fixture
def source(warehouse: Path, bootstrap_servers: str, topic: str) -> Callable[..., TopicSource]:
    settings = load(warehouse=warehouse, bootstrap_servers=bootstrap_servers, topic=topic)
    return lambda **more: TopicSource(settings, bootstrap_servers, RatingsStore(warehouse), **more)


def ten_events_each(bootstrap_servers: str, topic: str) -> None:
    send_to(
        bootstrap_servers,
        topic,
        [(p, RatingEvent(1, 1 + n, 4.0, 1_000_000_000_000 + n)) for p in range(3) for n in range(10)],
    )


def took(warehouse: Path, topic: str, offsets: dict[int, int]) -> None:
    """As if the store had taken events up to there."""
    RatingsStore(warehouse).append(RATINGS.empty_table(), REJECTS.empty_table(), {topic: offsets})


def test_a_new_store_takes_what_the_topic_still_has_and_later_gaps_are_gaps(
    source: Callable[..., TopicSource], spark: SparkSession, warehouse: Path, bootstrap_servers: str, topic: str
) -> None:
    ten_events_each(bootstrap_servers, topic)
    delete_before(bootstrap_servers, topic, {0: 4, 1: 10})
    source().records(spark)
    assert RatingsStore(warehouse).state().offsets == {topic: {0: 4, 1: 10}}

    source().records(spark)  # nothing has changed
    delete_before(bootstrap_servers, topic, {2: 3})
    with pytest.raises(DamagedStore, match=f"topic {topic} has lost offsets 0 to 2 of partition 2: Kafka's retention"):
        source().records(spark)


def test_events_deleted_before_the_first_one_was_taken_are_a_gap_to_the_same_stream(
    source: Callable[..., TopicSource], spark: SparkSession, bootstrap_servers: str, topic: str
) -> None:
    started = source()
    started.records(spark)
    ten_events_each(bootstrap_servers, topic)
    delete_before(bootstrap_servers, topic, {0: 1})

    with pytest.raises(DamagedStore, match="has lost offsets 0 to 0 of partition 0: Kafka's retention"):
        started.records(spark)


def test_a_gap_that_is_accepted_is_told_once_and_skipped_for_good(
    source: Callable[..., TopicSource], spark: SparkSession, warehouse: Path, bootstrap_servers: str, topic: str
) -> None:
    ten_events_each(bootstrap_servers, topic)
    took(warehouse, topic, {0: 2, 1: 9})
    delete_before(bootstrap_servers, topic, {0: 10, 1: 9, 2: 1})
    told: list[str] = []
    accepting = source(accept_data_loss=True, notice=told.append)
    accepting.records(spark)
    accepting.records(spark)

    assert RatingsStore(warehouse).state().lost == (Gap(topic, 0, 2, 9), Gap(topic, 2, 0, 0))
    assert told == [
        f"data loss accepted: topic {topic} goes on without offsets 2 to 9 of partition 0 and offsets 0 to 0 of partition 2"
    ]
    assert RatingsStore(warehouse).state().offsets == {topic: {0: 10, 1: 9, 2: 1}}
    source().records(spark)  # without the flag: the gap was accepted


def test_a_topic_made_anew_is_refused_even_where_loss_is_accepted(
    source: Callable[..., TopicSource], spark: SparkSession, warehouse: Path, topic: str
) -> None:
    took(warehouse, topic, {0: 9})
    with pytest.raises(DamagedStore, match=r"the topic was recreated\. Use another --topic"):
        source(accept_data_loss=True).records(spark)


def test_a_compacted_topic_is_told(
    source: Callable[..., TopicSource], spark: SparkSession, bootstrap_servers: str, topic: str
) -> None:
    said: list[str] = []
    source(notice=said.append).records(spark)
    assert said == []
    with closing(KafkaAdminClient(bootstrap_servers=bootstrap_servers)) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"cleanup.policy": "compact"})])

    source(notice=said.append).records(spark)

    [told] = said
    assert told.startswith(f"topic {topic} has cleanup.policy=compact: of each key Kafka keeps the newest event alone")
