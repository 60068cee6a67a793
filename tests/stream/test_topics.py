"""One stream of several topics: each keeps its own offsets, and goes on from there."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from reelstream.cli.options import topics_of
from reelstream.errors import DamagedStore, UsageError
from reelstream.events import RatingEvent
from reelstream.kafka_io.topic import ensure_topic
from reelstream.kafka_io.topic_offsets import TopicOffsets
from reelstream.settings import load
from reelstream.store.ratings import RatingsStore
from reelstream.stream.source import TopicSource
from tests.fixtures.kafka_broker import fresh_topic
from tests.fixtures.kafka_topic import delete_before, send_to
from tests.fixtures.rows import triples
from tests.fixtures.topic_to_store import take_all


def test_several_topics_are_read_to_exact_rows_and_continued(
    spark: SparkSession, warehouse: Path, bootstrap_servers: str, topic: str, tmp_path: Path
) -> None:
    other = fresh_topic()
    ensure_topic(bootstrap_servers, other, 2, {})
    settings = load(warehouse=warehouse, bootstrap_servers=bootstrap_servers, topic=topic, more_topics=other)
    store = RatingsStore(warehouse)
    lags = [TopicOffsets(settings, bootstrap_servers, name) for name in settings.topics]

    def send(name: str, *movies: int) -> None:
        send_to(
            bootstrap_servers, name, [(movie % 2, RatingEvent(1, movie, 4.0, 1_600_000_000_000)) for movie in movies]
        )

    send(topic, 1, 2)
    send(other, 3, 4, 5)
    assert sum(lag.lag(store.state().offsets) for lag in lags) == 5
    take_all(spark, settings, tmp_path / "first")
    send(topic, 6)
    send(other, 7)
    take_all(spark, settings, tmp_path / "second")

    assert sorted(triples(store.read())) == [(1, movie, 4.0) for movie in range(1, 8)]
    assert {row["topic"] for row in store.read().to_pylist()} == {topic, other}
    assert sum(lag.lag(store.state().offsets) for lag in lags) == 0
    for lag in lags:
        lag.close()
    send(other, 9, 11)
    delete_before(bootstrap_servers, other, {1: 4})
    with pytest.raises(DamagedStore, match=f"topic {other} has lost offsets 3 to 3 of partition 1"):
        TopicSource(settings, bootstrap_servers, store).records(spark)


@pytest.mark.parametrize(
    ("given", "topics"),
    [
        (None, ("ratings",)),
        (["a"], ("a",)),
        (["a", "b"], ("a", "b")),
        (["a,b", "c"], ("a", "b", "c")),
        (["a", "a"], ("a",)),
    ],
)
def test_topics_by_option_are_those_of_the_settings(given: list[str] | None, topics: tuple[str, ...]) -> None:
    assert load(**topics_of(given)).topics == topics


def test_a_name_that_no_topic_has_is_refused() -> None:
    with pytest.raises(UsageError, match=r"more_topics: .*'a/b' is no name of a topic"):
        load(more_topics="a/b")
