"""`reelstream sql`: one query in each format, a pipe, a prompt, and what is no query."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import Reelstream
from tests.fixtures.published import MARKUP, TITLES, publish

LIST = "SELECT rank, title, score FROM recommendations WHERE user_id = 1 ORDER BY rank"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    publish(tmp_path / "warehouse")
    return tmp_path / "warehouse"


def test_a_table(reelstream: Reelstream, published: Path) -> None:
    answer = reelstream("sql", LIST, "--warehouse", published)

    assert (answer.code, answer.err) == (0, "")
    assert [line.split() for line in answer.out.splitlines()] == [
        ["rank", "title", "score"],
        ["1", "Toy", "Story", "(1995)", "0.9"],
        ["2", *TITLES[MARKUP].split(), "0.5"],
        ["3", "—", "0.1"],
        ["3", "rows"],
    ]


def test_csv(reelstream: Reelstream, published: Path) -> None:
    answer = reelstream("sql", LIST, "--format", "csv", "--warehouse", published)

    assert answer.out.splitlines()[:2] == ["rank,title,score", "1,Toy Story (1995),0.8999999761581421"]
    assert answer.out.splitlines()[3].startswith("3,,0.1")


def test_json(reelstream: Reelstream, published: Path) -> None:
    query = "SELECT sum(rank) AS ranks, max(as_of) AS latest, avg(rank)::DECIMAL(4,2) AS mean FROM recommendations"

    answer = reelstream("sql", query, "--format", "json", "--warehouse", published)

    assert answer.json == [{"ranks": 6, "latest": "2026-01-02T03:04:05+00:00", "mean": 2}]


def test_files(reelstream: Reelstream, published: Path, tmp_path: Path) -> None:
    for form in ("parquet", "csv", "json", "table"):
        answer = reelstream("sql", LIST, "--format", form, "-o", tmp_path / f"out.{form}", "--warehouse", published)
        assert (answer.code, answer.out, answer.err) == (0, "", "")

    assert pq.read_table(tmp_path / "out.parquet")["rank"].to_pylist() == [1, 2, 3]
    assert (tmp_path / "out.csv").read_text().startswith("rank,title,score\n1,")
    assert reelstream("sql", LIST, "-o", tmp_path / "no" / "directory", "--warehouse", published).code == 2


def test_a_pipe(reelstream: Reelstream, published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("SELECT count(*) AS n FROM movies;\n"))

    assert reelstream("sql", "--format", "json", "--warehouse", published).json == [{"n": 4}]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT 1; SELECT 2", "one query is wanted, here are 2"),
        ("", "one query is wanted, here are 0"),
        ("CREATE TABLE t AS SELECT 1", "only queries are answered"),
        ("COPY ratings TO 'x.csv'", "only queries are answered"),
        ("SET threads = 1", "only queries are answered"),
        ("SELEC 1", "syntax error"),
        ("SELECT * FROM nowhere", "does not exist"),
        ("SELECT * FROM read_text('/etc/hostname')", "disabled"),
    ],
)
def test_what_is_no_query(reelstream: Reelstream, published: Path, query: str, said: str) -> None:
    answer = reelstream("sql", query, "--warehouse", published)

    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err


def test_no_warehouse(reelstream: Reelstream, tmp_path: Path) -> None:
    assert reelstream("sql", "SELECT 1", "--warehouse", tmp_path / "mistyped").code == 3


def test_long_answers_are_cut_on_the_terminal_alone(reelstream: Reelstream, published: Path) -> None:
    answer = reelstream("sql", "SELECT * FROM range(1000)", "--warehouse", published)

    assert len(answer.out.splitlines()) == 202
    assert "800 more rows" in answer.err


def test_the_prompt(published: Path) -> None:
    typed = "SELECT count(*)\nAS movies FROM movies;\nSELEC;\n.tables\nFROM nowhere;\nSELECT 40 + 2;\n.quit\n"
    screen = at_a_terminal(typed, "sql", "--warehouse", str(published))

    assert [word in screen for word in ("movies", "4", "syntax error", "a row for each version", "42")] == [True] * 5
    assert "nowhere does not exist" in screen


def at_a_terminal(typed: str, *words: str) -> str:
    """What a terminal shows of the command while the lines are typed; fails unless it ends by itself, and well."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-P", "-m", "reelstream", *words]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "dumb"})
    os.close(theirs)
    os.write(ours, typed.encode())
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # the terminal is closed with its last process
        pass
    os.close(ours)
    assert process.wait(60) == 0, shown
    return shown.decode()
