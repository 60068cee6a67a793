"""A rollback publishes a version that is kept, whatever the numbers say; the next refit, the gate and the trigger go by it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

import reelstream
from reelstream.batch.engines import native
from reelstream.batch.gate import measure
from reelstream.batch.refit import refit
from reelstream.batch.training import load as training_data
from reelstream.errors import Busy, DamagedStore, HeldBack, NotReady, UsageError
from reelstream.settings import Settings, load
from reelstream.store import models, pointer, version_history
from reelstream.store.locks import exclusive
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from reelstream.store.rollback import rollback
from reelstream.stream.fold_in import FoldInStage
from tests.fixtures import text_ids
from tests.fixtures.camps import camps, fill

WHOLE = {
    "models": ["users.parquet", "movies.parquet", "transitions.parquet", "rating_prior.parquet", "model.json"],
    "recommendations": ["users/part-0.parquet", "similar/part-0.parquet", "popular/part-0.parquet"],
}
FILES = [
    *(f"{root}/version=000001/{file}" for root, files in WHOLE.items() for file in files),
    "models/version=000001/measured/movies.parquet",
]


@pytest.fixture
def settings(warehouse: Path) -> Settings:
    fill(warehouse, camps())
    return load(warehouse=warehouse)


@pytest.fixture(scope="module")
def two_versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = load(warehouse=tmp_path_factory.mktemp("rollback") / "warehouse")
    published(settings, 1, 2)
    return settings.warehouse


def published(settings: Settings, *seeds: int) -> RecommendationsStore:
    """A version of all ratings so far for each seed, whose ratings are added before."""
    for seed in seeds:
        fill(settings.warehouse, camps(seed=seed))
        refit(settings, force=True)
    return RecommendationsStore(settings.warehouse)


def states(store: RecommendationsStore) -> dict[str, str]:
    return {one["version"]: one["state"] for one in store.versions()}


def on_disk(settings: Settings) -> list[str]:
    found = [
        sorted(path.name.removeprefix("version=") for path in (settings.warehouse / root).glob("version=*"))
        for root in ("models", "recommendations")
    ]
    assert found[0] == found[1]
    return found[0]


def test_the_version_before_is_published_again_as_it_was(settings: Settings) -> None:
    store = published(settings, 1)
    first, lists = store.current(), reelstream.open(settings.warehouse).recommendations()
    published(settings, 2)

    done = rollback(settings.warehouse, reason="too many sequels")

    assert (done.version.name, done.place_of) == ("000001", "000002")
    again = store.current()
    assert again == done.version
    assert (again.as_of, again.batch, again.accepted, again.info) == (
        first.as_of,
        first.batch,
        first.accepted,
        first.info,
    )
    assert again.published_at > first.published_at
    assert reelstream.open(settings.warehouse).recommendations() == lists
    assert (store.path / "latest").readlink() == Path("version=000001")
    assert on_disk(settings) == ["000001", "000002"]
    assert states(store) == {"000001": "current", "000002": "rolled back"}
    assert [one["published"] for one in store.versions()] == [True, True]
    [*_, row] = version_history.read(settings.warehouse)
    assert row["rolled_back"] == {"from": "000002", "to": "000001", "reason": "too many sequels"}
    assert (row["version"], row["at"], row["refit_s"]) == ("000001", again.published_at.isoformat(), None)
    assert row["rmse"] == first.info["metrics"]["rmse"]


def test_a_reader_that_is_open_follows_there_and_back(settings: Settings) -> None:
    published(settings, 1, 2)
    reader = reelstream.open(settings.warehouse)
    of_each = {reader.version().name: reader.recommendations()}
    for name in ("000001", "000002", "000001"):
        rollback(settings.warehouse, name)
        lists = reader.recommendations()
        assert set(lists["version"].to_pylist()) == {name}
        assert of_each.setdefault(name, lists) == lists
        assert {movie.version for movie in reader.recommend(1)} == {name}


def test_a_warehouse_of_text_ids(warehouse: Path) -> None:
    settings = text_ids.published(warehouse)
    user, reader, store = text_ids.USER_IDS[0], reelstream.open(warehouse), RatingsStore(warehouse)
    first = reader.recommendations()
    text_ids.take(
        store, [("new@user.org", "tt-new", 5.0), *(("new@user.org", one, 5.0) for one in text_ids.MOVIE_IDS[:9])]
    )
    refit(settings, force=True)
    assert reader.recommend("new@user.org")[0].source == "refit"

    assert rollback(warehouse).version.name == "000001"

    lists = reader.recommendations()
    assert lists.filter(pc.is_in(lists["user_id"], first["user_id"].combine_chunks())) == first
    assert {one.movie_id for one in reader.recommend(user)} <= set(text_ids.MOVIE_IDS)
    assert reader.stars("new@user.org")["tt-new"] == 5.0
    assert FoldInStage(settings).refresh()
    assert reader.recommend("new@user.org")[0].source == "fold_in"
    assert rollback(warehouse, "000002").version.name == "000002"
    assert reader.recommend("new@user.org")[0].source == "refit"


def test_the_next_refit_removes_neither_it_nor_the_one_that_had_to_go(settings: Settings) -> None:
    store = published(settings, 1, 2)
    rollback(settings.warehouse)
    assert store.held_back() is None

    assert refit(settings, force=True).name == "000003"
    assert states(store) == {"000001": "older", "000002": "rolled back", "000003": "current"}
    history = version_history.read(settings.warehouse)
    assert [(row["version"], row["published"], bool(row["rolled_back"])) for row in history] == [
        ("000001", True, False),
        ("000002", True, False),
        ("000001", True, True),
        ("000003", True, False),
    ]
    assert rollback(settings.warehouse).version.name == "000001"


def test_the_versions_that_were_current_last_are_kept(warehouse: Path) -> None:
    settings = load(warehouse=warehouse, keep_versions=2)
    published(settings, 1, 2)
    rollback(warehouse)

    published(settings, 3)

    assert on_disk(settings) == ["000001", "000003"]
    assert rollback(warehouse).version.name == "000001"


def test_it_goes_back_step_by_step_and_forward_by_name(settings: Settings) -> None:
    store = published(settings, 1, 2, 3)

    assert [rollback(settings.warehouse).version.name for _ in range(2)] == ["000002", "000001"]
    with pytest.raises(NotReady, match=r"no version before 000001 is kept; kept are 000002, 000003, which are newer"):
        rollback(settings.warehouse)
    assert rollback(settings.warehouse, "000003").place_of == "000001"
    assert states(store) == {"000001": "older", "000002": "rolled back", "000003": "current"}
    assert rollback(settings.warehouse).version.name == "000001"


def test_the_gate_compares_with_it_and_a_number_never_comes_twice(settings: Settings) -> None:
    store = published(settings, 1)
    user, movie, stars = camps(seed=2)
    fill(settings.warehouse, (user, movie, np.random.default_rng(1).permutation(stars)))
    spoiled = refit(settings, force=True)
    good = rollback(settings.warehouse).version

    strict = settings.model_copy(update={"gate_margin": 0.0})
    with pytest.raises(HeldBack):
        refit(strict)

    assert states(store) == {"000001": "current", spoiled.name: "rolled back", "000003": "held back"}
    data = training_data(RatingsStore(settings.warehouse))
    measured = measure(
        data, native.fit, models.load(good.model_path).settings, settings, models.load_measured(good.model_path)
    )
    assert measured
    held_back = store.held_back()
    assert held_back
    assert held_back["gate"]["last"] == measured.last
    with pytest.raises(UsageError, match="version 000003 was never published; kept are 000001"):
        rollback(settings.warehouse, "000003")
    assert refit(settings, force=True).name == "000004"
    assert on_disk(settings) == ["000001", "000002", "000004"]


def test_a_version_held_back_stays_so(settings: Settings) -> None:
    store = published(settings, 1, 2)
    user, movie, stars = camps(seed=3)
    fill(settings.warehouse, (user, movie, np.random.default_rng(1).permutation(stars)))
    with pytest.raises(HeldBack):
        refit(settings.model_copy(update={"gate_margin": 0.0}))
    before = store.held_back()

    rollback(settings.warehouse)

    assert before is not None
    assert store.held_back() == before
    assert states(store) == {"000001": "current", "000002": "rolled back", "000003": "held back"}


def test_ratings_that_came_before_it_call_for_no_refit(settings: Settings) -> None:
    published(settings, 1, 2)

    version = rollback(settings.warehouse).version

    accepted = RatingsStore(settings.warehouse).state().accepted
    assert (version.accepted < accepted, version.calls_from) == (True, accepted)
    assert refit(settings, force=True).calls_from == accepted


def test_the_current_one_is_nothing_to_do_but_its_link(settings: Settings) -> None:
    store = published(settings, 1, 2)
    before = (store.path / "CURRENT").read_bytes()
    (store.path / "latest").unlink()
    (store.path / "latest").symlink_to("version=000001")

    done = rollback(settings.warehouse, "000002")

    assert (done.version.name, done.place_of) == ("000002", None)
    assert (store.path / "CURRENT").read_bytes() == before
    assert (store.path / "latest").readlink() == Path("version=000002")


def test_what_is_not_kept_is_refused_with_what_is(settings: Settings) -> None:
    with pytest.raises(NotReady, match="nothing is published yet"):
        rollback(settings.warehouse)
    published(settings, 1)
    with pytest.raises(NotReady, match=r"no version before 000001 is kept\. The setting keep_versions"):
        rollback(settings.warehouse)
    published(settings, 2)

    with pytest.raises(UsageError, match=r"000007 is not kept; kept are 000001, 000002 \(current\)"):
        rollback(settings.warehouse, "000007")


def test_beside_a_refit_it_is_refused(settings: Settings) -> None:
    store = published(settings, 1, 2)
    lock = settings.warehouse / "run" / "refit.lock"

    with exclusive(lock, "A refit"), pytest.raises(Busy, match="wait for it to end"):
        rollback(settings.warehouse)

    assert store.current().name == "000002"


@pytest.mark.parametrize("harm", ["cut", "missing"])
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_version_is_refused(two_versions: Path, warehouse: Path, file: str, harm: str) -> None:
    shutil.copytree(two_versions, warehouse)
    store = RecommendationsStore(warehouse)
    before = (store.path / "CURRENT").read_bytes()
    path = warehouse / file
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        path.unlink()

    with pytest.raises(DamagedStore, match="version 000001 is not whole, so nothing was changed"):
        rollback(warehouse)

    assert (store.path / "CURRENT").read_bytes() == before


def test_versions_that_an_older_reelstream_published(settings: Settings) -> None:
    store = published(settings, 1, 2)
    value = json.loads((store.path / "CURRENT").read_bytes())
    for name in ("kept", "crc32"):
        del value[name]
    pointer.move(store.path / "CURRENT", value)
    path = store.models_path / "version=000001" / "model.json"
    model = {name: item for name, item in json.loads(path.read_bytes()).items() if name not in ("batch", "crc32")}
    pointer.move(path, model)
    assert store.kept() == ("000001", "000002")

    done = rollback(settings.warehouse)

    assert (done.version.name, done.version.batch) == ("000001", 0)
    assert store.kept() == ("000002", "000001")


def test_one_that_does_not_say_when_it_was_made(settings: Settings) -> None:
    store = published(settings, 1, 2)
    path = store.models_path / "version=000001" / "model.json"
    pointer.move(path, {name: item for name, item in models.info(path.parent).items() if name != "fitted_at"})

    with pytest.raises(UsageError, match="version 000001 is of an older reelstream"):
        rollback(settings.warehouse)
