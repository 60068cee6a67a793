"""Titles, events, ids and topics that would do harm: the terminal shows them, and no file is made of them."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from reelstream.cli.options import err, print_table
from reelstream.store.movies import MoviesStore
from reelstream.store.ratings import RatingsStore
from tests.cli.conftest import Answer, Reelstream
from tests.fixtures import published
from tests.fixtures.rows import ratings, rejects

TITLE = "\x1b]0;owned\x07\x1b[2JPulp\x08\x7f \x9b31mFiction\r (1994)"
SHOWN = "␛]0;owned␛[2JPulp␡ �31mFiction (1994)"  # rich itself drops \a, \b and \r


@pytest.fixture
def hostile(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(published.TITLES, published.PULP_FICTION, TITLE)
    monkeypatch.setitem(published.TITLES, published.TOY_STORY, TITLE + " 2")
    published.publish(warehouse)
    store = RatingsStore(warehouse)
    store.append(ratings(), rejects(TITLE.encode(), b"\x1b\x9b2J\xff"), {})
    return warehouse


def controls(answer: Answer) -> set[str]:
    return {letter for letter in answer.out + answer.err if unicodedata.category(letter) == "Cc"} - {"\n"}


@pytest.mark.parametrize(
    "words",
    [
        ("recommend", 1),
        ("popular",),
        ("similar", published.PULP_FICTION),
        ("predict", 1, published.PULP_FICTION),
        ("predict", 1, "Fiction"),
        ("predict", 1, TITLE + "?"),
        ("rejects",),
        ("status",),
    ],
)
def test_the_terminal_gets_no_control_characters(
    hostile: Path, reelstream: Reelstream, words: tuple[object, ...]
) -> None:
    answer = reelstream(words[0], "--warehouse", hostile, *words[1:])
    assert answer.out + answer.err
    assert not controls(answer)
    as_json = reelstream(words[0], "--warehouse", hostile, "--json", *words[1:])
    assert not controls(as_json)


def test_it_sees_what_is_there(hostile: Path, reelstream: Reelstream) -> None:
    predicted = reelstream("predict", "--warehouse", hostile, 1, published.PULP_FICTION)
    assert SHOWN in predicted.out
    as_json = reelstream("predict", "--warehouse", hostile, 1, published.PULP_FICTION, "--json")
    assert json.loads(as_json.out)["title"] == TITLE == MoviesStore(hostile).titles().titles[1].as_py()


def test_colours_still_reach_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(err, "_force_terminal", True)
    monkeypatch.setattr(err, "_color_system", err._color_system or 1)
    err.print("\x1b[2J", style="red", markup=False)
    shown = capsys.readouterr().err
    assert "␛[2J" in shown
    assert shown.startswith("\x1b[31m")
    print_table("\x1b", ("title",), [("\x1b",)])
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("user", ["../../etc/passwd", "..", "/", "007x", "-1", str(2**63), "1e3", "1\n2", "9" * 40])
def test_a_user_is_a_number_or_nothing(hostile: Path, reelstream: Reelstream, user: str) -> None:
    before = {path for path in hostile.parent.rglob("*") if path.name != "run"}
    for words in (
        ("rate", "--warehouse", hostile, "--", user, "1=5"),
        ("recommend", "--warehouse", hostile, "--", user),
    ):
        answer = reelstream(*words)
        assert answer.code == 2 or (words[0] == "recommend" and user == "-1"), answer
        assert "Traceback" not in answer.err
    assert {path for path in hostile.parent.rglob("*") if path.name != "run"} == before


@pytest.mark.parametrize("topic", ["../outside", "a/b", "", "x" * 250, "a\n", "a\0", "ä"])
def test_a_topic_is_a_name_that_kafka_could_have(reelstream: Reelstream, warehouse: Path, topic: str) -> None:
    answer = reelstream("up", "--warehouse", warehouse, "--topic", topic)
    assert answer.code == 2
    assert answer.err.startswith("reelstream: topic: ")
    assert not warehouse.exists()


@pytest.mark.parametrize("topic", [".", ".."])
def test_a_topic_that_only_kafka_refuses(
    reelstream: Reelstream, hostile: Path, topic: str, bootstrap_servers: str
) -> None:
    given = ("--warehouse", hostile, "--bootstrap-servers", bootstrap_servers)
    answer = reelstream("rate", *given, "--topic", topic, "1", "1=5")
    assert answer.code == 2
    assert f"refuses topic {topic} (InvalidTopicError)" in answer.err
