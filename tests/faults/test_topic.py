"""The topic is not as the stream left it: its retention was faster, it has other partitions, or it is another topic."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from reelstream.events import RatingEvent
from reelstream.kafka_client import ensure_topic
from reelstream.settings import Settings, load
from reelstream.store.ratings import RatingsStore
from tests.faults.command import command
from tests.faults.exact import exactly_stored, stored
from tests.kafka_topic import Place, delete_before, delete_topic, send_to, set_partitions
from tests.processes import reelstream, stream_runs, wait_until

DAMAGED = 7
EACH = 1_000
"""Events of a partition in one go: with SLOW, many micro-batches."""
SLOW = 60


@pytest.fixture
def settings(warehouse: Path, bootstrap_servers: str, topic: str) -> Settings:
    return load(warehouse=warehouse, bootstrap_servers=bootstrap_servers, topic=topic, max_batch_events=SLOW)


def test_events_that_retention_deleted_are_named_and_refused_until_the_loss_is_accepted(settings: Settings) -> None:
    sent = send(settings, movie_id=1)
    with reelstream(settings, "stream") as process:
        lost = delete_while_behind(settings, process, 2 * EACH // 3)
        assert process.wait(120) == DAMAGED
    first_lost = RatingsStore(settings.warehouse).state().offsets[settings.topic][0]
    told = (
        f"topic {settings.topic} has lost offsets {first_lost} to {lost - 1} of partition 0: Kafka's retention deleted"
    )
    assert told in log(settings)
    there = stored(settings)

    with reelstream(settings, "stream") as process:
        assert process.wait(120) == DAMAGED
    assert log(settings).count(told) == 2
    assert "--accept-data-loss" in log(settings)
    assert stored(settings) == there

    with reelstream(settings, "stream", "--accept-data-loss") as process:
        wait_until(lambda: stream_runs(settings, process), "the stream runs", process)
        sent |= send(settings, movie_id=2)
        delete_while_behind(settings, process, EACH + 2 * EACH // 3)
        sent |= send(settings, movie_id=3)
        wait_until(lambda: status(settings)["lag_events"] == 0, "all that is left is stored", process)
        wait_until(lambda: status(settings)["error"] is None, "status says that all is well", process)
        gaps = status(settings)["accepted_loss"]
        shown = command(settings, "status").stdout
    assert process.returncode == 0

    assert [(gap["topic"], gap["partition"]) for gap in gaps] == [(settings.topic, 0)] * 2
    assert (gaps[0]["first"], gaps[0]["last"]) == (first_lost, lost - 1)
    for gap in gaps:
        assert f"offsets {gap['first']} to {gap['last']} of partition 0" in log(settings)
        assert (
            f"data loss accepted: offsets {gap['first']} to {gap['last']} of topic {settings.topic} partition 0"
            in shown
        )
    skipped = {(0, offset) for gap in gaps for offset in range(gap["first"], gap["last"] + 1)}
    exactly_stored(settings, {place: user_id for place, user_id in sent.items() if place not in skipped})


@pytest.mark.parametrize("topic", [1], indirect=True)
def test_partitions_that_are_added_are_read_and_a_topic_made_anew_is_refused(settings: Settings) -> None:
    assert settings.partitions == 4
    sent = send(settings, partitions=[0], movie_id=1, count=20)
    with reelstream(settings, "stream", "--accept-data-loss") as process:
        wait_until(lambda: stored(settings) == len(sent), "the events of the one partition are stored", process)
        set_partitions(settings.bootstrap_servers or "", settings.topic, 3)
        sent |= send(settings, movie_id=2, count=20)
        wait_until(lambda: stored(settings) == len(sent), "those of the new partitions are stored", process)
        assert status(settings)["restarts"] == 0
        exactly_stored(settings, sent)

        delete_topic(settings.bootstrap_servers or "", settings.topic)
        ensure_topic(settings.bootstrap_servers or "", settings.topic, 3, {})
        assert process.wait(120) == DAMAGED
    assert f"topic {settings.topic} partition 0 ends at offset 0, but the store has taken 40 events" in log(settings)
    assert "the topic was made anew. Use another --topic, or another --warehouse." in log(settings)
    exactly_stored(settings, sent)


def send(
    settings: Settings, movie_id: int, partitions: Sequence[int] = (0, 1, 2), count: int = EACH
) -> dict[Place, int]:
    events = [(p, RatingEvent(1 + n, movie_id, 4.0, 1_000)) for n in range(count) for p in partitions]
    return send_to(settings.bootstrap_servers or "", settings.topic, events)


def delete_while_behind(settings: Settings, process: subprocess.Popen[bytes], offset: int) -> int:
    """Deletes partition 0 below the offset, once the stream has taken some of what was sent but not so much."""
    store = RatingsStore(settings.warehouse)
    before = store.state().batch
    wait_until(lambda: store.state().batch > before, "the stream has taken a micro-batch", process)
    delete_before(settings.bootstrap_servers or "", settings.topic, {0: offset})
    taken = store.state().offsets[settings.topic][0]
    assert taken < offset, "the stream was not behind any more"
    return offset


def status(settings: Settings) -> dict[str, Any]:
    answer = command(settings, "status", "--json")
    assert answer.returncode == 0, answer.stderr
    stream: dict[str, Any] = json.loads(answer.stdout)["stream"]
    return stream


def log(settings: Settings) -> str:
    return (settings.warehouse / "run" / "stream.log").read_text()
