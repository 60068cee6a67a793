from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import reelstream
from reelstream.als.factors import ModelSettings
from reelstream.batch.gate import GATE_FROM_USERS, GateMeasurement, reasons_against
from reelstream.batch.refit import refit
from reelstream.cli.main import app
from reelstream.errors import HeldBack
from reelstream.settings import Settings, load
from reelstream.store import run_files
from reelstream.store.adopted import adopt, place
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from tests.fixtures.camps import add, camps, fill

GOOD = {"ranked_users": 100, "ndcg_at_10": 0.3, "rmse": 0.9}


def measured(popularity: float = 0.2, last: dict[str, Any] | None = None, **changed: float) -> GateMeasurement:
    return GateMeasurement(
        None,  # type: ignore[arg-type]
        {**GOOD, "baselines": {"popularity": {"ndcg_at_10": popularity}}, **changed},
        last,
        None,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("what", "reasons"),
    [
        (measured(), 0),
        (measured(last=GOOD), 0),
        (measured(last={**GOOD, "ndcg_at_10": 0.315, "rmse": 0.86}), 0),
        (measured(last={**GOOD, "ndcg_at_10": 0.316}), 1),
        (measured(last={**GOOD, "rmse": 0.857}), 1),
        (measured(popularity=0.301), 1),
        (measured(popularity=0.301, last={"ndcg_at_10": 0.5, "rmse": 0.5}), 3),
        (measured(popularity=0.301, ranked_users=GATE_FROM_USERS - 1), 0),
        (None, 0),
    ],
)
def test_what_is_worse_by_more_than_the_margin_is_a_reason(what: GateMeasurement | None, reasons: int) -> None:
    assert len(reasons_against(what, 0.05)) == reasons


@pytest.fixture
def settings(warehouse: Path) -> Settings:
    """A hundred users' ratings, and one good version."""
    fill(warehouse, camps(n_users=100))
    settings = load(warehouse=warehouse)
    refit(settings)
    return settings


@pytest.fixture
def spoiled(settings: Settings) -> Path:
    """The settings of the next refits forget all taste; returns the file that holds them."""
    adopt(settings.warehouse, ModelSettings(ranking_regularization=1e9, rating_regularization=1e9), {})
    return place(settings.warehouse)


def test_a_worse_refit_is_held_back_and_told_and_the_next_good_one_replaces_it(
    settings: Settings, spoiled: Path
) -> None:
    published = RecommendationsStore(settings.warehouse)
    before, movies = published.current(), reelstream.open(settings.warehouse).recommend(1)

    with pytest.raises(HeldBack, match=r"version 000002 is held back.*nDCG@10.*RMSE.*last version.*--force"):
        refit(settings)

    assert published.current() == before
    assert reelstream.open(settings.warehouse).recommend(1) == movies
    assert [(v["version"], v["published"]) for v in published.versions()] == [("000001", True), ("000002", False)]
    assert (published.path / "version=000002" / "users" / "part-0.parquet").is_file()
    status = run_files.read(settings.warehouse, "refit")
    assert status is not None
    assert (status["state"], status["version"]) == ("held back", "000002")
    assert "nDCG@10" in status["reasons"][0]
    with pytest.raises(HeldBack, match="000003"):
        refit(settings)
    assert [v["version"] for v in published.versions()] == ["000001", "000003"]

    spoiled.unlink()
    assert refit(settings).name == "000004"
    assert [v["version"] for v in published.versions()] == ["000001", "000004"]


def test_force_publishes_it_all_the_same(settings: Settings, spoiled: Path) -> None:
    version = refit(settings, force=True)

    assert RecommendationsStore(settings.warehouse).current() == version
    assert version.info["gate"]["forced"] is True
    assert "nDCG@10" in version.info["gate"]["reasons"][0]


def test_the_first_version_is_never_held_back(warehouse: Path) -> None:
    fill(warehouse, camps(n_users=100))
    adopt(warehouse, ModelSettings(ranking_regularization=1e9, rating_regularization=1e9), {})

    assert refit(load(warehouse=warehouse)).name == "000001"


@pytest.mark.parametrize("scale", [(0.0, 100.0), (0.0, 1.0), (-10.0, 10.0)])
def test_the_gate_counts_on_every_scale_what_is_liked_there(warehouse: Path, scale: tuple[float, float]) -> None:
    user, movie, stars = camps(n_users=100)
    low, high = scale
    fill(warehouse, (user, movie, (low + (stars - stars.min()) / np.ptp(stars) * (high - low)).astype(np.float32)))

    metrics = refit(load(warehouse=warehouse, rating_min=low, rating_max=high)).info["metrics"]

    assert metrics["ranked_users"] > GATE_FROM_USERS
    assert metrics["ndcg_at_10"] > 1.5 * metrics["baselines"]["popularity"]["ndcg_at_10"]


def test_a_version_held_back_calls_for_no_refit_until_new_ratings_come(settings: Settings, spoiled: Path) -> None:
    from reelstream.stream.trigger import Trigger

    store = RatingsStore(settings.warehouse)
    add(store, (1, 3000, 5.0), (2, 3000, 4.0))
    trigger = Trigger(settings, lambda _: None)
    assert trigger._new_ratings() == 2
    with pytest.raises(HeldBack):
        refit(settings)

    assert trigger._new_ratings() == 0
    shutil.rmtree(settings.warehouse / "run")
    assert Trigger(settings, lambda _: None)._new_ratings() == 0
    add(store, (3, 3000, 5.0))
    assert trigger._new_ratings() == 1


def test_the_command_ends_with_its_own_code_and_the_trigger_takes_that_for_done(settings: Settings) -> None:
    from reelstream.cli.up import refit_in_child

    elsewhere = load(warehouse=settings.warehouse, rating_min=4.9)  # predictions are clipped to a scale that is wrong

    refit_in_child(elsewhere)(threading.Event())

    status = run_files.read(settings.warehouse, "refit")
    assert status is not None
    assert (status["state"], status["accepted"]) == ("held back", RatingsStore(settings.warehouse).state().accepted)
    assert "RMSE" in status["reasons"][0]
    told = CliRunner().invoke(app, ["status", "--warehouse", str(settings.warehouse)])
    assert "version 000002 is held back: RMSE" in told.output
    assert "adopted" not in told.output
    adopt(settings.warehouse, ModelSettings(), {})
    assert (
        "adopted model settings" in CliRunner().invoke(app, ["status", "--warehouse", str(settings.warehouse)]).output
    )
    again = CliRunner().invoke(app, ["refit", "--force", "--warehouse", str(settings.warehouse)])
    assert "Version 000003 published" in again.output
