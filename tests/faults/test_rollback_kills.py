"""A rollback is killed between its durable steps, and runs beside a stream: readers see whole versions, the history says what
happened, no rating is lost."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

import reelstream as api
from reelstream.batch.refit import refit
from reelstream.producer.rating_producer import RatingProducer
from reelstream.settings import Settings, load
from reelstream.store import version_history
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from tests.faults.test_refit_kills import complete, reading
from tests.fixtures.processes import reelstream, stream_runs, wait_until
from tests.fixtures.seed import seed_ratings

NEW_USER = 5_000_000_000
POINTS = {
    "pointer-aside": "000003",
    "rollback-published": "000002",
    "rollback-linked": "000002",
    "pointer-aside:2": "000002",
}
"""Failpoint → the version that is current after a kill there. The second pointer is the history."""


@pytest.mark.parametrize("point", POINTS)
def test_killed_between_its_steps_it_is_done_or_nothing_has_changed(warehouse: Path, point: str) -> None:
    settings = load(warehouse=warehouse, top_n=5)
    seed_ratings(settings)
    for _ in range(3):
        refit(settings, force=True)
    with reading(settings) as seen:
        rolled_back(settings, "--reason", "bad lists", failpoint=point)
        current = complete(settings)
        assert current == POINTS[point]
        rows = [row["rolled_back"] for row in version_history.read(warehouse)]
        told = [] if current == "000003" else [{"from": "000003", "to": "000002", "reason": "bad lists"}]
        assert [row for row in rows if row] == told

        rolled_back(settings, "000002")
        assert complete(settings) == "000002"
        assert (warehouse / "recommendations" / "latest").readlink() == Path("version=000002")
        refit(settings, force=True)
        assert complete(settings) == "000004"

    assert all(len(contents) == 1 for contents in seen.values()), "a published version has changed"
    assert [one["state"] for one in RecommendationsStore(warehouse).versions()] == ["older", "rolled back", "current"]
    rows = [row["rolled_back"] for row in version_history.read(warehouse) if row["rolled_back"]]
    assert [(row["from"], row["to"]) for row in rows] == [("000003", "000002")]


def rolled_back(settings: Settings, *words: str, failpoint: str = "") -> None:
    with reelstream(settings, "rollback", *words, failpoint=failpoint) as process:
        assert process.wait(120) == (-signal.SIGKILL if failpoint else 0)


def test_a_running_stream_takes_it_up_and_folds_in_who_has_rated_since(
    warehouse: Path, bootstrap_servers: str, topic: str
) -> None:
    settings = load(warehouse=warehouse, bootstrap_servers=bootstrap_servers, topic=topic)
    seeded, store = seed_ratings(settings), RatingsStore(warehouse)
    refit(settings)

    def rate(producer: RatingProducer, movie_id: int, count: int) -> None:
        producer.rate_live(NEW_USER, [(movie_id, 5.0)])
        wait_until(lambda: store.state().accepted == seeded + count, "it is stored", stream)

    def listed() -> tuple[set[str], set[str], list[int]]:
        movies = api.open(warehouse).recommend(NEW_USER, 40)
        return {m.version for m in movies}, {m.source for m in movies}, sorted(m.movie_id for m in movies)

    with RatingProducer(bootstrap_servers, topic, {}) as producer, reelstream(settings, "stream") as stream:
        wait_until(lambda: stream_runs(settings, stream), "the stream runs", stream)
        refit(settings, force=True)
        rate(producer, 2, 1)
        wait_until(lambda: listed()[1] == {"fold_in"}, "it is folded in", stream)

        rolled_back(settings, "--json")

        value = json.loads((warehouse / "run" / "rollback.log").read_text().splitlines()[-1])
        assert (value["version"], value["lists_fresh"]) == ("000001", True)
        assert listed() == ({"000001"}, {"fold_in"}, [movie for movie in range(1, 41) if movie != 2])
        rate(producer, 4, 2)
        wait_until(lambda: 4 not in listed()[2], "the next rating is folded in too", stream)
        assert listed()[0] == {"000001"}
