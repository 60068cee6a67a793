from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import reelstream
from reelstream.als.factors import Factors, ModelSettings, RatingMatrix
from reelstream.batch import refit as module
from reelstream.batch import training as training
from reelstream.batch.engines import native
from reelstream.batch.refit import refit
from reelstream.errors import Busy, NotReady
from reelstream.settings import Settings, load
from reelstream.store import models, run_files, version_history
from reelstream.store.locks import exclusive
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore, Version
from reelstream.store.schemas import POPULAR, SIMILAR, USERS
from reelstream.store.updates import Updates
from tests.fixtures.camps import add, camps, fill


@pytest.fixture
def settings(warehouse: Path) -> Settings:
    return load(warehouse=warehouse, top_n=7)


@pytest.fixture
def store(warehouse: Path) -> RatingsStore:
    """The ratings of the two camps."""
    return fill(warehouse, camps())


def versions_on_disk(settings: Settings) -> dict[str, list[str]]:
    return {
        name: sorted(path.name for path in (settings.warehouse / name).glob("version=*"))
        for name in ("recommendations", "models")
    }


def ranks(table: pa.Table, key: str) -> dict[int, list[int]]:
    rows = sorted((row[key], row["rank"]) for row in table.to_pylist())
    return {value: [rank for _, rank in group] for value, group in itertools.groupby(rows, lambda row: row[0])}


def test_a_version_has_all_three_tables_with_the_documented_columns(settings: Settings, store: RatingsStore) -> None:
    version = refit(settings)

    published = RecommendationsStore(settings.warehouse)
    assert published.current() == version
    tables = {kind: published.read(kind, version) for kind in ("users", "similar", "popular")}
    assert {kind: table.schema for kind, table in tables.items()} == {
        "users": USERS,
        "similar": SIMILAR,
        "popular": POPULAR,
    }
    for table in tables.values():
        assert set(table["version"].to_pylist()) == {"000001"}
    assert (version.batch, version.accepted) == (1, store.state().accepted)
    assert version.info["ratings"] == len(camps()[0])
    assert (version.info["engine"], version.info["users"], version.info["movies"]) == ("native", 60, 80)
    assert set(version.info["metrics"]) >= {"rmse", "mae", "r2", "ndcg_at_10", "coverage", "baselines"}
    assert models.load(version.model_path).user_ids.tolist() == list(range(1, 61))
    assert (published.path / "latest").resolve() == version.path.resolve()


def test_ranks_run_from_1_without_gaps_and_no_list_holds_a_rated_movie(settings: Settings, store: RatingsStore) -> None:
    version = refit(settings)

    published = RecommendationsStore(settings.warehouse)
    users = published.read("users", version)
    assert ranks(users, "user_id") == {user: list(range(1, 8)) for user in range(1, 61)}
    assert set(map(tuple, ranks(published.read("similar", version), "movie_id").values())) == {tuple(range(1, 8))}
    popular = published.read("popular", version)
    assert popular["rank"].to_pylist() == list(range(1, 81))
    rated = {(user, movie) for user, movie, _ in zip(*camps(), strict=True)}
    assert not rated & set(zip(users["user_id"].to_pylist(), users["movie_id"].to_pylist(), strict=True))
    for table in (users, popular):
        stars = table["predicted_rating"].to_numpy()
        assert (stars >= 0.5).all()
        assert (stars <= 5.0).all()
    for user, group in itertools.groupby(users.to_pylist(), lambda row: row["user_id"]):
        scores = [row["score"] for row in group]
        assert scores == sorted(scores, reverse=True), user


def test_predicted_stars_stay_on_another_scale(warehouse: Path) -> None:
    user_id, movie_id, stars = camps()
    fill(warehouse, (user_id, movie_id, stars * 20))

    version = refit(load(warehouse=warehouse, rating_min=10, rating_max=100))

    predicted = RecommendationsStore(warehouse).read("users", version)["predicted_rating"].to_numpy()
    assert 10 <= predicted.min() < predicted.max() <= 100
    assert predicted.max() > 80


def test_one_rating_of_one_user_is_published_without_metrics(settings: Settings) -> None:
    add(RatingsStore(settings.warehouse), (7, 296, 4.0))

    version = refit(settings)

    assert version.info["metrics"] is None
    assert (version.info["ratings"], version.info["users"], version.info["movies"]) == (1, 1, 1)
    recommender = reelstream.open(settings.warehouse)
    assert [movie.movie_id for movie in recommender.popular()] == [296]
    assert recommender.recommend(7) == []  # nothing is left that 7 has not rated
    assert recommender.predict(7, 296).rated == 4.0


def test_ratings_that_are_all_the_same_are_published_with_r2_not_defined(settings: Settings) -> None:
    user_id, movie_id, stars = camps()
    fill(settings.warehouse, (user_id, movie_id, np.full_like(stars, 4)))

    version = refit(settings)

    assert version.info["metrics"]["r2"] is None
    assert version.info["metrics"]["rmse"] < 0.01


