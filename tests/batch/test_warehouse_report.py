"""`reelstream report`: a page that tells of a warehouse what its tables say, whatever is missing in it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import reelstream
from reelstream.batch.refit import refit
from reelstream.batch.report.warehouse_figures import WarehouseFigures, gather
from reelstream.batch.report.warehouse_page import page
from reelstream.cli.main import app
from reelstream.events import REASONS
from reelstream.settings import Settings, load
from reelstream.store.forget import forget
from reelstream.store.movies import MoviesStore
from reelstream.store.quality import QualityStore
from reelstream.store.quality_figures import SUMS, points
from reelstream.store.ratings import RatingsStore
from reelstream.store.rollback import rollback
from reelstream.store.schemas import QUALITY, RATINGS
from tests.fixtures.camps import FIRST_MOVIE, camps, fill
from tests.fixtures.rows import rejects

HOSTILE = ("<script>alert('x')</script>", "\" onmouseover='x' & {{ 7 * 7 }}", "\u202e<b>txet\u200f</b>")


@pytest.fixture
def settings(warehouse: Path) -> Settings:
    """Two versions, two rejects, live quality, and titles that would be markup, or a template, if they were not escaped."""
    settings = load(warehouse=warehouse, gate_margin=10)
    store = fill(warehouse, camps())
    store.append(RATINGS.empty_table(), rejects(b"x", b"y", offset=10_000), {"ratings": {0: 10_002}})
    titles = [f"{HOSTILE[i % 3]} ({1900 + i})" for i in range(80)]
    ids = list(range(FIRST_MOVIE, FIRST_MOVIE + 80))
    MoviesStore(warehouse).load(pa.table({"movie_id": ids, "title": titles, "genres": [""] * 80}))
    refit(settings)
    refit(settings)
    QualityStore(warehouse).append(
        pa.Table.from_pylist(
            [
                {
                    **{"started_at": at, "ended_at": at + 60_000, "version": "000001", "ratings": 4},
                    **dict.fromkeys(SUMS, 0),
                    **{"ratings": 4, "squared_error": 4.0, "bias_only_squared_error": 9.0, "liked": 2, "hits": 1},
                    **{"gain": 1.0, "gain_squares": 1.0},
                }
                for at in (0, 60_000)
            ],
            schema=pa.schema([(f.name, pa.int64() if pa.types.is_timestamp(f.type) else f.type) for f in QUALITY]),
        ).cast(QUALITY)
    )
    return settings


def said(figures: WarehouseFigures) -> str:
    """What stands on the page, tags removed and line breaks as spaces."""
    return " ".join(unescape(re.sub(r"<[^>]*>", "", page(figures))).split())


class Structure(HTMLParser):
    """Tags that are opened and not closed, and what a page loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "br", "path", "use", "image", "link"):
            self.open.append(tag)
        self.loaded += [
            value or "" for name, value in attrs if name in ("src", "href") and not (value or "").startswith("#")
        ]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag


def test_the_figures_are_those_of_the_tables(settings: Settings) -> None:
    figures = gather(settings, [7])

    user, _, stars = camps()
    came = figures.came_in
    assert (came["ratings"], came["users"], came["rejected"]) == (len(stars), len(np.unique(user)), 2)
    assert came["rejected_for"] == {"not_json": 2}
    assert came["mean_rating"] == pytest.approx(float(stars.mean()), abs=1e-5)
    assert dict(came["by_stars"]) == {float(value): int((stars == value).sum()) for value in np.unique(stars)}
    assert [row["version"] for row in figures.versions] == ["000001", "000002"]
    assert figures.live is not None
    assert (figures.live["rmse"], figures.live["bias_only_rmse"], figures.live["hit_rate"]) == (1.0, 1.5, 0.5)
    assert figures.freshness["stream"] == "never ran"
    api = reelstream.open(settings.warehouse)
    lists = api.recommendations()
    assert figures.catalogue is not None
    assert figures.catalogue["on_a_list"] == len(set(lists["movie_id"].to_pylist()))
    assert figures.catalogue["places_held"][0] == 0
    assert figures.catalogue["places_held"][-1] == 1
    [example] = figures.examples
    assert [movie["movie_id"] for movie in example["recommended"]] == [movie.movie_id for movie in api.recommend(7, 10)]
    assert {movie["rating"] for movie in example["loved"]} == {max(api.stars(7).values())}


