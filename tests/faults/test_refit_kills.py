"""A refit is killed before, at and after its publication; readers see one complete version after the other all the
time."""

from __future__ import annotations

import hashlib
import random
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pyarrow as pa
import pytest

import reelstream as api
from reelstream.settings import Settings, load
from reelstream.store import models, run_files
from reelstream.store.recommendations import RecommendationsStore
from tests.fixtures.processes import reelstream
from tests.fixtures.seed import MOVIES, USERS, seed_ratings

RANDOM_KILLS = 4
KEPT = 2


@pytest.fixture
def settings(warehouse: Path) -> Settings:
    return load(warehouse=warehouse, top_n=5, keep_versions=KEPT)


def test_killed_anywhere_readers_see_whole_versions_and_the_next_refit_cleans_up(settings: Settings) -> None:
    seed_ratings(settings)
    started = time.monotonic()
    refit(settings)
    seconds = time.monotonic() - started
    with reading(settings) as seen:
        assert complete(settings) == "000001"
        refit(settings, failpoint="version-written")
        assert complete(settings) == "000001"
        refit(settings)
        assert complete(settings) == "000003"
        assert on_disk(settings) == ["000001", "000003"]
        refit(settings, failpoint="version-published")
        assert complete(settings) == "000004"
        moment = random.Random(7)
        for _ in range(RANDOM_KILLS):
            refit(settings, kill_after_s=moment.uniform(0.3, 1.0) * seconds)
            assert complete(settings) >= "000004"
        refit(settings)
        last = complete(settings)

    assert {"000001", "000003", "000004"} <= set(seen)
    assert all(len(contents) == 1 for contents in seen.values()), "a published version has changed"
    assert len(on_disk(settings)) == KEPT
    assert on_disk(settings)[-1] == last
    assert (settings.warehouse / "recommendations" / "latest").readlink() == Path(f"version={last}")
    status = run_files.read(settings.warehouse, "refit")
    assert status is not None
    assert (status["state"], status["version"]) == ("published", last)


def on_disk(settings: Settings) -> list[str]:
    """The versions whose directories are there, whether published or not, oldest first."""
    found = [
        sorted(path.name.removeprefix("version=") for path in (settings.warehouse / root).glob("version=*"))
        for root in ("models", "recommendations")
    ]
    assert found[0] == found[1]
    return found[0]


def refit(settings: Settings, failpoint: str = "", kill_after_s: float | None = None) -> None:
    """Runs a refit to its end, up to the failpoint, or for so long; with a time it may have ended before."""
    with reelstream(settings, "refit", "--force", failpoint=failpoint) as process:
        if kill_after_s is not None:
            time.sleep(kill_after_s)
            process.kill()
            assert process.wait() in (0, -signal.SIGKILL)
            return
        assert process.wait(120) == (-signal.SIGKILL if failpoint else 0)


def complete(settings: Settings) -> str:
    """The name of the current version, all of whose files can be read and fit together."""
    published = RecommendationsStore(settings.warehouse)
    version = published.current()
    factors = models.load(version.model_path)
    assert (len(factors.user_ids), len(factors.movie_ids)) == (USERS, MOVIES)
    assert published.read("similar", version)["version"].unique().to_pylist() == [version.name]
    whole(published.read("users", version), version.name)
    return version.name


def whole(lists: pa.Table, version: str) -> None:
    """Fails unless the table has a list of five of every user, all of the same version."""
    assert lists["version"].unique().to_pylist() == [version]
    assert lists["user_id"].to_pylist() == [user for user in range(1, USERS + 1) for _ in range(5)]
    assert lists["rank"].to_pylist() == list(range(1, 6)) * USERS


@contextmanager
def reading(settings: Settings) -> Iterator[dict[str, set[str]]]:
    """Reads all lists and a prediction again and again; version → digests of its lists. Raises what a reader saw."""
    seen: dict[str, set[str]] = defaultdict(set)
    failed: list[BaseException] = []
    ended = Event()

    def read() -> None:
        try:
            while not ended.is_set():
                recommender = api.open(settings.warehouse)
                lists = recommender.recommendations()
                version = lists["version"][0].as_py()
                whole(lists, version)
                seen[version].add(hashlib.sha256(repr(lists.to_pydict()).encode()).hexdigest())
                assert recommender.predict(1, 1).source == "model"
                assert len(recommender.popular(10)) == 10
        except BaseException as error:
            failed.append(error)

    reader = Thread(target=read)
    reader.start()
    try:
        yield seen
    finally:
        ended.set()
        reader.join()
    if failed:
        raise failed[0]
