"""`reelstream up` as a user runs it: it takes ratings, ends in order, and leaves no process behind, however it ends."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from reelstream.settings import load
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from tests.fixtures.command import command
from tests.fixtures.processes import descendants, reelstream, running, stream_runs, wait_until
from tests.fixtures.seed import seed_ratings


def test_up_takes_a_rating_refits_and_ends_in_order(warehouse: Path) -> None:
    settings = load(warehouse=warehouse, refit_after_ratings=1)
    seeded = seed_ratings(settings)
    store, published = RatingsStore(warehouse), RecommendationsStore(warehouse)
    with reelstream(settings, "up") as process:
        wait_until(lambda: stream_runs(settings, process), "the stream runs", process)
        wait_until(published.current_or_none, "the first version is published", process)

        rated = command(settings, "rate", "--user", "new", "1=5", "3=4.5", "--json")
        assert rated.returncode == 0, rated.stderr
        answer = json.loads(rated.stdout)
        assert answer["fresh_after_s"] is not None
        assert not {1, 3} & {movie["movie_id"] for movie in answer["recommendations"]}
        assert store.state().accepted == seeded + 2
        wait_until(lambda: published.current().accepted == seeded + 2, "a refit has seen them", process)

        second = command(settings, "stream")
        assert second.returncode == 6
        assert "already running" in second.stderr
        status = json.loads(command(settings, "status", "--json").stdout)
        assert (status["stream"]["state"], status["stream"]["alive"]) == ("running", True)

        left = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert not running(left)
    assert json.loads(command(settings, "status", "--json").stdout)["stream"]["state"] == "stopped"
    late = command(settings, "rate", "1", "2=5")
    assert late.returncode == 5
    assert "no broker runs" in late.stderr


def test_up_killed_with_9_leaves_no_process_and_starts_again_with_its_data(warehouse: Path) -> None:
    settings = load(warehouse=warehouse)
    with reelstream(settings, "up") as process:
        wait_until(lambda: stream_runs(settings, process), "the stream runs", process)
        assert command(settings, "rate", "1", "1=5", "-n", "0").returncode == 0
        left = descendants(process.pid)
        assert left
        process.kill()
        process.wait()
        wait_until(lambda: not running(left), "its children have ended")

    with reelstream(settings, "up") as process:
        wait_until(lambda: stream_runs(settings, process), "the stream runs", process)
        wait_until(lambda: RatingsStore(warehouse).state().accepted == 1, "the rating is stored", process)
    assert process.returncode == 0
