from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from reelstream.batch.refit import refit
from reelstream.errors import ReelstreamError
from reelstream.settings import Settings, load
from reelstream.store import run_files
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from reelstream.store.rollback import rollback
from reelstream.stream import trigger as module
from reelstream.stream.trigger import RETRY_S, Due, Trigger
from tests.fixtures.camps import add

DEADLINE_S = 30.0


class TestDue:
    def test_enough_ratings_are_enough_at_once(self) -> None:
        due = Due(after_ratings=3, after_s=600)

        assert not due.now(2, clock_s=0)
        assert due.now(3, clock_s=0)

    def test_a_single_rating_is_enough_after_the_time_with_no_further_event(self) -> None:
        due = Due(after_ratings=1000, after_s=600)

        assert not due.now(1, clock_s=100)
        assert not due.now(1, clock_s=699.9)
        assert due.now(1, clock_s=700)

    def test_the_time_counts_from_the_first_rating_not_from_the_last_refit(self) -> None:
        due = Due(after_ratings=1000, after_s=600)

        assert not due.now(0, clock_s=0)
        assert not due.now(1, clock_s=5000)
        assert due.now(2, clock_s=5600)

    def test_without_a_rating_it_is_never_due(self) -> None:
        due = Due(after_ratings=1, after_s=1)

        assert not any(due.now(0, clock_s=10.0**power) for power in range(12))

    def test_how_long_until_it_is_due_by_time(self) -> None:
        due = Due(after_ratings=1000, after_s=600)

        due.now(0, clock_s=50)
        assert due.in_s(60) is None
        due.now(1, clock_s=100)
        assert (due.in_s(100), due.in_s(650), due.in_s(900)) == (600, 50, 0)
        wait_s = due.failed(900)
        assert due.in_s(900) == wait_s
        due.done()
        assert due.in_s(900) is None

    def test_after_a_refit_both_count_anew(self) -> None:
        due = Due(after_ratings=10, after_s=600)
        assert not due.now(1, clock_s=0)
        assert due.now(10, clock_s=599)

        due.done()

        assert not due.now(9, clock_s=600)
        assert not due.now(9, clock_s=1199)
        assert due.now(9, clock_s=1200)

    def test_after_a_failure_it_waits_longer_each_time_and_then_tries_again(self) -> None:
        due = Due(after_ratings=1, after_s=600)
        clock_s, waits = 0.0, []
        for _ in range(len(RETRY_S) + 2):
            assert due.now(5, clock_s)
            waits.append(due.failed(clock_s))
            assert not due.now(5, clock_s + waits[-1] - 0.1)
            clock_s += waits[-1]

        assert waits == [*RETRY_S, RETRY_S[-1], RETRY_S[-1]]
        assert list(RETRY_S) == sorted(RETRY_S)

    def test_a_success_forgets_the_failures(self) -> None:
        due = Due(after_ratings=1, after_s=600)
        due.failed(0)
        due.failed(10)

        due.done()

        assert due.now(1, clock_s=11)
        assert due.failed(11) == RETRY_S[0]


