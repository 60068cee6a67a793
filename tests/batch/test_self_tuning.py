"""Which settings each refit of a warehouse has, and what its versions say of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reelstream.als.factors import ModelSettings
from reelstream.batch.refit import refit
from reelstream.batch.tuning import plan as plans
from reelstream.batch.tuning import search as module
from reelstream.cli.status import tuning_line
from reelstream.settings import Settings, load
from reelstream.store import models, version_history
from reelstream.store.adopted import adopt, forget
from reelstream.store.recommendations import Version
from tests.fixtures.camps import add, camps, fill


@pytest.fixture
def settings(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A warehouse of ratings on a scale for which the shipped settings are not made."""
    monkeypatch.setattr(module, "MOST_DRAWS", 8)
    monkeypatch.setattr(module, "ROUNDS", 1)
    monkeypatch.setattr(module, "FEW_FOLDS", 1)
    ranking = ("ranking_rank=8", "ranking_regularization=0.01..0.1", "ranking_alpha0=0.05..0.5", "ranking_power=0..1")
    monkeypatch.setitem(module.RANGES, "ranking", ranking)
    fill(warehouse, camps(n_users=100))
    return load(warehouse=warehouse, self_tuning=True, gate_margin=9.0)


def tuning(version: Version) -> dict[str, Any]:
    found: dict[str, Any] = version.info["tuning"]
    return found


def settings_of(version: Version) -> ModelSettings:
    return models.load(version.model_path).settings


def test_the_first_version_comes_at_once_the_second_searches_and_the_others_go_on(settings: Settings) -> None:
    first, second, third = refit(settings), refit(settings), refit(settings)

    assert [tuning(one)["how"] for one in (first, second, third)] == ["shipped", "search", "neighbours"]
    assert [tuning(one)["search_next"] for one in (first, second, third)] == [True, False, False]
    assert settings_of(first) == ModelSettings()
    changed = {name: value for row in tuning(second)["tried"] for name, value in row["adopted"].items()}
    assert changed, "the camps want other settings than MovieLens"
    assert ModelSettings().changed_in(settings_of(second)) == changed
    moved = {name for row in tuning(third)["tried"] for name in row["adopted"]}
    assert {*settings_of(second).changed_in(settings_of(third))} == moved
    assert "search for better settings" in second.info["seconds"]
    rows = version_history.read(settings.warehouse)
    assert [row["tuning"]["how"] for row in rows] == ["shipped", "search", "neighbours"]
    assert rows[1]["tuning"]["tried"] == tuning(second)["tried"]


def test_the_same_ratings_give_the_same_settings(settings: Settings, tmp_path: Path) -> None:
    other = settings.model_copy(update={"warehouse": tmp_path / "other"})
    fill(other.warehouse, camps(n_users=100))
    found = [(refit(one), refit(one), refit(one)) for one in (settings, other)]
    assert [settings_of(one) for one in found[0]] == [settings_of(one) for one in found[1]]


def test_what_was_adopted_wins_and_without_it_the_search_begins_anew(settings: Settings) -> None:
    refit(settings)
    chosen = ModelSettings(ranking_rank=9, rating_rank=3)
    adopt(settings.warehouse, chosen, {})
    version = refit(settings)
    assert (tuning(version)["how"], settings_of(version)) == ("adopted", chosen)

    forget(settings.warehouse)
    assert tuning(refit(settings))["how"] == "search"


def test_turned_off_it_tries_nothing(settings: Settings) -> None:
    off = settings.model_copy(update={"self_tuning": False})
    versions = refit(off), refit(off)
    assert [(tuning(one)["how"], tuning(one)["tried"]) for one in versions] == [("off", [])] * 2
    assert {settings_of(one) for one in versions} == {ModelSettings()}


def test_four_times_the_ratings_call_for_another_search(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    refit(settings)
    searched = tuning(refit(settings))["searched_ratings"]
    monkeypatch.setattr(plans, "GROWN", 1.02)
    user, movie, stars = camps(n_users=110, seed=4)
    new = np.flatnonzero(user > 100)
    from reelstream.store.ratings import RatingsStore

    assert len(new) > 0.02 * searched
    assert tuning(refit(settings))["how"] == "neighbours"
    add(
        RatingsStore(settings.warehouse),
        *zip(user[new].tolist(), movie[new].tolist(), stars[new].tolist(), strict=True),
    )
    again = tuning(refit(settings))
    assert (again["how"], again["searched_ratings"]) == ("search", searched + len(new))


def test_another_scale_holds_for_tuned_settings_too(settings: Settings) -> None:
    refit(settings), refit(settings)
    wider = settings.model_copy(update={"rating_max": 6.0})
    assert settings_of(refit(wider)).rating_max == 6.0


@pytest.mark.parametrize(
    ("tuned", "line"),
    [
        ({}, None),
        ({"how": "adopted", "tried": [], "search_next": False}, None),
        ({"how": "shipped", "tried": [], "search_next": True}, "With the shipped settings .* follows by itself"),
        (
            {"tried": [{"trials": 3, "adopted": {}}]},
            "^Tried 3 other settings of the models: none is better by more than chance.$",
        ),
        (
            {
                "tried": [
                    {"trials": 70, "adopted": {}},
                    {
                        **{"trials": 2, "of": "fold-in", "figure": "ndcg_at_10", "before": 0.1, "after": 0.12},
                        "adopted": {"ranking_user_power": 2.5},
                    },
                ]
            },
            r"^Tried 72 .*: fold-in, nDCG@10 0.100 → 0.120 with ranking_user_power 2.5.$",
        ),
    ],
)
def test_a_person_is_told_what_was_tried(tuned: dict[str, Any], line: str | None) -> None:
    import re

    found = tuning_line(tuned)
    assert found is None if line is None else re.search(line, found or "")
