"""Spark's checkpoint is scratch: deleted under a running stream or a stopped one, no event is lost and none comes twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from reelstream.events import RatingEvent
from reelstream.settings import Settings, load
from tests.fixtures.command import stream_status
from tests.fixtures.exact import exactly_stored, stored
from tests.fixtures.kafka_topic import send_to
from tests.fixtures.processes import reelstream, stream_runs, wait_until

PARTITIONS, EACH = 3, 20


@pytest.fixture
def settings(warehouse: Path, bootstrap_servers: str, topic: str) -> Settings:
    return load(warehouse=warehouse, bootstrap_servers=bootstrap_servers, topic=topic)


def test_deleted_while_the_stream_runs_and_while_it_is_stopped(settings: Settings) -> None:
    checkpoint = settings.warehouse / "run" / "checkpoint"
    sent = send(settings, 1)
    with reelstream(settings, "stream") as process:
        wait_until(lambda: stream_runs(settings, process), "the stream runs", process)
        wait_until(lambda: stored(settings) == len(sent), "the first events are stored", process)
        delete_at_once(checkpoint)
        sent |= send(settings, 2)
        wait_until(lambda: stored(settings) == len(sent), "those after the deletion are stored", process)
        sent |= send(settings, 3)
        wait_until(lambda: stored(settings) == len(sent), "the stream goes on", process)
        wait_until(lambda: stream_status(settings)["error"] is None, "status says that all is well", process)
        process.kill()
    exactly_stored(settings, sent)

    shutil.rmtree(checkpoint, ignore_errors=True)
    sent |= send(settings, 4)
    with reelstream(settings, "stream") as process:
        wait_until(lambda: stored(settings) == len(sent), "a new stream goes on without it", process)
    assert process.returncode == 0
    exactly_stored(settings, sent)


def delete_at_once(directory: Path) -> None:
    """Moves the directory away first: the stream may write a file into it between two deletions."""
    shutil.rmtree(directory.rename(directory.with_name("deleted")))


def send(settings: Settings, movie_id: int) -> dict[tuple[int, int], int]:
    numbers = range(PARTITIONS * EACH)
    events = [(n % PARTITIONS, RatingEvent(1 + n, movie_id, 4.0, 1_000_000_000_000)) for n in numbers]
    return send_to(settings.bootstrap_servers or "", settings.topic, events)