def test_without_users_the_lists_of_typical_ones_are_shown(settings: Settings) -> None:
    counts = [one["ratings"] for one in gather(settings).examples]

    _, of_user = np.unique(camps()[0], return_counts=True)
    assert (counts[0], counts[-1]) == (of_user.min(), of_user.max())
    assert len(counts) == 3


def test_the_page_is_whole_and_loads_nothing(settings: Settings) -> None:
    text = page(gather(settings))

    structure = Structure(text)
    assert structure.open == []
    assert structure.loaded == []
    assert structure.tags.count("svg") == 8
    assert "script" not in structure.tags
    assert "not_json" in text
    assert "&lt;script&gt;alert" in text
    assert text.count('role="img" aria-label=') == 8


def test_titles_and_paths_stand_on_the_page_as_text(settings: Settings) -> None:
    figures = gather(settings)

    def titled(*titles: str | None) -> WarehouseFigures:
        movies = [{"movie_id": i, "title": title} for i, title in enumerate(titles)]
        loved = [{**movie, "rating": 4.5} for movie in movies]
        recommended = [{**movie, "predicted_rating": 4.25} for movie in movies]
        example = {"user_id": 7, "ratings": 1, "source": "refit", "loved": loved, "recommended": recommended}
        return replace(figures, warehouse=f"/tmp/{titles[0]}", popular=movies, examples=[example])

    text = page(titled(*HOSTILE, None))

    assert Structure(text).tags == Structure(page(titled("plain", "plain", "plain", "plain"))).tags
    assert [title for title in HOSTILE if title in text] == []
    assert [unescape(text).count(title) for title in HOSTILE] == [4, 3, 3]
    assert "<li>Movie 3</li>" in text
    assert '<li>Movie 3 <span class="note">4.5 ★</span></li>' in text
    assert '<li>Movie 3 <span class="note">expected 4.2 ★</span></li>' in text


def test_what_stands_out_is_said(settings: Settings) -> None:
    text = said(gather(settings))

    assert "2 events were rejected, 0." in text
    assert f"% of all, most of them for not_json: {REASONS['not_json']}." in text
    assert "The lists of version 2 find more of what people like next than a popularity list" in text
    assert "The stream never ran" in text


def test_a_rollback_is_told_with_its_reason_as_text(settings: Settings) -> None:
    rollback(settings.warehouse, reason=HOSTILE[0])
    figures = gather(settings)

    html = page(figures)

    assert Structure(html).open == []
    assert html.count("Version 1 was published again in place of version 2 on ") == 2
    assert "&lt;script&gt;alert(" in html
    assert HOSTILE[0] not in html
    assert "1 (again)" in said(figures)
    assert "The model was better in 2 of 2 versions" in said(figures)


def test_live_quality_is_shown_beside_both_baselines(settings: Settings) -> None:
    figures = gather(settings)
    text = page(figures)
    assert figures.live is not None
    assert "8 ratings, each predicted before it was learned from" in text
    assert "<td>50.00%</td><td>15.00% to 85.00%</td><td>0.00%</td><td>0.00%</td>" in text
    worse = {**figures.live, "bias_only_rmse": 0.5, "popular_hit_rate": 0.75}
    told = said(replace(figures, live=worse))
    assert "Live ratings are NOT predicted better than by the bias-only baseline: RMSE 1.000 against 0.500" in told
    assert "than the popular list: 50.00% against 75.00%" in told


