from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Reelstream
from tests.fixtures.published import MARKUP, PULP_FICTION, TITLES, TOY_STORY, publish


@pytest.fixture
def published(tmp_path: Path) -> Path:
    publish(tmp_path / "warehouse")
    return tmp_path / "warehouse"


def test_hidden_by_id_and_by_title_and_shown_again(reelstream: Reelstream, published: Path) -> None:
    at = ("--warehouse", published)
    assert reelstream("movies", "hidden", *at) == (0, "", "No movie is hidden.\n")

    said = reelstream("movies", "hide", PULP_FICTION, 99, "--title", "Toy Story", *at)
    assert said == (
        0,
        f"{TITLES[PULP_FICTION]} is hidden.\nmovie 99 is hidden.\n{TITLES[TOY_STORY]} is hidden.\n",
        "",
    )
    assert {(one["movie_id"], one["title"]) for one in reelstream("movies", "hidden", "--json", *at).json} == {
        (PULP_FICTION, TITLES[PULP_FICTION]),
        (99, None),
        (TOY_STORY, TITLES[TOY_STORY]),
    }
    table = reelstream("movies", "hidden", *at)
    assert table.code == 0
    assert TITLES[TOY_STORY] in table.out
    listed = reelstream("recommend", 1, "-n", 2, "--json", *at).json
    assert [movie["movie_id"] for movie in listed] == [MARKUP, *([] if len(listed) == 1 else [listed[1]["movie_id"]])]
    assert TOY_STORY not in {movie["movie_id"] for movie in listed}

    assert reelstream("movies", "show", TOY_STORY, "--json", *at).json == [
        {"movie_id": TOY_STORY, "title": TITLES[TOY_STORY], "hidden": False}
    ]
    assert reelstream("recommend", 1, "-n", 1, "--json", *at).json[0]["movie_id"] == TOY_STORY


def test_what_names_no_movie_is_refused(reelstream: Reelstream, published: Path, tmp_path: Path) -> None:
    at = ("--warehouse", published)
    assert reelstream("movies", "hide", *at) == (
        2,
        "",
        "reelstream: no movie is named; give ids, or titles with --title.\n",
    )
    unknown = reelstream("movies", "hide", "--title", "Nothing like it", *at)
    assert (unknown.code, unknown.out) == (2, "")
    assert reelstream("movies", "hide", 1, "--warehouse", tmp_path / "typo").code == 3
    assert not (tmp_path / "typo").exists()
    assert not (published / "movies" / "hidden.parquet").exists()
