"""What the stream learns between two refits, against what a refit would have made of the same ratings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from reelstream.als.fit import transitions
from reelstream.als.fold_in import FoldIn
from reelstream.batch.refit import refit
from reelstream.batch.training import load as training_data
from reelstream.settings import Settings, load
from reelstream.store import models, new_movies
from reelstream.store.movies import MoviesStore
from reelstream.store.rating_rows import latest
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from reelstream.store.rollback import rollback
from reelstream.store.updates import Updates
from reelstream.stream.fold_in import FoldInStage
from reelstream.top_lists import folded_lists, rating_arrays
from tests.fixtures.camps import FIRST_MOVIE, camps, fill
from tests.fixtures.rows import ratings, rejects

NEW_MOVIE = FIRST_MOVIE + 500
N_MOVIES = 80


@pytest.fixture
def settings(warehouse: Path) -> Settings:
    fill(warehouse, camps())
    return load(warehouse=warehouse, top_n=20)


def take(settings: Settings, *rows: tuple[int, int, float | None], rated_at_ms: int) -> tuple[pa.Table, int]:
    """One micro-batch into the store: (its rows, its number)."""
    store = RatingsStore(settings.warehouse)
    offset = store.state().offsets["ratings"][0]
    table = ratings(*rows, offset=offset, rated_at_ms=rated_at_ms)
    return table, store.append(table, rejects(), {"ratings": {0: offset + len(rows)}}).batch


def some(rng: np.random.Generator) -> list[tuple[int, int, float | None]]:
    """Ratings of known and new users: of movies that are new to them, and of others again; and some taken back."""
    users = rng.integers(1, 70, 12).tolist()
    movies = rng.integers(FIRST_MOVIE, FIRST_MOVIE + N_MOVIES, 12).tolist()
    return [
        (user, movie, None if rng.random() < 0.1 else float(rng.integers(1, 11)) / 2)
        for user, movie in zip(users, movies, strict=True)
    ]


def listed(lists: pa.Table) -> list[tuple[int, int, int, float]]:
    columns = ("user_id", "rank", "movie_id", "score")
    return sorted(zip(*(lists[name].to_pylist() for name in columns), strict=True))


def from_the_store(settings: Settings, user_ids: list[int]) -> pa.Table:
    """Their lists by the current version's factors and transitions that are built from all ratings in the store."""
    version, store = RecommendationsStore(settings.warehouse).current(), RatingsStore(settings.warehouse)
    factors = new_movies.load_factors(version, models.load(version.model_path))
    fold_in = FoldIn(replace(factors, transitions=transitions(training_data(store).matrix())))
    return folded_lists(
        np.array(user_ids),
        rating_arrays(np.array(user_ids), latest(store.read(user_ids=user_ids))),
        fold_in,
        MoviesStore(settings.warehouse).titles(),
        n=settings.top_n,
        version=version.name,
        as_of=version.as_of,
    )


def test_lists_are_by_transitions_that_are_learned_event_by_event(settings: Settings) -> None:
    version, rng = refit(settings), np.random.default_rng(1)
    stage, changed = FoldInStage(settings), 0
    stage.refresh()
    for number in range(30):
        batch = some(rng)
        before = listed(from_the_store(settings, sorted({user for user, *_ in batch if user <= 60})))
        stage.fold(*take(settings, *batch, rated_at_ms=10_000 + number))

        users = sorted({user for user, *_ in batch})
        shown = Updates(version.path).read()
        assert shown is not None
        now = listed(from_the_store(settings, users))
        assert listed(shown.filter(pa.array(np.isin(shown["user_id"].to_numpy(), users)))) == now
        changed += before != now
    assert changed > 20


def test_a_stream_that_starts_again_learns_what_came_since_the_refit(settings: Settings) -> None:
    """Ratings that the refit read and those that came after it, some of them in one compacted directory."""
    version, rng = refit(settings), np.random.default_rng(2)
    for number in range(20):
        take(settings, *some(rng), rated_at_ms=10_000 + number)
    store = RatingsStore(settings.warehouse)
    while store.compact():
        pass

    stage = FoldInStage(settings)
    stage.refresh()

    shown = Updates(version.path).read()
    assert shown is not None
    users = sorted(set(shown["user_id"].to_pylist()))
    assert len(users) > 50
    assert listed(shown) == listed(from_the_store(settings, users))


def test_after_a_rollback_who_rated_since_has_a_list_by_the_older_version(settings: Settings) -> None:
    """Ratings while that version was current, and while the next one was, also of a user whom it does not know."""
    first, rng = refit(settings), np.random.default_rng(3)
    stage = FoldInStage(settings)
    stage.refresh()
    stage.fold(*take(settings, *some(rng), rated_at_ms=10_000))
    refit(settings, force=True)
    stage.refresh()
    since = [*some(rng), (900, FIRST_MOVIE, 5.0)]
    stage.fold(*take(settings, *since, rated_at_ms=11_000))

    rollback(settings.warehouse)
    assert stage.refresh()

    def shown(users: list[int]) -> pa.Table:
        return Updates(first.path).read(users)

    users = sorted({user for user, *_ in since})
    assert listed(shown(users)) == listed(from_the_store(settings, users))
    stage.fold(*take(settings, (2, FIRST_MOVIE + 1, 1.0), rated_at_ms=12_000))
    assert listed(shown([2])) == listed(from_the_store(settings, [2]))
    counted_up_to = RecommendationsStore(settings.warehouse).counted_up_to()
    assert counted_up_to == RatingsStore(settings.warehouse).state().batch


def test_a_late_rating_takes_its_place_in_the_order(settings: Settings) -> None:
    version = refit(settings)
    stage = FoldInStage(settings)
    stage.refresh()
    stage.fold(*take(settings, (1, FIRST_MOVIE + 1, 5.0), rated_at_ms=50_000))

    stage.fold(*take(settings, (1, FIRST_MOVIE + 2, 5.0), (1, FIRST_MOVIE + 4, 5.0), rated_at_ms=1))

    shown = Updates(version.path).read()
    assert shown is not None
    assert listed(shown) == listed(from_the_store(settings, [1]))


def test_a_new_movie_is_recommended_to_who_rated_what_its_raters_did(settings: Settings) -> None:
    refit(settings)
    stage = FoldInStage(settings)
    stage.refresh()
    for number, user in enumerate(range(1, 13, 2)):
        stage.fold(*take(settings, (user, FIRST_MOVIE + 3, 5.0), rated_at_ms=10_000 + number))
        stage.fold(*take(settings, (user, NEW_MOVIE, 5.0), rated_at_ms=20_000 + number))
    assert stage.fold_in_movies()

    stage.fold(*take(settings, (41, FIRST_MOVIE + 3, 5.0), rated_at_ms=30_000))

    version = RecommendationsStore(settings.warehouse).current()
    shown = Updates(version.path).read()
    assert shown is not None
    lists = shown.filter(pa.array(shown["user_id"].to_numpy() == 41))
    assert NEW_MOVIE in lists["movie_id"].to_pylist()[:3]
    assert listed(lists) == listed(from_the_store(settings, [41]))
