"""The clock of the machine is set back: what is newer still wins, and nothing waits for an hour to pass again."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import reelstream as api
from reelstream.batch import refit as refit_module
from reelstream.batch.refit import refit
from reelstream.settings import Settings, load
from reelstream.store import ratings as ratings_module
from reelstream.store import recommendations as recommendations_module
from reelstream.store.rating_rows import latest
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from reelstream.stream import fold_in as fold_in_module
from reelstream.stream import trigger as trigger_module
from reelstream.stream.fold_in import FoldInStage
from reelstream.stream.history import COLUMNS, History
from reelstream.stream.trigger import Trigger
from tests.fixtures.camps import FIRST_MOVIE, camps, fill
from tests.fixtures.rows import ratings, rejects, triples

CLOCKED = (refit_module, fold_in_module, recommendations_module, trigger_module)
HOUR = timedelta(hours=1)
USER, NEW_USER = 1, 900


class MovedClock:
    """`set_back` moves what the modules take for the time; the steady clock goes on."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.ahead = HOUR
        clock = self

        class Moved(datetime):
            @classmethod
            def now(cls, tz: object = None) -> datetime:
                assert tz is UTC
                return datetime.now(UTC) + clock.ahead

        module: ModuleType
        for module in CLOCKED:
            patch.setattr(module, "datetime", Moved)

    def set_back(self) -> None:
        self.ahead -= HOUR


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> MovedClock:
    return MovedClock(monkeypatch)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = load(warehouse=tmp_path / "warehouse", refit_after_ratings=1)
    fill(settings.warehouse, camps(n_users=30, n_movies=40))
    return settings


def rate(settings: Settings, fold_in: FoldInStage, user: int, movie: int, stars: float) -> None:
    """As a micro-batch does."""
    store = RatingsStore(settings.warehouse)
    offset = store.state().offsets["ratings"][0]
    rows = ratings((user, movie, stars), offset=offset, rated_at_ms=1_000_000 + offset)
    state = store.append(rows, rejects(), {"ratings": {0: offset + 1}})
    fold_in.fold(rows, state.batch)


def seen(settings: Settings, user: int) -> tuple[set[str], set[str], set[int]]:
    """(sources, versions, movies) of a user's list."""
    movies = api.open(settings.warehouse).recommend(user, 1000)
    return {f.source for f in movies}, {f.version for f in movies}, {f.movie_id for f in movies}


def test_a_list_folded_in_after_the_clock_went_back_wins(settings: Settings, clock: MovedClock) -> None:
    version = refit(settings)
    assert version.as_of > datetime.now(UTC) + HOUR / 2
    fold_in = FoldInStage(settings)
    fold_in.refresh()
    rate(settings, fold_in, NEW_USER, FIRST_MOVIE, 5.0)
    before = api.open(settings.warehouse).recommend(NEW_USER)[0].as_of
    shown = api.open(settings.warehouse).recommend(NEW_USER)[0].movie_id
    clock.set_back()

    rate(settings, fold_in, NEW_USER, shown, 1.0)
    again = FoldInStage(settings)  # a restart knows the time of no list that was written before
    again.refresh()
    rate(settings, again, USER, FIRST_MOVIE + 30, 5.0)
    rate(settings, again, NEW_USER, api.open(settings.warehouse).recommend(NEW_USER)[0].movie_id, 1.0)

    for user in (USER, NEW_USER):
        sources, versions, movies = seen(settings, user)
        assert sources == {"fold_in"}
        assert versions == {version.name}
        rated = set(api.open(settings.warehouse).ratings(user)["movie_id"].to_pylist())
        assert not movies & rated, "an old list, from before the last rating"
    assert api.open(settings.warehouse).recommend(NEW_USER)[0].as_of > before


def test_a_refit_after_the_clock_went_back_has_a_higher_version_and_its_lists_win(
    settings: Settings, clock: MovedClock
) -> None:
    first = refit(settings)
    fold_in = FoldInStage(settings)
    fold_in.refresh()
    rate(settings, fold_in, USER, FIRST_MOVIE, 5.0)
    assert seen(settings, USER)[:2] == ({"fold_in"}, {first.name})
    clock.set_back()

    second = refit(settings, force=True)

    assert second.as_of < first.as_of
    assert second.name > first.name
    assert RecommendationsStore(settings.warehouse).current() == second
    assert seen(settings, USER)[:2] == ({"refit"}, {second.name})
    assert fold_in.refresh()
    assert set(api.open(settings.warehouse).recommendations()["version"].to_pylist()) == {second.name}
    rate(settings, fold_in, USER, FIRST_MOVIE + 1, 5.0)
    assert seen(settings, USER)[:2] == ({"fold_in"}, {second.name})


def test_the_time_of_the_rating_decides_not_the_order_in_which_they_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RatingsStore(tmp_path)
    given = [(3000, 5.0), (1000, 1.0), (2000, 2.0), (4000, 4.0), (3500, 3.5), (4000, 4.5)]  # (rated_at_ms, stars)
    history = History(store.read(columns=COLUMNS))
    best = (0, 0.0)
    monkeypatch.setattr(ratings_module, "SNAPSHOT_FROM_ROWS", 1)
    for offset, (rated_at_ms, stars) in enumerate(given):
        rows = ratings((1, 7, stars), offset=offset, rated_at_ms=rated_at_ms)
        store.append(rows, rejects(), {"ratings": {0: offset + 1}})
        history.append(rows)
        best = (rated_at_ms, stars) if rated_at_ms >= best[0] else best  # of two at the same time the later offset

        assert triples(latest(store.read())) == [(1, 7, best[1])]
        assert api.open(tmp_path).ratings(1)["rating"].to_pylist() == [best[1]]
        assert history.of(np.array([1]))[2].tolist() == [best[1]]
        if offset % 2:
            assert store.compact()  # a snapshot drops the rows that lost
            assert triples(store.read()) == [(1, 7, best[1])]
            assert len(store.state().directories) == 1


def test_the_trigger_goes_by_the_steady_clock(
    settings: Settings, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trigger_module, "TICK_S", 0.01)
    monkeypatch.setattr(trigger_module, "RETRY_S", (0.05,))
    tries: list[float] = []
    enough = threading.Event()

    def fails(_stopping: threading.Event) -> None:
        tries.append(time.monotonic())
        clock.set_back()
        monkeypatch.setattr(time, "time", lambda: 0.0)
        if len(tries) == 3:
            enough.set()
        raise RuntimeError("no")

    with Trigger(settings, fails):
        assert enough.wait(60), "the next try waits for the clock to come where it was"