def test_minutes_with_few_ratings_share_a_point() -> None:
    def row(at: int, ratings: int, rmse: float) -> dict[str, Any]:
        sums = dict.fromkeys(SUMS, 0.0) | {"ratings": ratings, "squared_error": ratings * rmse**2}
        return {"ended_at": f"2026-01-01T00:{at:02}:00+00:00", **sums}

    assert points([], "ratings") == []
    assert points([row(0, 0, 0.0)], "ratings") == []
    [one] = points([row(0, 30_000, 1.0), row(1, 1, 5.0)], "ratings")
    assert (one["ratings"], one["ended_at"][14:16]) == (30_001, "01")
    assert one["rmse"] == pytest.approx(((30_000 + 25) / 30_001) ** 0.5)
    many = points([row(at, 1, 1.0) for at in range(60)] * 10, "ratings")
    assert sum(point["ratings"] for point in many) == 600
    assert min(point["ratings"] for point in many) >= 20
    assert len(many) <= 30


def test_each_user_has_one_block_and_no_heading_is_empty(settings: Settings) -> None:
    text = page(gather(settings, [7, 2**63 - 1]))

    assert "&nbsp;" not in text
    headings = re.findall(r"<h3>(.*?)</h3>", text)
    assert headings == [f"User 7, {len(reelstream.open(settings.warehouse).stars(7)):,} ratings", *headings[1:]]
    assert headings[1:] == [f"User {2**63 - 1}, 0 ratings", "Popular"]
    assert "<ul></ul>" not in text
    assert text.count("<table>") == text.count("<caption>")


def test_rejects_that_are_gone_with_their_user(warehouse: Path) -> None:
    store = fill(warehouse, camps())
    store.append(RATINGS.empty_table(), rejects(b'{"user_id": 7, ', offset=10_000), {"ratings": {0: 10_001}})
    store.append(RATINGS.empty_table(), rejects(), {"ratings": {0: 10_002}}, [(7, 4_000_000_000_000)])
    forget(store)

    figures = gather(load(warehouse=warehouse))
    assert (figures.came_in["rejected"], figures.came_in["rejected_for"]) == (1, {})
    assert "1 event was rejected" in page(figures)


def test_a_version_without_metrics(settings: Settings) -> None:
    figures = gather(settings)
    unknown = dict.fromkeys(figures.versions[-1], None)
    for missing in ("rmse", "rmse_bias_only", "ndcg_at_10", "ndcg_at_10_popularity", "ratings"):
        last = {**figures.versions[-1], missing: None}
        assert Structure(page(replace(figures, versions=[last]))).open == []
    bare = {**unknown, "version": "000003", "published": True}
    assert "No refit had enough ratings" in page(replace(figures, versions=[bare]))


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("never ran", "The stream never ran: new ratings wait"),
        ("does not run", "The stream does not run: new ratings wait"),
        ("restarting", "The stream is restarting;"),
    ],
)
def test_a_stream_that_is_not_running_is_told(settings: Settings, state: str, words: str) -> None:
    figures = gather(settings)
    told = replace(figures, freshness={**figures.freshness, "stream": state})
    assert words in said(told)


def test_an_empty_warehouse_and_one_without_a_version(warehouse: Path) -> None:
    warehouse.mkdir()
    text = page(gather(load(warehouse=warehouse)))
    assert "No rating has come in yet" in text
    assert "No list is published yet" in text
    fill(warehouse, camps())
    text = page(gather(load(warehouse=warehouse)))
    assert "`reelstream refit` makes one" in text
    assert Structure(text).tags.count("svg") == 2


def test_the_command_writes_the_page_and_json(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "pages" / "movies.html"
    words = ["report", "--warehouse", str(settings.warehouse)]
    done = CliRunner().invoke(app, [*words, "--output", str(path), "--user", "7"])
    assert done.exit_code == 0, done.output
    assert str(path) in done.stdout.replace("\n", "")
    assert "User 7" in path.read_text("utf-8")
    value = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert value["came_in"]["ratings"] == RatingsStore(settings.warehouse).read().num_rows
    assert len(value["versions"]) == 2


def test_no_warehouse_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    from reelstream.errors import NotReady

    done = CliRunner().invoke(app, ["report", "--warehouse", str(tmp_path / "none")])
    assert isinstance(done.exception, NotReady)
