"""`rollback`: its exact words, its JSON, and `status` after it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reelstream.batch.refit import refit
from reelstream.settings import load
from reelstream.store.recommendations import RecommendationsStore
from tests.cli.conftest import Reelstream
from tests.fixtures.camps import FIRST_MOVIE, add, camps, fill

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"


@pytest.fixture
def two(warehouse: Path) -> Path:
    """Two versions, and a rating and a user that neither has seen."""
    for seed in (1, 2):
        store = fill(warehouse, camps(seed=seed))
        refit(load(warehouse=warehouse), force=True)
    add(store, (1, FIRST_MOVIE, 5.0), (999, FIRST_MOVIE, 5.0))
    return warehouse


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines()]


def test_it_says_what_took_whose_place(reelstream: Reelstream, two: Path) -> None:
    answer = reelstream("rollback", "--warehouse", two, "--reason", " too [red]many[/] sequels ")

    assert (answer.code, answer.err) == (0, "")
    first, second = lines(answer.out)
    assert re.fullmatch(
        rf"Version 000001, of {TIME}, was published again in place of 000002 at {TIME}\.",
        first,
    )
    assert second == "Who has rated since it was made has a fresh list by it."
    status = lines(reelstream("status", "--warehouse", two).out)
    assert "           version 000001 was published again in place of 000002: too [red]many[/] sequels" in status
    assert "           also on disk: 000002 (rolled back); `reelstream rollback` publishes one of them again" in status


@pytest.mark.parametrize("name", ["1", "000001", "version=000001"])
def test_as_json_with_fresh_lists_where_no_stream_runs(reelstream: Reelstream, two: Path, name: str) -> None:
    value = reelstream("rollback", name, "--warehouse", two, "--json").json

    version = RecommendationsStore(two).current()
    assert value == {
        "version": "000001",
        "changed": True,
        "published_at": version.published_at.isoformat(),
        "as_of": version.as_of.isoformat(),
        "rolled_back": {"from": "000002", "to": "000001", "reason": None},
        "lists_fresh": True,
    }
    movies = reelstream("recommend", 999, "--warehouse", two, "--json").json
    assert {(movie["source"], movie["version"]) for movie in movies} == {("fold_in", "000001")}
    assert FIRST_MOVIE not in [movie["movie_id"] for movie in movies]


def test_the_current_one_is_no_error(reelstream: Reelstream, two: Path) -> None:
    said = reelstream("rollback", 2, "--warehouse", two)
    value = reelstream("rollback", 2, "--warehouse", two, "--json").json

    assert said == (0, "Version 000002 is the current one already; nothing was changed.\n", "")
    assert (value["changed"], value["rolled_back"]) == (False, None)


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        (
            "9",
            2,
            "version 000009 is not kept; kept are 000001, 000002 (current). `reelstream rollback --list` shows them.",
        ),
        ("two", 2, "'two' is no version; `reelstream rollback --list` shows those on disk, such as 000003."),
        ("-1", 2, None),
    ],
)
def test_what_is_no_version(reelstream: Reelstream, two: Path, name: str, code: int, words: str | None) -> None:
    answer = reelstream("rollback", name, "--warehouse", two)

    assert answer.code == code
    assert words is None or answer.err == f"reelstream: {words}\n"


def test_the_list_says_which_can_be_published(reelstream: Reelstream, two: Path) -> None:
    def shown() -> tuple[list[list[str]], str]:
        _, _, *rows, last = lines(reelstream("rollback", "--list", "--warehouse", two).out)
        return [re.split(r"  +", row.strip())[:2] for row in rows], last

    assert shown() == (
        [["000001", "older"], ["000002", "current"]],
        "`reelstream rollback` publishes 000001 again.",
    )
    reelstream("rollback", "--warehouse", two)
    assert shown() == (
        [["000001", "current"], ["000002", "rolled back"]],
        "None is older than the current one; `reelstream rollback VERSION` publishes another one.",
    )
    value = reelstream("rollback", "--list", "--json", "--warehouse", two).json
    assert value["default"] is None
    assert [(row["version"], row["state"], row["rmse"] > 0) for row in value["versions"]] == [
        ("000001", "current", True),
        ("000002", "rolled back", True),
    ]


def test_where_nothing_is_published(reelstream: Reelstream, warehouse: Path) -> None:
    assert reelstream("rollback", "--warehouse", warehouse).code == 3
    fill(warehouse, camps())
    answer = reelstream("rollback", "--warehouse", warehouse)
    assert (answer.code, answer.err.split(";")[0]) == (3, "reelstream: nothing is published yet")
    listed = reelstream("rollback", "--list", "--warehouse", warehouse)
    assert lines(listed.out)[-1] == "There is no other version to publish."
