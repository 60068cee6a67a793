"""The topic is not as the stream left it: its retention was faster, it has other partitions, or it is another topic."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from reelstream.events import RatingEvent
from reelstream.kafka_io.topic import ensure_topic
from reelstream.settings import Settings, load
from tests.fixtures.command import command, stream_status
from tests.fixtures.exact import exactly_stored, stored
from tests.fixtures.kafka_topic import Place, delete_before, delete_topic, send_to, set_partitions
from tests.fixtures.processes import descendants, reelstream, wait_until

DAMAGED = 7


@pytest.fixture
def settings(warehouse: Path, bootstrap_servers: str, topic: str) -> Settings:
    return load(warehouse=warehouse, bootstrap_servers=bootstrap_servers, topic=topic)


@pytest.mark.timeout(600)
def test_events_deleted_by_retention_are_refused_until_the_loss_is_accepted(settings: Settings) -> None:
    sent = send(settings, movie_id=1)
    with reelstream(settings, "stream") as process:
        wait_until(lambda: stored(settings) == len(sent), "the first events are stored", process)
        with paused(process):
            sent |= send(settings, movie_id=2)
            delete_before(settings.bootstrap_servers or "", settings.topic, {0: 50})
        assert process.wait(120) == DAMAGED
    told = f"topic {settings.topic} has lost offsets 30 to 49 of partition 0: Kafka's retention deleted them"
    assert told in log(settings)
    assert "--accept-data-loss" in log(settings)
    exactly_stored(settings, {place: sent[place] for place in sent if place[1] < 30})

    with reelstream(settings, "stream", "--accept-data-loss") as process:
        wait_until(lambda: stored(settings) == len(sent) - 20, "what was left is stored", process)
        with paused(process):
            sent |= send(settings, movie_id=3)
            delete_before(settings.bootstrap_servers or "", settings.topic, {0: 85})
        sent |= send(settings, movie_id=4)
        wait_until(lambda: stored(settings) == len(sent) - 45, "the stream goes on behind the second gap", process)
        wait_until(lambda: stream_status(settings)["error"] is None, "status says that all is well", process)
        gaps = stream_status(settings)["accepted_loss"]
        shown = command(settings, "status").stdout
    assert process.returncode == 0

    lost = [(30, 49), (60, 84)]
    assert gaps == [{"topic": settings.topic, "partition": 0, "first": first, "last": last} for first, last in lost]
    for first, last in lost:
        assert f"data loss accepted: topic {settings.topic} goes on without offsets {first} to {last}" in log(settings)
        assert f"data loss accepted: offsets {first} to {last} of topic {settings.topic} partition 0" in shown
    deleted = {(0, offset) for first, last in lost for offset in range(first, last + 1)}
    exactly_stored(settings, {place: sent[place] for place in sent if place not in deleted})


@pytest.mark.parametrize("topic", [1], indirect=True)
def test_partitions_that_are_added_are_read_and_a_topic_made_anew_is_refused(settings: Settings) -> None:
    assert settings.partitions == 4
    sent = send(settings, partitions=[0], movie_id=1)
    with reelstream(settings, "stream", "--accept-data-loss") as process:
        wait_until(lambda: stored(settings) == len(sent), "the events of the one partition are stored", process)
        set_partitions(settings.bootstrap_servers or "", settings.topic, 3)
        sent |= send(settings, movie_id=2)
        wait_until(lambda: stored(settings) == len(sent), "those of the new partitions are stored", process)
        assert stream_status(settings)["restarts"] == 0
        exactly_stored(settings, sent)

        delete_topic(settings.bootstrap_servers or "", settings.topic)
        ensure_topic(settings.bootstrap_servers or "", settings.topic, 3, {})
        assert process.wait(120) == DAMAGED
    assert f"topic {settings.topic} partition 0 ends at offset 0, but the store has taken 60 events" in log(settings)
    assert "the topic was recreated. Use another --topic, or another --warehouse." in log(settings)
    exactly_stored(settings, sent)


def send(settings: Settings, movie_id: int, partitions: Sequence[int] = (0, 1, 2)) -> dict[Place, int]:
    """30 events to each of the partitions."""
    events = [(p, RatingEvent(1 + n, movie_id, 4.0, 1_000_000_000_000)) for n in range(30) for p in partitions]
    return send_to(settings.bootstrap_servers or "", settings.topic, events)


@contextmanager
def paused(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """What the stream has started, Spark, stands still: it falls behind, and has fetched nothing ahead."""
    children = descendants(process.pid)
    send_signal(children, signal.SIGSTOP)
    try:
        yield
    finally:
        send_signal(children, signal.SIGCONT)


def send_signal(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):  # Spark starts a program now and then that ends at once
            os.kill(pid, number)


def log(settings: Settings) -> str:
    return (settings.warehouse / "run" / "stream.log").read_text()
