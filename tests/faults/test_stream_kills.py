"""The stream is killed between every two durable steps; then every event is in the store once, and every list is
there."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest

import reelstream as api
from batch.refit import refit
from producer.send import RatingProducer
from reelstream.settings import Settings, load
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore, Updates
from tests.faults.seed import seed_ratings
from tests.processes import reelstream, stream_runs, wait_until

KILL_POINTS = ("batch-written", "batch-stored", "lists-written", "lists-stored")
FIRST_USER = 5_000_000_000


@pytest.fixture
def settings(warehouse: Path, bootstrap_servers: str, topic: str) -> Settings:
    return load(warehouse=warehouse, bootstrap_servers=bootstrap_servers, topic=topic)


def test_killed_between_every_two_steps_nothing_is_lost_and_nothing_is_twice(settings: Settings) -> None:
    seeded = seed_ratings(settings)
    refit(settings)
    sent = [(FIRST_USER + number, 1 + number % 5, 4.5) for number in range(len(KILL_POINTS) + 1)]

    for point, event in zip(KILL_POINTS, sent, strict=False):
        send(settings, event)
        with reelstream(settings, "stream", failpoint=point) as process:
            assert process.wait(120) == -signal.SIGKILL, point
    send(settings, sent[-1])
    store = RatingsStore(settings.warehouse)
    published = RecommendationsStore(settings.warehouse).current()
    with reelstream(settings, "stream") as process:
        wait_until(lambda: stream_runs(settings, process), "the stream runs", process)
        wait_until(lambda: store.state().accepted == seeded + len(sent), "all events are stored", process)
        wait_until(lambda: Updates(published.path).batch() == store.state().batch, "all users are folded in", process)
    assert process.returncode == 0

    rows = [row for row in store.read().to_pylist() if row["topic"] == settings.topic]
    assert Counter((row["user_id"], row["movie_id"], row["rating"]) for row in rows) == Counter(sent)
    assert len({(row["partition"], row["offset"]) for row in rows}) == len(sent)
    for user_id, movie_id, _ in sent:
        films = api.open(settings.warehouse).recommend(user_id)
        assert films, user_id
        assert {film.source for film in films} == {"fold_in"}
        assert movie_id not in {film.movie_id for film in films}


def send(settings: Settings, event: tuple[int, int, float]) -> None:
    user_id, movie_id, stars = event
    with RatingProducer(settings.bootstrap_servers or "", settings.topic, {}) as producer:
        producer.rate_live(user_id, [(movie_id, stars)])
