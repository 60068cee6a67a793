"""The soak bench in small: the harness drives the real parts, and its counts add up."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from bench import table_files
from bench.load import FIRST_NEW_USER, STAY_S, write_events
from bench.processes import command, cpu_s, family, open_files, resident_mb
from bench.soak import EVENTS, MOST_FILES, TENTHS, soak
from bench.soak_events import FORGET_EVERY, PARTITIONS, Events, left, real_rows
from bench.synthetic import RATINGS_PER_USER
from reelstream.producer.ratings_csv import RatingRows
from reelstream.settings import load
from reelstream.store import ratings as ratings_module
from reelstream.store.ratings import RatingsStore
from reelstream.stream.parse import CHECKED
from tests.fixtures.camps import camps

BATCHES = 60


@pytest.fixture
def rows(tmp_path: Path) -> RatingRows:
    """Ratings of two camps, read from a ratings.csv."""
    csv = tmp_path / "ratings.csv"
    lines = [
        f"{user},{movie},{stars},{1000 + at}" for at, (user, movie, stars) in enumerate(zip(*camps(), strict=True))
    ]
    csv.write_text("\n".join(["userId,movieId,rating,timestamp", *lines]) + "\n")
    return real_rows(csv)


def test_a_small_soak_adds_up(tmp_path: Path, rows: RatingRows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratings_module, "SNAPSHOT_FROM_ROWS", 500)  # so that there are snapshots
    settings = load(warehouse=tmp_path / "warehouse")

    figures = soak(settings, rows, BATCHES, refit_every=25)

    assert figures["holds"], figures
    assert figures["events_sent"] == len(rows) + BATCHES * EVENTS == figures["accepted"] + figures["rejected"]
    assert 0 < figures["rejected"] < 100
    assert (figures["ratings_lost"], figures["ratings_wrong"]) == (0, 0)
    assert figures["users_forgotten"] == BATCHES // FORGET_EVERY == 1
    assert sum(figures["refits"].values()) == 2
    assert figures["reads"] > 0
    assert figures["reader_errors"] == 0
    assert 2 <= max(figures["most_files_opened"].values()) <= MOST_FILES
    assert [tenth["batch"] for tenth in figures["tenths"]] == [BATCHES * tenth // TENTHS for tenth in range(TENTHS + 1)]
    last = figures["tenths"][-1]
    assert all(
        last[process]["resident_mb"] > 10 < last[process]["open_files"] + 9 for process in ("pipeline", "reader")
    )
    state = RatingsStore(settings.warehouse).state()
    assert state.snapshot is not None
    assert table_files.opened(settings.warehouse)["ratings"] == 1 + len(state.directories)
    assert table_files.on_disk(settings.warehouse)["ratings"] >= len(state.directories)


def test_events_are_the_same_by_their_seed_and_have_places_of_their_own(rows: RatingRows) -> None:
    def made(seed: int) -> list[pa.Table]:
        events = Events(rows, seed, 20)
        return [events.real(), *(events.batch() for _ in range(FORGET_EVERY))]

    batches, again, others = made(1), made(1), made(2)

    def columns(tables: list[pa.Table]) -> pa.Table:
        return pa.concat_tables(tables).drop_columns("received_at_ms")

    assert columns(batches) == columns(again)
    assert columns(batches) != columns(others)
    table = pa.concat_tables(batches)
    assert table.schema == CHECKED
    assert table.num_rows == len(rows) + 20 * FORGET_EVERY
    places = set(zip(table["partition"].to_pylist(), table["offset"].to_pylist(), strict=True))
    assert len(places) == table.num_rows
    assert {partition for partition, _ in places} == set(range(PARTITIONS))
    kinds = {(e["forget"], e["reason"], e["rating"] is None) for e in table.to_pylist()}
    assert kinds == {(False, None, False), (False, None, True), (False, "not_json", True), (True, None, True)}


def test_what_is_left_goes_by_the_last_word() -> None:
    def event(user: int | None, movie: int | None, rating: float | None, **more: object) -> dict[str, object]:
        return {"forget": False, "user_id": user, "movie_id": movie, "rating": rating, "reason": None, **more}

    first = [
        event(1, 7, 5.0),
        event(1, 8, 4.0),
        event(2, 7, 3.0),
        event(3, 7, 1.0),
        event(None, None, None, reason="x"),
    ]
    then = [event(1, 7, 2.0), event(1, 8, None), event(2, None, None, forget=True), event(3, 9, None), event(2, 9, 4.5)]

    assert left([pa.Table.from_pylist(rows, CHECKED) for rows in (first, then)]) == {
        (1, 7): 2.0,
        (2, 9): 4.5,
        (3, 7): 1.0,
    }


def test_the_events_of_a_load_come_in_time_order_from_users_who_come_and_go(tmp_path: Path, rows: RatingRows) -> None:
    csv = tmp_path / "events.csv"

    write_events(csv, rows, rate=200.0, seconds=300.0)

    events = real_rows(csv)
    assert len(events) == 60_000
    assert (np.diff(events["rated_at_ms"]) >= 0).all()
    assert events["rated_at_ms"][-1] <= time.time_ns() // 1_000_000
    new = events["user_id"] >= FIRST_NEW_USER
    assert 0.97 < new.mean() < 0.99
    assert set(events["user_id"][~new]) <= set(rows["user_id"])
    assert set(events["movie_id"]) <= set(rows["movie_id"])
    users, counts = np.unique(events["user_id"][new], return_counts=True)
    assert counts.mean() == pytest.approx(RATINGS_PER_USER, abs=10)
    at = np.flatnonzero(events["user_id"] == users[len(users) // 2])
    assert at[-1] - at[0] <= STAY_S * 200 + counts[len(users) // 2]


def test_the_figures_of_a_process_are_of_that_process() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        deadline = time.monotonic() + 30
        while "input()" not in command(child.pid) or cpu_s(child.pid) == 0:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert child.pid in family(child.pid)
        assert family(child.pid) == {child.pid}
        assert open_files(child.pid) >= 3
        assert 1 < resident_mb(child.pid) < 200
        assert child.stdin is not None
        child.stdin.close()
    assert (open_files(child.pid), resident_mb(child.pid), cpu_s(child.pid), command(child.pid)) == (0, 0, 0, "")
