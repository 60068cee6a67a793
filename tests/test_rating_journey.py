"""One rating from CSV to recommendation. The numbers are those of the stops in ARCHITECTURE.md."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaConsumer, TopicPartition
from pyspark.sql import SparkSession

import reelstream
from reelstream.batch.refit import refit
from reelstream.events import RatingEvent
from reelstream.producer.movies_file import read_movies
from reelstream.producer.ratings_csv import Block, read_blocks
from reelstream.producer.send import RatingProducer, replay
from reelstream.producer.sort import in_time_order
from reelstream.settings import Settings, load
from reelstream.store.movies import MoviesStore
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from reelstream.stream.fold_in import FoldInStage
from reelstream.stream.ingest import ingest
from reelstream.stream.parse import parse
from reelstream.stream.trigger import Due
from tests.fixtures.processes import reelstream as reelstream_process
from tests.fixtures.processes import wait_until

ROW = "1,296,5.0,1147880044"
PULP_FICTION = 296


def test_one_rating_from_csv_to_recommendation(
    tmp_path: Path, warehouse: Path, bootstrap_servers: str, topic: str, spark: SparkSession
) -> None:
    settings = load(warehouse=warehouse, topic=topic, bootstrap_servers=bootstrap_servers)
    csv = tmp_path / "ratings.csv"
    csv.write_text(f"userId,movieId,rating,timestamp\n{ROW}\n{others()}")
    movies = tmp_path / "movies.csv"
    movies.write_text("movieId,title,genres\n296,Pulp Fiction (1994),Crime\n")
    MoviesStore(warehouse).load(read_movies(movies).table)

    # 1. the CSV row is a row of a block
    now_ms = time.time_ns() // 1_000_000
    bad: list[object] = []

    def blocks() -> Iterator[Block]:
        return read_blocks(csv, rating_min=0.5, rating_max=5.0, now_ms=now_ms, on_bad=bad.append)

    rows = [row for block in blocks() for row in block.rows.tolist()]
    count = len(rows)
    assert rows[0] == (1, PULP_FICTION, 5.0, 1147880044000)
    assert not bad

    # 2. it is the first in time, and so the first event
    with in_time_order(blocks, directory=tmp_path / "sort", size_bytes=csv.stat().st_size, notice=print) as order:
        first = RatingEvent(*next(order.rows))
    assert (order.total, first) == (count, RatingEvent(1, PULP_FICTION, 5.0, 1147880044000))

    # 3. `replay` goes these two stops and sends; Kafka has the event under the user's key
    sent = replay(
        csv,
        bootstrap_servers=bootstrap_servers,
        topic=topic,
        state_path=tmp_path / "replay.json",
        rating_min=0.5,
        rating_max=5.0,
    )
    assert (sent.acked, sent.bad_rows) == (count, 0)
    record = consume_one(bootstrap_servers, topic, key=b"1")
    assert record.value == first.to_json()
    assert json.loads(record.value) == {
        "v": 1,
        "user_id": 1,
        "movie_id": PULP_FICTION,
        "rating": 5.0,
        "rated_at": 1147880044000,
    }

    # 4. Spark reads and parses it: a plain rating
    source = spark.read.format("kafka").option("kafka.bootstrap.servers", bootstrap_servers).option("subscribe", topic)
    batch = parse(source.load(), rating_min=0.5, rating_max=5.0)
    [row] = batch.where(f"user_id = 1 AND movie_id = {PULP_FICTION}").collect()
    assert (row.rating, row.rated_at_ms, row.raw) == (5.0, 1147880044000, None)

    # 5. and 6. the stream's micro-batch takes it in: it is in the store, with the offset that says so
    store, fold_in = RatingsStore(warehouse), FoldInStage(settings)
    report = ingest(batch, store, fold_in)
    assert (report.accepted, report.rejected, report.state.batch) == (count, 0, 1)
    [stored] = store.read(user_ids=[1]).filter(place(record)).to_pylist()
    assert (stored["movie_id"], stored["rating"], stored["rated_at"].timestamp()) == (296, 5.0, 1147880044)
    assert store.state().has(topic, (record.partition, record.offset))
    again = ingest(batch, store, fold_in)  # delivered twice, taken once
    assert (again.accepted, store.state().accepted) == (0, count)

    # 7. nothing is published yet, so no list can be made
    assert report.folded.users == 0

    # 8. and 9. it calls for a refit, which publishes a version that has seen it
    assert Due(after_ratings=count, after_s=600).now(store.state().accepted, clock_s=0.0)
    version = refit(settings)
    assert (version.accepted, version.info["ratings"]) == (count, count)

    # 10. the user's list leaves it out, and knows why it is there
    listed = reelstream.open(warehouse).recommend(1)
    assert listed
    assert {movie.source for movie in listed} == {"refit"}
    assert PULP_FICTION not in {movie.movie_id for movie in listed}
    prediction = reelstream.open(warehouse).predict(1, PULP_FICTION)
    assert (prediction.rated, prediction.source, prediction.title) == (5.0, "model", "Pulp Fiction (1994)")

    # 3. to 7. and 10. again: the stream itself takes one more rating, and folds the user in at once
    next_movie = listed[0].movie_id
    with reelstream_process(settings, "stream") as stream, RatingProducer(bootstrap_servers, topic) as producer:
        [rated_at] = producer.rate_live(1, [(next_movie, 4.0)])
        wait_until(
            lambda: (RecommendationsStore(warehouse).counted_up_to() or 0) > version.batch, "it is folded in", stream
        )
    assert store.state().has(topic, rated_at)
    assert store.state().accepted == count + 1
    fresh = reelstream.open(warehouse).recommend(1)
    assert {movie.source for movie in fresh} == {"fold_in"}
    assert not {next_movie, PULP_FICTION} & {movie.movie_id for movie in fresh}


def others() -> str:
    """Ratings of thirty more users in two camps, so that there is something to learn."""
    rows = []
    for user in range(1, 31):
        for number in range(12):
            liked = number % 2 == user % 2
            movie = 1000 + (number + user) % 20
            rows.append(f"{user},{movie},{5.0 if liked else 2.0},{1147880045 + number}")
    return "\n".join(dict.fromkeys(rows))


def consume_one(bootstrap_servers: str, topic: str, key: bytes) -> object:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest")
    try:
        partitions = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic)]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            for records in consumer.poll(timeout_ms=500).values():
                for record in records:
                    if record.key == key:
                        return record
    finally:
        consumer.close()
    raise AssertionError(f"no record with key {key!r}")


def place(record: object) -> object:
    import pyarrow.compute as pc

    return (pc.field("partition") == record.partition) & (pc.field("offset") == record.offset)  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"REELSTREAM_{name.upper()}", raising=False)
