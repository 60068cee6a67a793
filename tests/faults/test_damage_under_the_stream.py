"""The stream meets damaged files while it runs: ratings go on being stored where they can be, `status` names the file, and
once a good version comes all users are folded in."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import reelstream as api
from reelstream.batch.refit import refit
from reelstream.errors import DamagedStore
from reelstream.producer.rating_producer import RatingProducer
from reelstream.settings import load
from reelstream.store import run_files
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from reelstream.store.updates import Updates
from reelstream.stream.fold_in import FoldInStage
from tests.fixtures.processes import reelstream, stream_runs, wait_until
from tests.fixtures.rows import ratings, rejects
from tests.fixtures.seed import seed_ratings

FIRST_USER = 5_000_000_000


def cut_at_half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def publish_damaged(warehouse: Path) -> Path:
    """One more version like the current one, but for a model file that is cut at half; returns that file."""
    published = RecommendationsStore(warehouse)
    version = published.current()
    name, path, model_path = published.new_version()
    shutil.copytree(version.path, path)
    shutil.copytree(version.model_path, model_path)
    cut_at_half(model_path / "movies.parquet")
    published.publish(
        name, as_of=version.as_of, batch=version.batch, accepted=version.accepted, info=version.info, keep=3
    )
    return model_path / "movies.parquet"


def test_a_damaged_version_holds_up_no_rating_and_a_damaged_store_ends_the_stream(
    warehouse: Path, bootstrap_servers: str, topic: str
) -> None:
    settings = load(warehouse=warehouse, bootstrap_servers=bootstrap_servers, topic=topic)
    seeded = seed_ratings(settings)
    store = RatingsStore(warehouse)

    def error() -> str:
        return str((run_files.read(warehouse, "stream") or {}).get("error"))

    with RatingProducer(bootstrap_servers, topic, {}) as producer, reelstream(settings, "stream") as process:
        wait_until(lambda: stream_runs(settings, process), "the stream runs", process)
        refit(settings)
        damaged = publish_damaged(warehouse)
        wait_until(lambda: str(damaged) in error(), "status names the file", process)
        for number in range(2):
            producer.rate_live(FIRST_USER + number, [(1, 5.0)])
            wait_until(lambda number=number: store.state().accepted == seeded + number + 1, "it is stored", process)
        assert str(damaged) in error()

        good = refit(settings, force=True)
        updates = Updates(good.path)
        producer.rate_live(FIRST_USER + 2, [(3, 5.0)])
        wait_until(lambda: store.state().accepted == seeded + 3, "the last rating is stored", process)
        wait_until(lambda: updates.batch() == store.state().batch, "the user is folded in", process)
        wait_until(lambda: error() == "None", "status is well again", process)
        for user in (FIRST_USER, FIRST_USER + 1, FIRST_USER + 2):
            assert {movie.version for movie in api.open(warehouse).recommend(user)} == {good.name}
            assert api.open(warehouse).recommend(user)[0].source in ("refit", "fold_in"), user

        cut_at_half(warehouse / "ratings" / "CURRENT")
        producer.rate_live(FIRST_USER + 3, [(3, 5.0)])
        assert process.wait(120) == DamagedStore.exit_code
    assert f"{warehouse}/ratings/CURRENT is not a pointer" in (warehouse / "run" / "stream.log").read_text()


def test_users_of_a_version_that_cannot_be_read_are_folded_into_the_next(warehouse: Path) -> None:
    settings = load(warehouse=warehouse)
    offset = seed_ratings(settings)
    refit(settings)
    store, fold_in = RatingsStore(warehouse), FoldInStage(settings)
    fold_in.refresh()
    damaged = publish_damaged(warehouse)

    users = [FIRST_USER + number for number in range(3)]
    for user in users:  # the stream's two threads: one looks for versions, the other takes micro-batches
        with pytest.raises(DamagedStore, match=str(damaged)):
            fold_in.refresh()
        rows = ratings((user, 1, 5.0), offset=offset)
        offset += 1
        fold_in.fold(rows, store.append(rows, rejects(), {"ratings": {0: offset}}).batch)
    with pytest.raises(DamagedStore, match=str(damaged)):
        api.open(warehouse).predict(users[0], 1)

    good = refit(settings, force=True)
    rows = ratings((FIRST_USER + 3, 1, 5.0), offset=offset)
    fold_in.fold(rows, store.append(rows, rejects(), {"ratings": {0: offset + 1}}).batch)
    assert fold_in.refresh()
    for user in [*users, FIRST_USER + 3]:
        movies = api.open(warehouse).recommend(user)
        assert {movie.version for movie in movies} == {good.name}
        assert movies[0].source in ("refit", "fold_in")
