"""SQL on a warehouse: what the views hold, that they hold together, and that a query reaches nothing else."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

import reelstream
from reelstream.api.sql import MODELS, VIEWS
from reelstream.errors import NotReady
from reelstream.events import RatingEvent
from reelstream.store.ratings import RatingsStore
from reelstream.store.schemas import QUALITY, RATINGS, REJECTS
from tests.fixtures.camps import add
from tests.fixtures.published import AS_OF, MARKUP, MATRIX, PULP_FICTION, TITLES, TOY_STORY, UNTITLED, publish


@pytest.fixture
def published(tmp_path: Path) -> Path:
    publish(tmp_path / "warehouse")
    return tmp_path / "warehouse"


def rows(warehouse: Path, query: str) -> list[tuple[object, ...]]:
    return reelstream.connect(warehouse).execute(query).fetchall()


def test_every_view_has_its_rows(published: Path) -> None:
    assert rows(published, "SELECT user_id, movie_id, rating FROM ratings ORDER BY ALL") == [
        (1, MATRIX, 4.0),
        (1, PULP_FICTION, 5.0),
        (2, PULP_FICTION, 3.0),
    ]
    assert rows(published, "SELECT user_id, rank, title FROM recommendations") == [
        (1, 1, TITLES[TOY_STORY]),
        (1, 2, TITLES[MARKUP]),
        (1, 3, None),
    ]
    assert rows(published, 'SELECT movie_id, similar_movie_id, score FROM "similar"') == [
        (PULP_FICTION, MARKUP, 0.75),
        (PULP_FICTION, UNTITLED, 0.5),
    ]
    assert dict(rows(published, "SELECT movie_id, title FROM movies")) == TITLES
    assert rows(published, "SELECT version, current, ratings, rmse, rmse_bias_only, refit_s FROM models") == [
        ("000001", True, 3, 0.8, 0.9, 1.5)
    ]
    assert rows(published, "SELECT count(*) FROM rejects") == rows(published, "SELECT count(*) FROM quality") == [(0,)]
    assert {name for (name,) in rows(published, "SHOW TABLES")} == set(VIEWS)


def test_a_rating_again_and_one_taken_back(published: Path) -> None:
    store = RatingsStore(published)
    add(store, (1, MATRIX, 1.0), (2, PULP_FICTION, None))  # type: ignore[arg-type]

    found = rows(published, "SELECT user_id, movie_id, rating FROM ratings ORDER BY ALL")

    assert found == [(1, MATRIX, 1.0), (1, PULP_FICTION, 5.0)]


def test_a_connection_stays_with_its_version(published: Path) -> None:
    connection = reelstream.connect(published)
    before = connection.execute("SELECT count(*) FROM ratings").fetchall()
    add(RatingsStore(published), (7, MATRIX, 1.0))

    assert connection.execute("SELECT count(*) FROM ratings").fetchall() == before == [(3,)]
    assert rows(published, "SELECT count(*) FROM ratings") == [(4,)]


def test_joins_and_times(published: Path) -> None:
    query = (
        'SELECT m.title, max(r.as_of) FROM recommendations r JOIN "movies" m USING (movie_id) WHERE rank = 1 GROUP BY 1'
    )

    assert rows(published, query) == [(TITLES[TOY_STORY], AS_OF)]


def test_an_empty_warehouse_has_empty_tables(tmp_path: Path) -> None:
    connection = reelstream.connect(tmp_path)

    for name in VIEWS:
        assert connection.execute(f'SELECT count(*) FROM "{name}"').fetchall() == [(0,)]
    for name, schema in {"ratings": RATINGS, "rejects": REJECTS, "quality": QUALITY, "models": MODELS}.items():
        assert [column for column, *_ in connection.execute(f"DESCRIBE {name}").fetchall()] == schema.names


def test_no_warehouse(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="there is no warehouse"):
        reelstream.connect(tmp_path / "mistyped")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM '{file}'",
        "SELECT * FROM glob('{directory}/*')",
        "SELECT * FROM parquet_metadata('{file}')",
        "COPY ratings TO '{directory}/out.csv'",
        "COPY ratings FROM '{file}'",
        "EXPORT DATABASE '{directory}/out'",
        "ATTACH '{directory}/out.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SELECT * FROM read_csv('http://127.0.0.1:1/x.csv')",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "SET temp_directory = '{directory}'",
        "SELECT * FROM a_variable",
        "SELECT * FROM duckdb_secrets()",
        "DELETE FROM ratings",
        "INSERT INTO movies VALUES (1, 'x', 'y')",
    ],
)
def test_a_query_reaches_nothing_else(published: Path, tmp_path: Path, query: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n")
    a_variable = [RatingEvent(1, 2, 3.0, 4)]
    there = sorted(tmp_path.rglob("*"))
    connection = reelstream.connect(published)

    with pytest.raises(duckdb.Error):
        connection.execute(query.format(file=secret, directory=tmp_path)).fetchall()

    assert a_variable
    assert sorted(tmp_path.rglob("*")) == there
