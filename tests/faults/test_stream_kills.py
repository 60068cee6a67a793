"""The stream is killed between every two durable steps, each time a new one takes over: in the end every event is in the
store once, every list is there, nothing is left of who was forgotten, and no reader has seen an error or a mix."""

from __future__ import annotations

from pathlib import Path
from threading import Event, Thread

import pytest

from reelstream.settings import Settings, load
from tests.crash.audit import all_taken, audit, look
from tests.crash.points import STREAM, crashes
from tests.crash.seed import USERS

TOGETHER = 8
PARTS = [STREAM[start : start + TOGETHER] for start in range(0, len(STREAM), TOGETHER)]
"""The points in their order, a warehouse for so many."""
KNOWN_TO_THE_READER = [USERS - 1, USERS]
MOMENT_S = 0.3


@pytest.fixture
def settings(warehouse: Path, bootstrap_servers: str, topic: str) -> Settings:
    return load(warehouse=warehouse, bootstrap_servers=bootstrap_servers, topic=topic)


class SteadyReader(Thread):
    """Reads all the time, until it is stopped or an answer is wrong."""

    def __init__(self, warehouse: Path) -> None:
        super().__init__()
        self.answers = 0
        self.wrong: Exception | None = None
        self._warehouse = warehouse
        self._stopping = Event()

    def run(self) -> None:
        try:
            while not self._stopping.wait(MOMENT_S):
                look(self._warehouse, KNOWN_TO_THE_READER)
                self.answers += 1
        except Exception as error:
            self.wrong = error

    def __enter__(self) -> SteadyReader:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self.join()


@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("points", PARTS, ids=lambda points: f"{points[0]}..{points[-1]}")
def test_killed_between_every_two_steps_nothing_is_lost_and_nothing_is_twice(
    settings: Settings, points: tuple[str, ...]
) -> None:
    with crashes(settings) as crash, SteadyReader(settings.warehouse) as reader:
        for point in points:
            crash.kill(point)
            assert reader.wrong is None, point
        crash.recover()
        assert all_taken(settings.warehouse, crash.ledger)

    assert reader.wrong is None
    assert reader.answers > len(points)
    found = audit(settings.warehouse, crash.ledger)
    assert found.nothing(), found
    assert len(crash.ledger.sent) >= 3 * len(points)
