"""The disk of the warehouse is full: it is said, nothing that was accepted is lost, and with space it goes on by
itself."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import reelstream as api
from reelstream.batch.refit import refit
from reelstream.errors import MissingRequirement
from reelstream.producer.rating_producer import RatingProducer
from reelstream.settings import load, to_env
from reelstream.store import pointer, run_files
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from reelstream.store.schemas import REJECTS
from reelstream.store.updates import Updates
from reelstream.stream.fold_in import FoldInStage
from tests.faults.small_disk import SmallDisk, small_disk
from tests.fixtures.processes import reelstream, stream_runs, wait_until
from tests.fixtures.rows import ratings
from tests.fixtures.seed import seed_ratings

DISK_BYTES = 16 << 20
FIRST_USER = 5_000_000_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    directory = tmp_path / "disk"
    directory.mkdir()
    with small_disk(directory, DISK_BYTES) as disk:
        yield disk


def files_aside(directory: Path) -> list[Path]:
    """What a writer that failed may have left behind; what Spark keeps in its scratch checkpoint is its own."""
    return [path for path in directory.rglob(".*") if path.is_file() and "checkpoint" not in path.parts]


def test_the_stream_waits_for_space_and_goes_on_by_itself(disk: SmallDisk, bootstrap_servers: str, topic: str) -> None:
    settings = load(warehouse=disk.path / "warehouse", bootstrap_servers=bootstrap_servers, topic=topic)
    seeded = seed_ratings(settings)
    version = refit(settings)
    store, updates = RatingsStore(settings.warehouse), Updates(version.path)
    sent = [(FIRST_USER + number, 1 + number % 5, 4.5) for number in range(12)]

    def error() -> str:
        return str((run_files.read(settings.warehouse, "stream") or {}).get("error"))

    with (
        RatingProducer(bootstrap_servers, topic, {}) as producer,
        reelstream(settings, "stream", enter=disk.enter) as process,
    ):

        def send(events: list[tuple[int, int, float]]) -> None:
            for user_id, movie_id, stars in events:
                producer.rate_live(user_id, [(movie_id, stars)])

        wait_until(lambda: stream_runs(settings, process), "the stream runs", process)
        send(sent[:2])
        wait_until(lambda: store.state().accepted == seeded + 2, "the first events are stored", process)
        wait_until(lambda: updates.batch() == store.state().batch, "their users are folded in", process)
        wait_until(lambda: "last_batch" in (run_files.read(settings.warehouse, "stream") or {}), "status", process)

        filler = disk.fill()
        for event in sent[2:10]:
            send([event])
            disk.fill()  # also what the stream gives back
        wait_until(lambda: "no space left" in error(), "status says so", process)
        assert "free some" in error()
        assert {row["user_id"] for row in store.read().to_pylist()} >= {user for user, _, _ in sent[:2]}
        assert api.open(settings.warehouse).recommend(sent[0][0])[0].source == "fold_in"

        filler.unlink()
        wait_until(lambda: store.state().accepted == seeded + 10, "what came meanwhile is stored", process)
        wait_until(lambda: updates.batch() == store.state().batch, "all users are folded in", process)
        send(sent[10:])
        wait_until(lambda: store.state().accepted == seeded + len(sent), "it takes new events", process)
        wait_until(lambda: updates.batch() == store.state().batch, "all users are folded in", process)
        wait_until(lambda: error() == "None", "status is well again", process)
        assert process.poll() is None
    assert process.returncode == 0

    rows = [row for row in store.read().to_pylist() if row["topic"] == topic]
    assert Counter((row["user_id"], row["movie_id"], row["rating"]) for row in rows) == Counter(sent)
    assert len({(row["partition"], row["offset"]) for row in rows}) == len(sent)
    for user_id, movie_id, _ in sent:
        movies = api.open(settings.warehouse).recommend(user_id)
        assert {movie.source for movie in movies} == {"fold_in"}, user_id
        assert movie_id not in {movie.movie_id for movie in movies}
    assert not files_aside(settings.warehouse)


def test_users_whose_lists_found_no_space_get_them_once_there_is_some(disk: SmallDisk) -> None:
    settings = load(warehouse=disk.path / "warehouse")
    offset = seed_ratings(settings)
    refit(settings)
    fold_in, store = FoldInStage(settings), RatingsStore(settings.warehouse)
    fold_in.refresh()
    rows = ratings((FIRST_USER, 1, 4.5), offset=offset)
    state = store.append(rows, REJECTS.empty_table(), {"ratings": {0: offset + 1}})
    filler = disk.fill()

    with pytest.raises(MissingRequirement, match="no space left"):
        fold_in.fold(rows, state.batch)
    for _ in range(3):  # as the thread beside the micro-batches does, again and again
        with pytest.raises(MissingRequirement, match="no space left"):
            fold_in.refresh()
    filler.unlink()
    fold_in.refresh()

    assert {movie.source for movie in api.open(settings.warehouse).recommend(FIRST_USER)} == {"fold_in"}


def test_a_refit_that_finds_no_space_leaves_the_last_version_in_place(disk: SmallDisk) -> None:
    settings = load(warehouse=disk.path / "warehouse")
    seed_ratings(settings)
    version = refit(settings)
    lists = api.open(settings.warehouse).recommendations()
    filler = disk.fill()

    answer = subprocess.run(
        [*disk.enter, sys.executable, "-P", "-m", "reelstream", "refit", "--force"],
        env={**os.environ, **to_env(settings)},
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert answer.returncode == MissingRequirement.exit_code, answer.stderr
    assert "no space left" in answer.stderr
    assert "free some" in answer.stderr
    assert "Traceback" not in answer.stderr
    published = RecommendationsStore(settings.warehouse)
    assert published.current() == version
    assert api.open(settings.warehouse).recommendations() == lists
    assert [path.name for path in published.path.glob("version=*")] == [version.path.name]
    assert [path.name for path in published.models_path.glob("version=*")] == [version.model_path.name]
    assert not files_aside(settings.warehouse)

    status = run_files.read(settings.warehouse, "refit")
    assert status
    assert status["state"] == "failed"
    assert "no space left" in status["error"]

    filler.unlink()
    assert refit(settings, force=True).name > version.name
    assert api.open(settings.warehouse).recommend(1)[0].version > version.name


def test_a_refit_that_fails_once_it_is_published_keeps_what_readers_read(
    warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(warehouse=warehouse)
    seed_ratings(settings)

    def no_space(_path: Path, _target: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "symlink_to", no_space)  # `latest` is put in place after the pointer
    with pytest.raises(OSError, match="No space left"):
        refit(settings)

    assert api.open(warehouse).recommend(1)[0].version == RecommendationsStore(warehouse).current().name
    assert api.open(warehouse).predict(1, 1).source == "model"


@pytest.mark.parametrize("bytes_left", range(0, 80 << 10, 16 << 10))
def test_a_table_that_finds_no_space_half_way_is_not_there(disk: SmallDisk, bytes_left: int) -> None:
    settings = load(warehouse=disk.path / "warehouse")
    seed_ratings(settings)
    store = RatingsStore(settings.warehouse)
    state, rows = store.state(), store.read()
    more = rows.set_column(0, "user_id", [list(range(rows.num_rows))])
    filler = disk.fill()
    os.truncate(filler, filler.stat().st_size - bytes_left)

    for directory in ("snapshot=1", "new/deep"):
        target = settings.warehouse / directory / "part-0.parquet"
        if bytes_left < 16 << 10:
            with pytest.raises(MissingRequirement, match=f"no space left to write {target}; free some"):
                pointer.write_table(more, target)
        with contextlib.suppress(MissingRequirement):
            pointer.write_table(more, target)
        assert not target.exists() or pointer.read_table(target) == more
    assert not files_aside(settings.warehouse)
    assert (store.state(), store.read()) == (state, rows)
