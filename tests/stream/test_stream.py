"""The stream as a process of its own on a real topic."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kafka import KafkaProducer

from reelstream.events import RatingEvent
from reelstream.producer.send import RatingProducer
from reelstream.settings import Settings, load
from reelstream.store import run_files
from reelstream.store.ratings import RatingsStore
from tests.fixtures.processes import reelstream, stream_runs, wait_until

POISON = {
    b"\xff\xfe": "not_utf8",
    b"not JSON": "not_json",
    b'{"v":1,"user_id":1}': "missing_field",
    b'{"v":1,"user_id":"1","movie_id":2,"rating":3,"rated_at":1700000000000}': "wrong_type",
    b'{"v":7,"user_id":1,"movie_id":2,"rating":3,"rated_at":1700000000000}': "unknown_version",
    b'{"v":1,"user_id":1,"movie_id":2,"rating":NaN,"rated_at":1700000000000}': "nan",
    b'{"v":1,"user_id":1,"movie_id":2,"rating":11,"rated_at":1700000000000}': "off_scale",
    b'{"v":1,"user_id":1,"movie_id":2,"rating":3,"rated_at":-5}': "bad_time",
    b" " * 20_000: "oversize",
}


@pytest.fixture
def settings(warehouse: Path, bootstrap_servers: str, topic: str) -> Settings:
    return load(warehouse=warehouse, bootstrap_servers=bootstrap_servers, topic=topic)


def test_poison_never_stops_the_stream_and_nothing_is_thrown_away(settings: Settings) -> None:
    store = RatingsStore(settings.warehouse)
    raw = KafkaProducer(bootstrap_servers=settings.bootstrap_servers, acks="all")
    with RatingProducer(settings.bootstrap_servers or "", settings.topic, {}) as ratings:
        for value in POISON:  # sent before the stream ever ran: taken from the earliest offset
            raw.send(settings.topic, value)
            ratings.send(RatingEvent(1, 1 + len(value), 4.0, 1_000_000_000_000))
        raw.send(settings.topic, None, key=b"tombstone")
        raw.flush()
        ratings.flush()
        with reelstream(settings, "stream") as process:
            wait_until(lambda: stream_runs(settings, process), "the stream runs", process)
            n = len(POISON)
            wait_until(lambda: taken(store) == (n, n), "all events are taken in", process)
            ratings.rate_live(2, [(7, 5.0)])
            wait_until(lambda: taken(store) == (n + 1, n), "the stream goes on", process)
            wait_until(lambda: lag(settings) == 0, "status says that there is no lag", process)
    raw.close()

    rejects = store.read_rejects().to_pylist()
    assert {row["raw"]: row["reason"] for row in rejects} == POISON
    assert store.state().tombstones == 1
    assert all(row["topic"] == settings.topic and row["offset"] >= 0 for row in rejects)
    status = run_files.read(settings.warehouse, "stream")
    assert status is not None
    assert (status["state"], status["restarts"], status["error"]) == ("stopped", 0, None)
    assert {int(p): o for p, o in status["offsets"].items()} == store.state().offsets[settings.topic]


def test_what_a_producer_took_back_was_never_rated_and_is_no_lag(settings: Settings) -> None:
    store = RatingsStore(settings.warehouse)
    raw = KafkaProducer(
        bootstrap_servers=settings.bootstrap_servers,
        acks="all",
        transactional_id=settings.topic,
        enable_idempotence=True,
    )
    raw.init_transactions()
    for movies, commit in ((range(1, 4), True), (range(4, 9), False)):
        raw.begin_transaction()
        for movie_id in movies:
            event = RatingEvent(1, movie_id, 4.0, 1_000_000_000_000)
            raw.send(settings.topic, event.to_json(), key=event.key())
        raw.flush()
        raw.commit_transaction() if commit else raw.abort_transaction()
    raw.close()

    with reelstream(settings, "stream") as process:
        wait_until(lambda: stream_runs(settings, process), "the stream runs", process)
        wait_until(lambda: taken(store) == (3, 0), "what was committed is taken in", process)
        wait_until(lambda: lag(settings) == 0, "neither marks nor what was taken back are lag", process)
        with RatingProducer(settings.bootstrap_servers or "", settings.topic, {}) as ratings:
            ratings.rate_live(1, [(7, 5.0)])
        wait_until(lambda: taken(store) == (4, 0), "the stream goes on", process)
        wait_until(lambda: lag(settings) == 0, "all is taken", process)

    assert sorted(store.read()["movie_id"].to_pylist()) == [1, 2, 3, 7]


def test_a_topic_that_was_made_anew_is_refused_with_what_to_do(settings: Settings) -> None:
    pointer = settings.warehouse / "ratings" / "CURRENT"
    pointer.parent.mkdir(parents=True)
    state = {"format": 1, "batch": 1, "accepted": 9, "rejected": 0, "snapshot": None, "ratings": [], "rejects": []}
    pointer.write_text(json.dumps({**state, "offsets": {settings.topic: {"0": 9}}}))

    with reelstream(settings, "stream") as process:
        assert process.wait(120) == 7

    assert "the topic was recreated" in (settings.warehouse / "run" / "stream.log").read_text()


def taken(store: RatingsStore) -> tuple[int, int]:
    state = store.state()
    return state.accepted, state.rejected


def lag(settings: Settings) -> object:
    status = run_files.read(settings.warehouse, "stream")
    return status and status["lag_events"]
