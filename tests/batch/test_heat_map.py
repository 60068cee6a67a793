"""The picture of a tune; what it says is read from the comments that name the texts of the SVG."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from reelstream.als.factors import ModelSettings
from reelstream.batch.evaluation.heat_map import draw
from reelstream.batch.evaluation.search_space import parse
from reelstream.batch.evaluation.trials import row, trials
from reelstream.batch.evaluation.tune import best_of

STARTED = datetime(2026, 1, 1, tzinfo=UTC)
BASE = ModelSettings(
    rating_rank=1,
    rating_regularization=0.07,
    rating_prior_count=50.0,
    rating_iterations=10,
    ranking_rank=1,
    ranking_regularization=0.006,
    ranking_nu=1.0,
    ranking_alpha0=0.3,
    ranking_power=2.0,
    ranking_iterations=10,
)
"""All that the trials here depend on, whatever the shipped defaults are."""


def rows_of(*words: str, n_random: int | None = None) -> list[dict[str, Any]]:
    """Rows of a tune; the figures count down from 0.9 and up from 0.1 in the order of the trials."""
    found = trials(parse(words), BASE, data="d", split="s", n_random=n_random)
    figures = {
        "rating": lambda i: {"rmse": 0.9 - i * 0.00137, "mae": 0.5},
        "ranking": lambda i: {"ndcg_at_10": 0.1 + i * 0.00137, "recall_at_10": 0.5},
    }
    return [row(trial, STARTED, **figures[trial.model](i)) for i, trial in enumerate(found)]


def picture(path: Path, rows: list[dict[str, Any]]) -> list[str]:
    """Its texts. It must be well-formed, and load nothing."""
    best = {model: best_of(rows, model) for model in {row["model"] for row in rows}}
    assert draw(rows, best, path) == path
    text = path.read_text("utf-8")
    for element in ElementTree.fromstring(text).iter():
        for name, value in element.attrib.items():
            assert not name.endswith("href") or value.startswith(("#", "data:"))
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    return [comment.strip() for comment in re.findall(r"<!-- (.*?) -->", text, re.DOTALL)]


def test_a_grid_is_a_panel_a_model_with_the_figure_in_each_cell(tmp_path: Path) -> None:
    rows = rows_of(
        "rating_rank=1,31",
        "rating_regularization=0.07,0.1",
        "ranking_alpha0=0.3,1",
        "ranking_power=0,2",
        "ranking_nu=1",
    )

    texts = picture(tmp_path / "heatmap.svg", rows)

    assert {"Rating model, 4 trials", "rank", "regularization (λ)", "0.07", "0.1", "1", "31"} <= set(texts)
    assert {"Ranking model, 4 trials", "alpha0 (α₀)", "power (p)", "0.3", "0", "2"} <= set(texts)
    assert {"RMSE on validation (lower is better)", "nDCG@10 on validation (higher is better)"} <= set(texts)
    assert {"0.9000", "0.8973", "0.8986", "0.8959", "0.1055", "0.1082", "0.1069", "0.1096"} <= set(texts)


def test_a_cell_shows_the_best_of_its_trials(tmp_path: Path) -> None:
    rows = rows_of("rating_rank=1,2,3", "rating_regularization=0.07,0.1,0.2", "rating_iterations=10,11")

    texts = picture(tmp_path / "heatmap.svg", rows)

    best_by_cell: dict[tuple[float, float], float] = {}
    for trial in rows:
        cell = trial["rating_rank"], trial["rating_regularization"]
        best_by_cell[cell] = min(trial["rmse"], best_by_cell.get(cell, 1.0))
    shown = {f"{value:.4f}" for value in best_by_cell.values()}
    assert shown <= set(texts)
    assert not {f"{trial['rmse']:.4f}" for trial in rows} & set(texts) - shown


def test_one_setting_is_a_line_and_a_random_search_is_points(tmp_path: Path) -> None:
    line = picture(tmp_path / "heatmap.svg", rows_of("ranking_rank=1,2,4"))
    assert {"rank", "1", "2", "4", "nDCG@10 on validation (higher is better)", "best: 0.1027"} <= set(line)

    points = picture(
        tmp_path / "heatmap.svg", rows_of("rating_regularization=0.01..1", "rating_prior_count=0..50", n_random=40)
    )
    assert {"regularization (λ)", "prior count (n₀)", "0.02", "0.2", "best: 0.8452"} <= set(points)


def test_nothing_varied_is_no_picture_and_an_old_one_goes(tmp_path: Path) -> None:
    path = tmp_path / "heatmap.svg"
    path.write_text("old")
    rows = rows_of("rating_rank=1")

    assert draw(rows, {"rating": rows[0]}, path) is None

    assert not path.exists()


@pytest.mark.parametrize("failed", [0, -1])
def test_trials_that_failed_are_left_out(tmp_path: Path, failed: int) -> None:
    rows = rows_of("rating_rank=1,2,3")
    rows[failed] |= {"rmse": None, "mae": None, "error": "too big"}

    assert "Rating model, 2 trials" in picture(tmp_path / "heatmap.svg", rows)


def test_the_same_rows_make_the_same_picture(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        picture(tmp_path / name / "heatmap.svg", rows_of("rating_rank=1,2", "rating_prior_count=50,60"))
    assert (tmp_path / "a" / "heatmap.svg").read_bytes() == (tmp_path / "b" / "heatmap.svg").read_bytes()
