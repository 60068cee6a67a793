"""Every query of the README, run as it stands there against a real warehouse; only the warehouse's path is put in.

A block's answer is the value of its last expression. Whatever engine gives it, it holds the lists of
`reelstream.open(warehouse).recommend()`: a block that reads `users/` alone those of the refit, any other the newest.
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from typer.testing import CliRunner

import reelstream
from reelstream.batch.refit import refit
from reelstream.cli.main import app
from reelstream.settings import load
from reelstream.store.ratings import RatingsStore
from reelstream.store.schemas import RATINGS, REJECTS
from reelstream.stream.fold_in import FoldInStage

ROOT = Path(__file__).resolve().parents[1]
USER, NEW_USER, USERS, MOVIES = 42, 1000, 60, 40

SECTION = re.search(r"^### 3\. Query.*?(?=^## )", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
assert SECTION, "the README has no section '### 3. Query …'"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", SECTION[0], re.MULTILINE | re.DOTALL)
QUERIES = [(language, text) for language, text in BLOCKS if language in ("python", "sql")]
COMMANDS = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines() if line]

Lists = dict[int, list[tuple[int, int]]]
"""user_id → (rank, movie_id) of each place."""


@dataclass(frozen=True)
class Filled:
    """A warehouse, the lists of its refit, and the newest ones."""

    path: Path
    of_refit: Lists
    newest: Lists


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """Sixty users in two camps, a refit, then micro-batches enough that files in `updates/` were compacted."""
    settings = load(warehouse=tmp_path_factory.mktemp("queries") / "movies")
    store = RatingsStore(settings.warehouse)
    pairs = [
        (user, movie)
        for user in range(1, USERS + 1)
        for movie in range(1, MOVIES + 1)
        if (user + movie) % 2 == 0 and (user * 7 + movie * 3) % 5
    ]
    store.append(rows(pairs), REJECTS.empty_table(), {"ratings": {0: len(pairs)}})
    version = refit(settings)
    of_refit = lists_of(settings.warehouse)

    fold_in, offset = FoldInStage(settings), len(pairs)
    fold_in.refresh()
    for number in range(10):
        more = rows([(USER, 1 + 2 * number), (NEW_USER, 2 + 2 * number), (1 + number, 2 + 3 * number)], offset)
        offset += more.num_rows
        state = store.append(more, REJECTS.empty_table(), {"ratings": {0: offset}})
        assert fold_in.fold(more, state.batch).users == 3
        fold_in.compact()
    newest = lists_of(settings.warehouse)

    files = list((version.path / "updates").glob("*.parquet"))
    assert len(files) > 10, "the folded files and what they were folded from stand beside each other"
    assert newest[USER] != of_refit[USER]
    assert NEW_USER in newest
    assert NEW_USER not in of_refit
    return Filled(settings.warehouse, of_refit, newest)


@pytest.mark.parametrize(("language", "text"), QUERIES, ids=[" ".join(text.split())[:60] for _, text in QUERIES])
def test_the_query_gives_the_lists(language: str, text: str, filled: Filled, spark: SparkSession) -> None:
    assert "warehouse" in text
    written = re.sub(r"(?<=[\"'])warehouse(?=[/\"'])", str(filled.path), text)
    assert written != text, "the query names the warehouse in quotes"

    got = as_lists(duckdb.sql(written) if language == "sql" else value_of(written))

    expected = filled.of_refit if "latest/users" in text else filled.newest
    only_one = re.search(rf"\b{USER}\b", text)
    places = 10 if ".recommend(" in text else None  # its default
    assert got == ({USER: expected[USER][:places]} if only_one else expected)


def test_each_engine_has_a_plain_and_a_merged_query() -> None:
    for engine in ("pandas", "polars", "pyspark", "SELECT"):
        texts = [text for _, text in QUERIES if engine in text]
        assert sum("latest/users" in text for text in texts) == 1, engine
        assert sum("latest/u*" in text for text in texts) == 1, engine


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_gives_the_newest_list(command: str, filled: Filled) -> None:
    name, *words = command.split()
    assert name == "reelstream"
    ran = CliRunner().invoke(app, words, env={"REELSTREAM_WAREHOUSE": str(filled.path)})
    assert ran.exit_code == 0, ran.output
    if "--json" in words:
        movies = json.loads(ran.stdout)
        assert [(movie["rank"], movie["movie_id"]) for movie in movies] == filled.newest[USER][: len(movies)]
    else:
        assert f"For user {USER}" in ran.stdout


def test_the_merged_queries_do_without_updates(tmp_path: Path, filled: Filled, spark: SparkSession) -> None:
    """Before anybody rates, there is no `updates/`: the queries then give the lists of the refit."""
    users = pq.read_table(filled.path / "recommendations" / "latest" / "users")
    fresh = tmp_path / "movies" / "recommendations" / "latest" / "users"
    fresh.mkdir(parents=True)
    pq.write_table(users, fresh / "part-0.parquet")
    for language, text in QUERIES:
        if "latest/u*" in text:
            written = text.replace("warehouse/", f"{tmp_path / 'movies'}/")
            assert as_lists(duckdb.sql(written) if language == "sql" else value_of(written)) == filled.of_refit


def test_every_parquet_file_is_documented(filled: Filled) -> None:
    """The tables that no schema in the code describes too: docs/tables.md names the columns that are on disk."""
    page = (ROOT / "docs" / "tables.md").read_text("utf-8")
    documented = {
        tuple(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", section, re.MULTILINE))
        for section in re.split(r"^## ", page, flags=re.MULTILINE)
    }
    for path in sorted(filled.path.glob("[!.]*/**/*.parquet")):
        columns = tuple((field.name, re.sub(r"\[\d+\]$", "[K]", str(field.type))) for field in pq.read_schema(path))
        assert columns in documented, path.relative_to(filled.path)


def value_of(source: str) -> Any:
    """Runs the source; the value of the expression that it ends with."""
    *before, last = ast.parse(source).body
    assert isinstance(last, ast.Expr), "the block ends with its answer"
    names: dict[str, Any] = {}
    exec(compile(ast.Module(before, []), "README.md", "exec"), names)
    return eval(compile(ast.Expression(last.value), "README.md", "eval"), names)


def as_lists(answer: Any) -> Lists:
    """Any engine's answer. Ranks must be there once; the order of the rows is the engine's own."""
    if isinstance(answer, DataFrame | duckdb.DuckDBPyRelation):
        table = answer.toArrow() if isinstance(answer, DataFrame) else answer.to_arrow_table()
        found = table.select(["user_id", "rank", "movie_id"]).to_pylist()
    elif isinstance(answer, pa.Table):
        found = answer.to_pylist()
    elif isinstance(answer, polars.DataFrame):
        found = answer.to_dicts()
    elif isinstance(answer, pandas.DataFrame):
        found = answer.to_dict("records")
    else:
        found = [{"user_id": USER, "rank": movie.rank, "movie_id": movie.movie_id} for movie in answer]
    lists: Lists = {}
    for row in sorted(found, key=lambda row: (row["user_id"], row["rank"])):
        lists.setdefault(row["user_id"], []).append((row["rank"], row["movie_id"]))
    return lists


def lists_of(warehouse: Path) -> Lists:
    """What the API says of every user that has rated."""
    users = np.unique(RatingsStore(warehouse).read(columns=["user_id"])["user_id"].to_numpy()).tolist()
    recommender = reelstream.open(warehouse)
    movies = {user: recommender.recommend(user, load(warehouse=warehouse).top_n) for user in users}
    return {user: [(movie.rank, movie.movie_id) for movie in found] for user, found in movies.items()}


def rows(pairs: list[tuple[int, int]], offset: int = 0) -> pa.Table:
    """Ratings (user, movie) at consecutive offsets, the stars by the two's numbers."""
    n = len(pairs)
    return pa.table(
        {
            "user_id": [user for user, _ in pairs],
            "movie_id": [movie for _, movie in pairs],
            "rating": [3.0 + (user + movie) % 5 / 2 for user, movie in pairs],
            "rated_at": pa.array(range(offset, offset + n), pa.int64()).cast(pa.timestamp("ms", tz="UTC")),
            "topic": ["ratings"] * n,
            "partition": [0] * n,
            "offset": range(offset, offset + n),
        }
    ).cast(RATINGS)