def test_without_a_rating_it_says_how_to_send_some(settings: Settings) -> None:
    with pytest.raises(NotReady, match=r"reelstream replay FILE\.csv"):
        refit(settings)

    assert RecommendationsStore(settings.warehouse).current_or_none() is None
    assert versions_on_disk(settings) == {"recommendations": [], "models": []}


def test_two_at_once_are_refused_and_the_first_ones_state_stays(settings: Settings, store: RatingsStore) -> None:
    def second(what: str, _done: int, _of: int) -> None:
        if what == "fit all ratings":
            with pytest.raises(Busy, match="A refit is already running"):
                refit(settings)
            status = run_files.read(settings.warehouse, "refit")
            assert status is not None
            assert (status["state"], status["alive"]) == ("running", True)

    version = refit(settings, progress=second)

    assert version.name == "000001"
    with exclusive(settings.warehouse / "run" / "refit.lock", "A test"), pytest.raises(Busy):
        refit(settings)


STEPS: list[tuple[str, Callable[[pytest.MonkeyPatch, Callable[..., None]], None]]] = [
    ("read ratings", lambda patch, fail: patch.setattr(module, "load", fail)),
    ("measure on held-out ratings", lambda patch, fail: patch.setattr(module, "measure", fail)),
    ("fit all ratings", lambda patch, fail: patch.setattr(training.TrainingData, "matrix", fail)),
    ("top-N tables", lambda patch, fail: patch.setattr(module, "popular_list", fail)),
    ("top-N tables", lambda patch, fail: patch.setattr(models, "save", fail)),
    ("fold in newer ratings", lambda patch, fail: patch.setattr(module, "_catch_up", fail)),
    ("publish", lambda patch, fail: patch.setattr(RecommendationsStore, "publish", fail)),
]


