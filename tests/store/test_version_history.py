"""The history of refits outlives the versions, a crash between, and its own file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reelstream.batch.refit import refit
from reelstream.errors import HeldBack
from reelstream.settings import Settings, load
from reelstream.store import models, pointer, version_history
from reelstream.store.version_history import read
from tests.fixtures.camps import camps, fill


def versions(warehouse: Path) -> list[tuple[str, bool]]:
    return [(row["version"], row["published"]) for row in read(warehouse)]


def info(at: str, **more: Any) -> dict[str, Any]:
    return {"fitted_at": at, "engine": "native", "ratings": 5, "users": 2, "movies": 3, "metrics": None, **more}


def test_nothing_was_refitted_yet(warehouse: Path) -> None:
    assert read(warehouse) == []


def test_each_refit_has_a_row_also_when_its_version_is_gone(warehouse: Path) -> None:
    settings = load(warehouse=warehouse, keep_versions=1, gate_margin=10)
    for seed in range(3):
        fill(warehouse, camps(seed=seed))
        refit(settings)

    rows = read(warehouse)
    assert versions(warehouse) == [("000001", True), ("000002", True), ("000003", True)]
    assert all(row["rmse"] > 0 and row["rmse_bias_only"] > 0 and row["refit_s"] > 0 for row in rows)
    assert all(0 <= row[name] <= 1 for row in rows for name in ("ndcg_at_10", "ndcg_at_10_popularity", "coverage"))
    assert [row["users"] for row in rows] == [60, 60, 60]


def held_back(settings: Settings) -> None:
    """A first version, and a second one that is held back."""
    fill(settings.warehouse, camps())
    refit(settings)
    user, movie, stars = camps(seed=1)
    fill(settings.warehouse, (user, movie, np.random.default_rng(1).permutation(stars)))
    with pytest.raises(HeldBack):
        refit(settings)


def test_one_that_is_held_back_is_in_it(warehouse: Path) -> None:
    held_back(load(warehouse=warehouse, gate_margin=0))

    assert versions(warehouse) == [("000001", True), ("000002", False)]


def test_what_a_crash_kept_out_is_written_down_before_the_next_refit_removes_it(warehouse: Path) -> None:
    settings = load(warehouse=warehouse, gate_margin=0, keep_versions=1)
    held_back(settings)
    (warehouse / "models" / "history.json").unlink()
    assert versions(warehouse) == [("000001", True), ("000002", False)]

    refit(settings, force=True)
    assert not (warehouse / "models" / "version=000001").exists()
    assert not (warehouse / "models" / "version=000002").exists()
    assert versions(warehouse) == [("000001", True), ("000002", False), ("000003", True)]


def test_a_refit_that_was_killed_is_no_row(warehouse: Path) -> None:
    settings = load(warehouse=warehouse, gate_margin=10)
    fill(warehouse, camps())
    refit(settings)
    shutil.copytree(warehouse / "models" / "version=000001", warehouse / "models" / "version=000002")
    assert versions(warehouse) == [("000001", True)]

    refit(settings)
    assert versions(warehouse) == [("000001", True), ("000003", True)]


def test_a_damaged_version_stops_no_refit(warehouse: Path) -> None:
    settings = load(warehouse=warehouse, gate_margin=10)
    fill(warehouse, camps())
    refit(settings)
    refit(settings)
    (warehouse / "models" / "version=000001" / "model.json").write_bytes(b"{")

    assert refit(settings).name == "000003"
    assert versions(warehouse) == [("000001", True), ("000002", True), ("000003", True)]


@pytest.mark.parametrize("value", [{}, {"rows": None}, {"rows": [1]}, {"rows": [{}]}])
def test_rows_of_another_shape_are_begun_anew(warehouse: Path, value: dict[str, Any]) -> None:
    fill(warehouse, camps())
    refit(load(warehouse=warehouse))
    pointer.move(warehouse / "models" / "history.json", value)

    assert versions(warehouse) == [("000001", True)]
    version_history.add(warehouse, "000002", info("2126-01-01T00:00:00+00:00"), published=True)
    assert versions(warehouse) == [("000001", True), ("000002", True)]


def test_it_holds_what_the_model_says_and_nothing_else(warehouse: Path) -> None:
    fill(warehouse, camps())
    version = refit(load(warehouse=warehouse))

    said, [row] = models.info(version.model_path), read(warehouse)
    metrics = said["metrics"]
    assert row == {
        "version": "000001",
        "published": True,
        "at": version.as_of.isoformat(),
        "engine": "native",
        "ratings": said["ratings"],
        "users": 60,
        "movies": 80,
        "rmse": metrics["rmse"],
        "rmse_bias_only": metrics["baselines"]["bias_only"]["rmse"],
        "ndcg_at_10": metrics["ndcg_at_10"],
        "ndcg_at_10_popularity": metrics["baselines"]["popularity"]["ndcg_at_10"],
        "coverage": metrics["coverage"],
        "refit_s": said["seconds"]["all"],
        "tuning": {"how": "off", "tried": []},
        "rolled_back": None,
    }


@pytest.mark.parametrize("content", [b"", b"{", b'{"format": 2, "rows": []}'])
def test_a_damaged_file_is_begun_anew_from_what_is_on_disk(warehouse: Path, content: bytes) -> None:
    fill(warehouse, camps())
    refit(load(warehouse=warehouse))
    file = warehouse / "models" / "history.json"
    file.write_bytes(content)
    assert versions(warehouse) == [("000001", True)]
    file.unlink()
    assert versions(warehouse) == [("000001", True)]

    refit(load(warehouse=warehouse, gate_margin=10))
    assert versions(warehouse) == [("000001", True), ("000002", True)]


def test_a_number_that_comes_again_is_another_refit(warehouse: Path) -> None:
    version_history.add(warehouse, "000002", info("2026-01-01T00:00:00+00:00"), published=False)
    version_history.add(warehouse, "000002", info("2026-01-02T00:00:00+00:00"), published=True)
    version_history.add(warehouse, "000002", info("2026-01-02T00:00:00+00:00"), published=True)

    assert versions(warehouse) == [("000002", False), ("000002", True)]


def test_the_oldest_rows_go(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version_history, "MAX_ROWS", 2)
    for day in (1, 2, 3):
        version_history.add(warehouse, f"{day:06d}", info(f"2026-01-0{day}"), published=True)

    assert versions(warehouse) == [("000002", True), ("000003", True)]
