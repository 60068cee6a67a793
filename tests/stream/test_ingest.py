"""Micro-batches of real events through Spark, the store and the fold-in: what counts when a user changes their mind."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

import reelstream
from reelstream.als.factors import ModelSettings
from reelstream.batch.refit import refit
from reelstream.events import ForgetEvent, RatingEvent
from reelstream.settings import Settings, load
from reelstream.store import new_movies
from reelstream.store.adopted import adopt
from reelstream.store.forget import forget
from reelstream.store.ratings import RatingsStore
from reelstream.store.ratings_state import RatingsState
from reelstream.store.recommendations import RecommendationsStore
from reelstream.store.updates import Updates
from reelstream.stream.clocks import Ahead
from reelstream.stream.fold_in import FoldInStage
from reelstream.stream.ingest import BatchReport, ingest
from reelstream.stream.maintenance import Maintenance
from reelstream.stream.parse import parse
from tests.fixtures.camps import camps, fill
from tests.fixtures.rows import triples

NOW = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
USER, MOVIE, OTHER = 900, 1000, 1002
TIME = 1_700_000_000_000
Take = Callable[..., BatchReport]


@pytest.fixture
def settings(warehouse: Path) -> Settings:
    return load(warehouse=warehouse)


@pytest.fixture
def fold_in(settings: Settings) -> FoldInStage:
    """A published version of two camps is loaded, with few factors, as there are few ratings."""
    fill(settings.warehouse, camps())
    adopt(settings.warehouse, ModelSettings(rating_rank=4, ranking_rank=4), {})
    refit(settings)
    fold_in = FoldInStage(settings)
    assert fold_in.refresh()
    return fold_in


@pytest.fixture
def take(settings: Settings, spark: SparkSession, fold_in: FoldInStage) -> Take:
    """Takes events in as one micro-batch."""
    offsets = itertools.count()
    store = RatingsStore(settings.warehouse)
    schema = "value BINARY, topic STRING, partition INT, offset BIGINT, timestamp TIMESTAMP"

    def ingest_these(*events: RatingEvent | ForgetEvent, at: datetime = NOW) -> BatchReport:
        rows = [(event.to_json(), "live", 0, next(offsets), at) for event in events]
        parsed = parse(spark.createDataFrame(rows, schema), rating_min=0.5, rating_max=5.0)
        return ingest(parsed, store, fold_in)

    return ingest_these


def rated(movie_id: int, stars: float | None, seconds: int, user_id: int = USER) -> RatingEvent:
    return RatingEvent(user_id, movie_id, stars, TIME + 1000 * seconds)


def known(settings: Settings, user_id: int = USER) -> list[tuple[int, float]]:
    return [(movie, stars) for _, movie, stars in triples(reelstream.open(settings.warehouse).ratings(user_id))]


def listed(settings: Settings, user_id: int = USER) -> tuple[set[str], set[int]]:
    movies = reelstream.open(settings.warehouse).recommend(user_id, 100)
    return {movie.source for movie in movies}, {movie.movie_id for movie in movies}


def test_a_rating_again_replaces_and_a_late_or_doubled_one_does_not(settings: Settings, take: Take) -> None:
    take(rated(MOVIE, 5.0, 10))
    take(rated(MOVIE, 1.0, 20), rated(MOVIE, 3.0, 5))
    take(rated(MOVIE, 5.0, 10))

    assert known(settings) == [(MOVIE, 1.0)]
    assert reelstream.open(settings.warehouse).predict(USER, MOVIE).rated == 1.0


def test_a_rating_taken_back_is_as_if_never_given(settings: Settings, take: Take) -> None:
    take(rated(MOVIE, 5.0, 10), rated(OTHER, 4.0, 10))
    assert MOVIE not in listed(settings)[1]

    report = take(rated(MOVIE, None, 20))
    assert (report.accepted, report.rejected) == (1, 0)
    assert known(settings) == [(OTHER, 4.0)]
    assert listed(settings)[0] == {"fold_in"}

    take(rated(OTHER, None, 21), rated(MOVIE, 5.0, 15))  # the second is late
    assert known(settings) == []
    assert listed(settings)[0] == {"popular"}

    take(rated(MOVIE, 2.0, 30))
    assert known(settings) == [(MOVIE, 2.0)]
    assert listed(settings)[0] == {"fold_in"}


def test_a_record_whose_time_is_in_seconds_is_counted_and_no_wait(settings: Settings, take: Take) -> None:
    report = take(rated(MOVIE, 5.0, 10), at=datetime(1970, 1, 20, 16, 13, 20, tzinfo=UTC))

    assert (report.accepted, report.rejected, report.queue_s, report.implausible_times) == (0, 1, None, 1)
    assert "queue" not in report.times()
    [row] = RatingsStore(settings.warehouse).read_rejects().to_pylist()
    ahead = "2023-11-14, more than a day ahead of when it was sent, 1970-01-20 16:13 UTC"
    assert row["detail"] == f"rated_at 1700000010000 is {ahead}"


def test_a_clock_that_is_hours_ahead_is_told(take: Take) -> None:
    at = datetime.fromtimestamp(TIME / 1000, UTC)

    report = take(rated(MOVIE, 5.0, 9 * 3600), rated(OTHER, 5.0, 20), at=at)

    assert (report.accepted, report.implausible_times, report.ahead) == (2, 0, Ahead(2, 1, 9 * 3600.0))
    assert report.queue_s > 0


def test_a_forgotten_user_starts_afresh(settings: Settings, take: Take, fold_in: FoldInStage) -> None:
    store = RatingsStore(settings.warehouse)
    take(rated(MOVIE, 5.0, 10), rated(OTHER, 4.0, 11))
    accepted = store.state().accepted

    report = take(ForgetEvent(USER, TIME + 15_000), rated(MOVIE, 3.0, 12), rated(OTHER, 2.0, 16))
    assert (report.accepted, report.rejected) == (2, 1)
    assert store.state().accepted == accepted + 2
    assert known(settings) == [(OTHER, 2.0)]
    forget(RatingsStore(settings.warehouse))
    fold_in.fold_again([USER])
    assert known(settings) == [(OTHER, 2.0)]
    assert listed(settings)[0] == {"fold_in"}

    late = take(rated(MOVIE, 5.0, 14))
    assert (late.accepted, late.rejected) == (0, 1)
    assert known(settings) == [(OTHER, 2.0)]
    names = ("reason", "detail", "raw")
    rejected = [tuple(row[name] for name in names) for row in store.read_rejects().to_pylist()]
    assert rejected == [("forgotten", None, None)] * 2
    assert known(settings) == [(m, s) for _, m, s in _of(FoldInStage(settings), USER)]


def test_lists_that_a_full_disk_refused_are_written_later(
    settings: Settings, take: Take, fold_in: FoldInStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(rated(MOVIE, 5.0, 10))
    [before, *_] = reelstream.open(settings.warehouse).recommend(USER)
    with monkeypatch.context() as disk:
        disk.setattr(Updates, "append", no_space)
        with pytest.raises(OSError, match="No space left"):
            fold_in.fold_again([USER])

    assert fold_in.refresh()

    [after, *_] = reelstream.open(settings.warehouse).recommend(USER)
    assert (after.source, after.as_of > before.as_of) == ("fold_in", True)


def test_movies_that_a_full_disk_refused_are_folded_in_later(
    settings: Settings, take: Take, fold_in: FoldInStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_movie = 5_000
    take(rated(MOVIE, 5.0, 10), rated(new_movie, 5.0, 11))
    with monkeypatch.context() as disk:
        disk.setattr(new_movies, "save", no_space)
        with pytest.raises(OSError, match="No space left"):
            fold_in.fold_in_movies()

    assert fold_in.refresh()
    assert fold_in.fold_in_movies()

    assert reelstream.open(settings.warehouse).similar(new_movie)


def no_space(*_: object) -> None:
    raise OSError("No space left on device")


def test_each_event_is_scored_before_it_is_learned_from(settings: Settings, take: Take, fold_in: FoldInStage) -> None:
    recommender = reelstream.open(settings.warehouse)
    predicted = recommender.predict(1, 1001).predicted_rating

    take(rated(1001, 5.0, 10, user_id=1))

    total = fold_in.quality.summary()["total"]
    assert total["ratings"] == 1
    assert total["rmse"] == pytest.approx(abs(5.0 - predicted), abs=1e-4)
    take(rated(1001, 1.0, 11, user_id=1))
    assert fold_in.quality.summary()["total"]["ratings"] == 1  # a rating again predicts nothing


def test_a_new_movie_gets_into_lists_and_has_similar_ones_before_the_next_refit(
    settings: Settings, take: Take, fold_in: FoldInStage
) -> None:
    new = 5000
    take(*(rated(new, 5.0, 10, user_id=user) for user in range(1, 40, 2)))  # all of one camp
    assert not any(new in listed(settings, user)[1] for user in (41, 43))

    assert fold_in.fold_in_movies()
    take(rated(1000, 4.5, 20, user_id=41), rated(1001, 4.5, 20, user_id=42))

    assert new in listed(settings, 41)[1]
    recommender = reelstream.open(settings.warehouse)
    nearest = [entry.movie_id for entry in recommender.similar(new, 5)]
    assert sum(movie % 2 == 0 for movie in nearest) >= 4  # movies of the camp that likes it
    assert recommender.predict(43, new).predicted_rating > recommender.predict(44, new).predicted_rating
    assert not fold_in.fold_in_movies()


def test_a_fold_in_that_failed_is_made_up_for(
    settings: Settings, take: Take, fold_in: FoldInStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("reelstream.stream.fold_in.folded_lists", _fails)
        with pytest.raises(RuntimeError):
            take(rated(MOVIE, 5.0, 10))
    assert known(settings) == [(MOVIE, 5.0)]

    assert fold_in.refresh()

    assert listed(settings)[0] == {"fold_in"}


def test_a_request_that_is_done_in_the_files_before_its_micro_batch_goes_on(
    settings: Settings, take: Take, fold_in: FoldInStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = RatingsStore.append

    def and_maintenance(store: RatingsStore, *given: Any, **more: Any) -> RatingsState:
        state = append(store, *given, **more)
        Maintenance(store, fold_in).once()
        return state

    take(rated(MOVIE, 5.0, 10), rated(OTHER, 4.0, 11))
    monkeypatch.setattr(RatingsStore, "append", and_maintenance)

    take(ForgetEvent(USER, TIME + 15_000))

    assert RatingsStore(settings.warehouse).state().forgetting == {}
    assert listed(settings)[0] == {"popular"}
    assert Updates(RecommendationsStore(settings.warehouse).current().path).read([USER]).num_rows == 0
    take(rated(OTHER, 2.0, 20))
    assert fold_in._ratings_of(np.array([USER]))[1].tolist() == [OTHER]


def _fails(*_: object, **__: object) -> None:
    raise RuntimeError


def _of(fold_in: FoldInStage, user_id: int) -> list[tuple[int, int, float]]:
    row, movie_id, rating, _ = fold_in._ratings_of(np.array([user_id]))
    return list(zip(row.tolist(), movie_id.tolist(), rating.tolist(), strict=True))
