"""Each example of docs/python-api.md, run as it stands there; only the warehouse's path is put in."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow as pa
import pytest

from reelstream.api.results import Rows
from reelstream.batch.refit import refit
from reelstream.settings import load
from reelstream.store.dismissed import DismissedStore
from reelstream.store.hidden_movies import HiddenMovies
from reelstream.store.movies import MoviesStore
from tests.fixtures.camps import camps, fill
from tests.fixtures.rows import dismissals

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "python-api.md").read_text("utf-8")
FIRST, *EXAMPLES = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
NAMES = ["Matrix, The (1999)", "Forrest Gump (1994)"]
IDS = [296, 318, 356, *range(1000, 1037)]


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("api") / "movies"
    user, movie, stars = camps(n_movies=40)
    fill(directory, (user, np.array(IDS)[movie - 1000], stars))
    titles = [*NAMES, *(f"Movie {i} (199{i % 10})" for i in range(38))]
    genres = ["Comedy|Drama" if i % 2 else "Drama" for i in range(40)]
    MoviesStore(directory).load(pa.table({"movie_id": IDS, "title": titles, "genres": genres}))
    HiddenMovies(directory).set([1036], hidden=True)
    DismissedStore(directory).append(dismissals((42, 1035, True, 1000)), 1)
    refit(load(warehouse=directory))
    return directory


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs_and_gives_something(warehouse: Path, example: str) -> None:
    names: dict[str, Any] = {}
    exec(FIRST.replace('"warehouse"', repr(str(warehouse))), names)
    for line in ast.parse(example.replace('"warehouse"', repr(str(warehouse)))).body:
        if isinstance(line, ast.Expr):
            given = eval(compile(ast.Expression(line.value), "example", "eval"), names)
            empty = (
                given.num_rows == 0 if isinstance(given, pa.Table) else len(given) == 0 if sized(given) else not given
            )
            assert not empty, ast.unparse(line)
        else:
            exec(compile(ast.Module([line], []), "example", "exec"), names)


def sized(value: Any) -> bool:
    return isinstance(value, Rows | dict | str | tuple | pandas.DataFrame | pandas.Series)


def test_rows_are_tables_of_the_same_rows(warehouse: Path) -> None:
    import reelstream

    rows = reelstream.open(warehouse).recommend(42, 5)
    assert isinstance(rows, Rows)
    table = rows.to_arrow()
    assert table["movie_id"].to_pylist() == [row.movie_id for row in rows]
    assert rows.to_pandas()["title"].tolist() == [row.title for row in rows]
    assert str(table.schema.field("as_of").type).startswith("timestamp")
