"""The broker goes away and comes back at the same address: stream and replay go on by themselves, and no event is lost or
there twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from reelstream.broker.embedded import running_broker
from reelstream.errors import ReelstreamError
from reelstream.producer.send import RatingProducer
from reelstream.settings import Settings, load
from reelstream.store.ratings import RatingsStore
from tests.fixtures.command import command, stream_status
from tests.fixtures.exact import stored
from tests.fixtures.processes import reelstream, stream_runs, wait_until
from tests.producer.refused import refused_connections

OUTAGE_S = 60.0
ROWS, ROWS_PER_S = 4_500, 300
LIVE_USERS_FROM = 1_000_000
BROKER_UNAVAILABLE = 5


@pytest.fixture
def settings(warehouse: Path) -> Settings:
    return load(warehouse=warehouse)


@pytest.fixture
def ratings_csv(tmp_path: Path) -> Path:
    path = tmp_path / "ratings.csv"
    rows = [f"{1 + n % 97},{1 + n // 97},4.0,{10**9 + n}" for n in range(ROWS)]
    path.write_text("\n".join(["userId,movieId,rating,timestamp", *rows, ""]))
    return path


@pytest.mark.timeout(600)
def test_a_killed_broker_and_one_that_is_gone_for_a_minute(settings: Settings, ratings_csv: Path) -> None:
    with reelstream(settings, "broker") as broker:
        address = answering(settings, broker)
        with reelstream(settings, "stream") as stream:
            wait_until(lambda: stream_runs(settings, stream), "the stream runs", stream)
            live = LiveRatings(address, settings.topic)
            replaying = reelstream(settings, "replay", str(ratings_csv), "--rate", str(ROWS_PER_S))
            with refused_connections(), replaying as replay, live:
                wait_until(lambda: stored(settings) > ROWS // 10, "some events are stored", stream)
                kill_jvm(settings)
                assert broker.wait(60) == BROKER_UNAVAILABLE
                at_kill = stored(settings)
                with reelstream(settings, "broker") as second:
                    assert answering(settings, second) == address
                    wait_until(lambda: stored(settings) > at_kill + ROWS // 10, "replay and stream go on", stream)
                    live.stop()
                    replay.kill()
                    replay.wait()
                    resumed = command(settings, "replay", str(ratings_csv), "--resume", "--json")
                    assert resumed.returncode == 0, resumed.stderr
                    assert json.loads(resumed.stdout)["skipped_by_resume"] > 0
                    all_are_stored(settings, stream, live)

                    second.send_signal(signal.SIGINT)
                    assert second.wait(60) == 0
            gone_for_a_minute(settings, stream)
            with reelstream(settings, "broker") as third:
                assert answering(settings, third) == address
                wait_until(lambda: stream_status(settings)["error"] is None, "status says that all is well", stream)
                said = (settings.warehouse / "run" / "stream.log").read_text()
                assert "does not answer" in said.split("retrying until it works: ")[-1]
                assert said.rstrip().splitlines()[-1].startswith(("recovered", "batch "))
                status = stream_status(settings)
                assert (status["pid"], status["state"], status["lag_events"]) == (stream.pid, "running", 0)
                live.acknowledged += rate(address, settings.topic, LIVE_USERS_FROM - 1)
                all_are_stored(settings, stream, live)
                third.send_signal(signal.SIGINT)
                assert third.wait(60) == 0
            stream.send_signal(signal.SIGINT)
            assert stream.wait(60) == 0, "it ends in order without a broker, too"


def gone_for_a_minute(settings: Settings, stream: subprocess.Popen[bytes]) -> None:
    """Fails unless status says all the time, but for a moment, what is wrong."""
    back_at = time.monotonic() + OUTAGE_S
    wait_until(lambda: "does not answer" in str(stream_status(settings)["error"]), "status says what is wrong", stream)
    while time.monotonic() < back_at:
        time.sleep(min(5.0, max(0.0, back_at - time.monotonic())))
        status = stream_status(settings)
        assert "does not answer" in status["error"]
        assert status["lag_events"] is None
    assert stream.poll() is None


def all_are_stored(settings: Settings, stream: subprocess.Popen[bytes], live: LiveRatings) -> None:
    """Fails unless each row of the file and each acknowledged rating is in the store once, others at most once."""
    wait_until(lambda: stored(settings) >= ROWS + len(live.acknowledged), "all events are stored", stream)
    wait_until(lambda: stream_status(settings)["lag_events"] == 0, "the stream has taken all there is", stream)
    table = RatingsStore(settings.warehouse).read(columns=["user_id", "movie_id"])
    found = Counter(zip(table["user_id"].to_pylist(), table["movie_id"].to_pylist(), strict=True))
    wanted = Counter([*((1 + n % 97, 1 + n // 97) for n in range(ROWS)), *((user, 1) for user in live.acknowledged)])
    assert not wanted - found, "lost"
    assert not found - wanted - Counter((user, 1) for user in live.unsure), "twice, or never sent"
    assert max(found.values()) == 1


def kill_jvm(settings: Settings) -> None:
    os.kill(json.loads((settings.warehouse / "broker" / "broker.json").read_bytes())["pid"], signal.SIGKILL)


def answering(settings: Settings, process: subprocess.Popen[bytes]) -> str:
    """The address of the warehouse's broker, once it answers."""
    wait_until(lambda: running_broker(settings.warehouse / "broker"), "the broker answers", process)
    return running_broker(settings.warehouse / "broker") or ""


def rate(address: str, topic: str, user_id: int) -> list[int]:
    """One rating of movie 1; returns the user when it is acknowledged."""
    with RatingProducer(address, topic, {}, delivery_timeout_s=2) as producer:
        producer.rate_live(user_id, [(1, 4.0)])
    return [user_id]


class LiveRatings:
    """Sends one rating after the other, each of another user, with a short patience; knows which were acknowledged."""

    def __init__(self, address: str, topic: str) -> None:
        self._place = (address, topic)
        self.acknowledged: list[int] = []
        self.unsure: list[int] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._send)

    @property
    def sent(self) -> int:
        return len(self.acknowledged) + len(self.unsure)

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _send(self) -> None:
        while not self._ended.wait(0.05):
            user_id = LIVE_USERS_FROM + self.sent
            try:
                self.acknowledged += rate(*self._place, user_id)
            except ReelstreamError:
                self.unsure.append(user_id)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