@pytest.fixture
def settings(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Two new ratings call for a refit; the clock of the trigger ticks fast."""
    monkeypatch.setattr(module, "TICK_S", 0.005)
    return load(warehouse=warehouse, refit_after_ratings=2)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.002)


def reported(settings: Settings) -> dict[str, Any]:
    return run_files.read(settings.warehouse, "trigger") or {"state": None, "error": None, "new_ratings": None}


def test_new_ratings_are_refitted_once_and_the_next_ones_again(settings: Settings) -> None:
    store, published = RatingsStore(settings.warehouse), RecommendationsStore(settings.warehouse)
    calls = []

    def run(_stopping: threading.Event) -> None:
        calls.append(store.state().accepted)
        refit(settings)

    with Trigger(settings, run):
        add(store, (1, 296, 5.0))
        until(lambda: reported(settings)["new_ratings"] == 1)
        assert calls == []
        assert 0 < reported(settings)["due_in_s"] <= settings.refit_after_minutes * 60
        add(store, (2, 296, 4.0))
        until(lambda: reported(settings)["new_ratings"] == 0)
        assert reported(settings)["due_in_s"] is None
        add(store, (3, 296, 4.0), (4, 10, 1.0))
        until(lambda: reported(settings)["new_ratings"] == 0 and len(calls) == 2)

    assert calls == [2, 4]
    assert (published.current().name, published.current().accepted) == ("000002", 4)


def test_what_the_last_version_has_seen_calls_for_nothing_after_a_restart(settings: Settings) -> None:
    add(RatingsStore(settings.warehouse), (1, 296, 5.0), (2, 296, 4.0))
    refit(settings)
    calls: list[int] = []

    with Trigger(settings, lambda _stopping: calls.append(1)):
        until(lambda: reported(settings)["new_ratings"] == 0)

    assert calls == []


def test_after_a_rollback_only_what_comes_then_calls_for_a_refit(settings: Settings) -> None:
    store, tuned = RatingsStore(settings.warehouse), settings.model_copy(update={"self_tuning": True})
    add(store, (1, 296, 5.0), (2, 296, 4.0))
    refit(tuned)
    add(store, (3, 296, 4.0), (4, 296, 4.0))
    refit(tuned)
    add(store, (5, 296, 4.0), (6, 296, 4.0))
    version = rollback(settings.warehouse).version
    assert version.info["tuning"]["search_next"]
    calls: list[int] = []

    with Trigger(tuned, lambda _stopping: calls.append(store.state().accepted)):
        until(lambda: reported(settings)["new_ratings"] == 0)
        add(store, (7, 296, 5.0))
        until(lambda: reported(settings)["new_ratings"] == 1)
        assert calls == []
        add(store, (8, 296, 5.0))
        until(lambda: calls == [8])


def test_one_refit_runs_at_a_time_beside_whatever_comes(settings: Settings) -> None:
    store = RatingsStore(settings.warehouse)
    running, most, calls = 0, 0, 0
    started, go_on = threading.Event(), threading.Event()

    def slow(_stopping: threading.Event) -> None:
        nonlocal running, most, calls
        running, calls = running + 1, calls + 1
        most = max(most, running)
        started.set()
        assert go_on.wait(DEADLINE_S)
        refit(settings)
        running -= 1

    with Trigger(settings, slow):
        add(store, (1, 296, 5.0), (2, 296, 4.0))
        assert started.wait(DEADLINE_S)
        assert reported(settings)["state"] == "refitting"
        for user in range(10, 20):  # ingestion goes on
            add(store, (user, 296, 3.0), (user, 10, 3.0))
        assert store.state().accepted == 22
        go_on.set()
        until(lambda: reported(settings)["new_ratings"] == 0)

    assert (most, calls) == (1, 1)


def test_a_failing_refit_is_told_and_tried_again(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", (0.05, 0.3))
    store = RatingsStore(settings.warehouse)
    add(store, (1, 296, 5.0), (2, 296, 4.0))
    tries: list[float] = []
    mended = threading.Event()

    def run(_stopping: threading.Event) -> None:
        tries.append(time.monotonic())
        if len(tries) == 2:
            raise OSError("the disk was removed")
        if not mended.is_set():
            raise ReelstreamError("no memory left")
        refit(settings)

    with Trigger(settings, run):
        until(lambda: len(tries) >= 3 and reported(settings)["error"] == "no memory left")
        assert 0 <= reported(settings)["next_try_in_s"] <= 0.3
        assert reported(settings)["new_ratings"] == 2
        mended.set()
        until(lambda: reported(settings)["new_ratings"] == 0)
        until(lambda: reported(settings)["error"] is None)

    assert RecommendationsStore(settings.warehouse).current().accepted == 2
    assert min(later - earlier for earlier, later in pairwise(tries)) >= 0.05  # a wait, not a limit


def test_any_error_of_a_refit_is_survived(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", (0.01,))
    add(RatingsStore(settings.warehouse), (1, 296, 5.0), (2, 296, 4.0))
    tries = []

    def run(_stopping: threading.Event) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("something nobody thought of")
        refit(settings)

    with Trigger(settings, run):
        until(lambda: reported(settings)["new_ratings"] == 0)

    assert len(tries) == 2


def test_a_damaged_pointer_is_told_and_the_trigger_goes_on_once_it_is_mended(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", (0.01,))
    store = RatingsStore(settings.warehouse)
    add(store, (1, 296, 5.0), (2, 296, 4.0))
    pointer = settings.warehouse / "ratings" / "CURRENT"
    whole = pointer.read_bytes()
    pointer.write_text("{")

    with Trigger(settings, lambda _stopping: refit(settings) and None):
        until(lambda: "restore the warehouse" in (reported(settings)["error"] or ""))
        pointer.write_bytes(whole)
        until(lambda: reported(settings)["new_ratings"] == 0)


def test_leaving_tells_a_running_refit_to_stop_and_ends_the_thread(settings: Settings) -> None:
    add(RatingsStore(settings.warehouse), (1, 296, 5.0), (2, 296, 4.0))
    started, told = threading.Event(), threading.Event()

    def run(stopping: threading.Event) -> None:
        started.set()
        if stopping.wait(DEADLINE_S):
            told.set()
        raise ReelstreamError("stopped half way")

    with Trigger(settings, run):
        assert started.wait(DEADLINE_S)

    assert told.is_set()
    assert "reelstream-trigger" not in {thread.name for thread in threading.enumerate()}
    assert reported(settings)["error"] is None  # it did not fail, it was told to


def test_after_the_first_version_a_search_follows_without_new_ratings(settings: Settings) -> None:
    tuned = settings.model_copy(update={"self_tuning": True})
    add(RatingsStore(settings.warehouse), (1, 296, 5.0), (2, 296, 4.0))
    published = RecommendationsStore(settings.warehouse)

    def run(_stopping: threading.Event) -> None:
        refit(tuned)

    with Trigger(tuned, run):
        until(lambda: (version := published.current_or_none()) is not None and version.name == "000002")
        until(lambda: reported(settings)["state"] == "waiting")
        time.sleep(0.1)

    assert [v["tuning"]["how"] for v in published.versions()] == ["shipped", "search"]


@pytest.mark.parametrize("changed", [{"self_tuning": False}, {"held back": True}])
def test_no_search_follows_where_it_is_turned_off_or_was_held_back(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, changed: dict[str, bool]
) -> None:
    tuned = settings.model_copy(update={"self_tuning": True})
    add(RatingsStore(settings.warehouse), (1, 296, 5.0), (2, 296, 4.0))
    refit(tuned)
    if "held back" in changed:
        monkeypatch.setattr(RecommendationsStore, "held_back", lambda _self: {"tuning": {"how": "search"}})
        changed = {}
    calls: list[int] = []

    with Trigger(tuned.model_copy(update=changed), lambda _stopping: calls.append(1)):
        until(lambda: reported(settings)["state"] == "waiting")
        time.sleep(0.1)

    assert calls == []


def test_an_owed_refit_that_failed_is_put_off_too() -> None:
    due = Due(after_ratings=10, after_s=600)
    assert due.now(0, clock_s=0, owed=True)
    wait_s = due.failed(0)
    assert not due.now(0, clock_s=wait_s - 0.1, owed=True)
    assert due.now(0, clock_s=wait_s, owed=True)
    due.done()
    assert not due.now(0, clock_s=wait_s)