@pytest.mark.parametrize(("step", "break_it"), STEPS, ids=[f"{i}: {step}" for i, (step, _) in enumerate(STEPS)])
def test_a_step_that_fails_leaves_the_last_version_and_nothing_else(
    step: str,
    break_it: Callable[[pytest.MonkeyPatch, Callable[..., None]], None],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add(RatingsStore(settings.warehouse), (7, 296, 4.0), (8, 10, 3.0))
    last = refit(settings)

    def fail(*_: object, **__: object) -> None:
        raise OSError("the disk is on fire")

    with monkeypatch.context() as patch:
        break_it(patch, fail)
        if step == "fit all ratings":
            patch.setattr(module, "measure", lambda *_: None)
        with pytest.raises(OSError, match="on fire"):
            refit(settings)

    assert RecommendationsStore(settings.warehouse).current() == last
    assert versions_on_disk(settings) == {"recommendations": ["version=000001"], "models": ["version=000001"]}
    status = run_files.read(settings.warehouse, "refit")
    assert status is not None
    assert (status["state"], status["step"], status["error"]) == ("failed", step, "the disk is on fire")
    assert refit(settings).name == "000002"
    status = run_files.read(settings.warehouse, "refit")
    assert status is not None
    assert (status["state"], status["version"]) == ("published", "000002")


def test_a_history_that_cannot_be_written_stops_no_refit_and_is_made_up_by_the_next(
    settings: Settings, store: RatingsStore
) -> None:
    in_its_place = settings.warehouse / "models" / "history.json"
    in_its_place.mkdir(parents=True)

    assert refit(settings).name == "000001"
    status = run_files.read(settings.warehouse, "refit")
    assert status is not None
    assert status["state"] == "published"
    in_its_place.rmdir()
    assert refit(settings, force=True).name == "000002"
    assert [(row["version"], row["published"]) for row in version_history.read(settings.warehouse)] == [
        ("000001", True),
        ("000002", True),
    ]


def test_what_is_rated_during_a_refit_counts_before_the_version_is_published(
    settings: Settings, store: RatingsStore
) -> None:
    seen_before = RecommendationsStore(settings.warehouse)

    def rate_meanwhile(what: str, _done: int, _of: int) -> None:
        if what == "top-N tables":
            add(store, (1, 1001, 5.0), (500, 1001, 5.0), (500, 1003, 4.5), (600, 77777, 5.0))
        if what == "publish":
            assert seen_before.current_or_none() is None

    version = refit(settings, progress=rate_meanwhile)

    assert (version.batch, version.accepted) == (1, store.state().accepted - 4)
    updates = Updates(version.path)
    assert updates.batch() == 2
    lists = updates.read()
    assert ranks(lists, "user_id") == {user: list(range(1, 8)) for user in (1, 500, 600)}
    sources = dict(zip(lists["user_id"].to_pylist(), lists["source"].to_pylist(), strict=True))
    assert sources == {1: "fold_in", 500: "fold_in", 600: "popular"}  # 600 rated only an unknown movie
    recommender = reelstream.open(settings.warehouse)
    assert 1001 not in {movie.movie_id for movie in recommender.recommend(1)}
    assert {movie.source for movie in recommender.recommend(500)} == {"fold_in"}
    assert {movie.source for movie in recommender.recommend(2)} == {"refit"}
    assert {movie.source for movie in recommender.recommend(600)} == {"popular"}


def test_the_fit_of_all_ratings_starts_at_the_measured_one_and_that_at_the_last(
    settings: Settings, store: RatingsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[Factors | None] = []
    fits: list[Factors] = []

    def fit(matrix: RatingMatrix, model: ModelSettings, of: Settings, *, start: Factors | None = None) -> Factors:
        starts.append(start)
        fits.append(native.fit(matrix, model, of, start=start))
        return fits[-1]

    monkeypatch.setattr(module, "engine", lambda _: fit)
    first = refit(settings)
    add(store, (1, 3000, 5.0), (2, 3000, 4.0))
    second = refit(settings)

    assert starts[0] is None
    assert starts[1] is fits[0]
    np.testing.assert_array_equal(starts[2].ranking_movie, fits[0].ranking_movie)  # type: ignore[union-attr]
    assert starts[3] is fits[2]
    assert models.load_measured(second.model_path).movie_ids.tolist() == fits[2].movie_ids.tolist()  # type: ignore[union-attr]
    assert first.info["gate"] == {"last": None, "reasons": [], "forced": False}
    assert second.info["gate"]["last"]["test_rows"] == second.info["metrics"]["test_rows"]
    assert second.info["gate"]["last"]["ndcg_at_10"] == pytest.approx(first.info["metrics"]["ndcg_at_10"], rel=0.1)


def test_how_far_the_folded_in_lists_agree_with_the_refits_is_told(settings: Settings, store: RatingsStore) -> None:
    first = refit(settings)
    assert (first.info["metrics"]["overlap_at_10"], first.info["metrics"]["folded_in_users"]) == (None, 0)
    lists = RecommendationsStore(settings.warehouse).read("users", first)
    mine = lists.filter(pc.is_in(lists["user_id"], pa.array([1, 2])))
    movies = np.array(mine["movie_id"].to_pylist())
    movies[[0, 7, 8]] = [7001, 7002, 7003]  # user 1 keeps 6 of 7 movies, user 2 has 5 of 7
    Updates(first.path).append(mine.set_column(2, "movie_id", pa.array(movies)), 1)

    second = refit(settings)

    kept = RecommendationsStore(settings.warehouse).read("users", second)
    same = {(row["user_id"], row["movie_id"]) for row in kept.to_pylist()}
    common = sum(
        (user, movie) in same for user, movie in zip(mine["user_id"].to_pylist(), movies.tolist(), strict=True)
    )
    assert second.info["metrics"]["folded_in_users"] == 2
    assert second.info["metrics"]["overlap_at_10"] == pytest.approx(common / 14)
    assert 0.5 < common / 14 <= 11 / 14


@pytest.mark.parametrize("keep", [1, 2, 3, 4, 5])
def test_only_so_many_versions_stay(keep: int, warehouse: Path) -> None:
    settings = load(warehouse=warehouse, keep_versions=keep)
    add(RatingsStore(warehouse), (7, 296, 4.0))

    for number in range(1, 6):
        refit(settings)

        kept = [f"version={n:06d}" for n in range(max(1, number - keep + 1), number + 1)]
        assert versions_on_disk(settings) == {"recommendations": kept, "models": kept}


def killed_at(point: str, settings: Settings) -> None:
    """A refit in a process of its own, that ends at the failpoint as by kill -9."""
    command = [sys.executable, "-P", "-m", "reelstream", "refit", "--json", "--warehouse", str(settings.warehouse)]
    ended = subprocess.run(
        command, env={**os.environ, "REELSTREAM_FAILPOINT": point}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def assert_readable(settings: Settings, name: str) -> Version:
    """The current version is that one, and model and tables are whole and fit each other."""
    published = RecommendationsStore(settings.warehouse)
    version = published.current()
    assert version.name == name
    factors: Factors = models.load(version.model_path)
    assert published.read("users", version).num_rows > 0
    for kind in ("users", "similar", "popular"):
        assert set(published.read(kind, version)["version"].to_pylist()) == {name}
    assert set(published.read("popular", version)["movie_id"].to_pylist()) == set(factors.movie_ids.tolist())
    assert reelstream.open(settings.warehouse).recommend(1)
    return version


@pytest.mark.parametrize(
    ("point", "current"),
    [
        ("table-written:2", "000001"),
        ("model-written", "000001"),
        ("version-written", "000001"),
        ("version-published", "000002"),
        ("version-linked", "000002"),
    ],
)
def test_after_kill_9_one_whole_version_is_current_and_the_next_refit_works(
    point: str, current: str, settings: Settings, store: RatingsStore
) -> None:
    refit(settings)
    add(store, (1, 3000, 5.0), (2, 3000, 4.0))

    killed_at(point, settings)

    left = assert_readable(settings, current)
    assert left.accepted == store.state().accepted - (2 if current == "000001" else 0)
    assert json.loads((settings.warehouse / "run" / "refit.json").read_text())["state"] == "running"
    assert run_files.read(settings.warehouse, "refit")["alive"] is False  # type: ignore[index]
    again = refit(settings)
    assert_readable(settings, "000003")
    assert again.accepted == store.state().accepted
    assert (RecommendationsStore(settings.warehouse).path / "latest").resolve() == again.path.resolve()
    assert versions_on_disk(settings)["models"][-1] == "version=000003"
