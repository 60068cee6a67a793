"""SQL: DuckDB on the warehouse, as one consistent version.

In: a warehouse. Out: a DuckDB connection with the tables of VIEWS. Next: queries, from Python or by `reelstream sql`.

    import reelstream
    reelstream.connect("warehouse").sql("SELECT title, count(*) FROM ratings JOIN movies USING (movie_id) GROUP BY 1")

The tables are read when `connect` is called, with all their checksums, and stay as they were then: two queries on one
connection never see two versions. They are held in memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from reelstream.api.table_filter import shown_lists, shown_similar
from reelstream.api.warehouse import existing
from reelstream.store import new_movies, version_history
from reelstream.store.dismissed import DismissedStore
from reelstream.store.hidden_movies import HiddenMovies
from reelstream.store.movies import MoviesStore, Titles
from reelstream.store.pointer import consistent
from reelstream.store.quality import QualityStore
from reelstream.store.rating_rows import latest
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from reelstream.store.schemas import SIMILAR, USERS

VIEWS = {
    "ratings": "the latest rating of each user and movie",
    "recommendations": "the newest list of each user",
    "similar": 'the nearest movies of each movie; a word of SQL, so write "similar"',
    "movies": "titles and genres",
    "hidden": "movies that no list has, and since when",
    "dismissed": "movies that a user is not interested in, and since when",
    "models": "a row for each version on disk, with its metrics",
    "rejects": "rejected events, and why",
    "quality": "how well live ratings were predicted, a row a minute",
}
"""Every table of a connection, with its meaning."""

MODELS = pa.schema(
    [
        ("version", pa.string()),
        ("published", pa.bool_()),
        ("current", pa.bool_()),
        ("engine", pa.string()),
        ("ratings", pa.int64()),
        ("users", pa.int64()),
        ("movies", pa.int64()),
        ("rmse", pa.float64()),
        ("rmse_bias_only", pa.float64()),
        ("ndcg_at_10", pa.float64()),
        ("ndcg_at_10_popularity", pa.float64()),
        ("coverage", pa.float64()),
        ("refit_s", pa.float64()),
    ]
)
"""The metrics are null where there were too few ratings to hold some out."""

_CLOSED = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "temp_directory": "",
    "python_enable_replacements": "false",
}
"""No file, no network, no extension and no variable of the caller is within a query's reach."""


def connect(warehouse: str | Path) -> duckdb.DuckDBPyConnection:
    """A connection with the tables of VIEWS. What is not there yet is an empty table.

    A query reaches nothing else: no file, no network. Raises NotReady if there is no warehouse at this path, DamagedStore
    if a table cannot be read.
    """
    path = existing(warehouse)
    tables = consistent(lambda: _tables(path))
    connection = duckdb.connect(":memory:", config=dict(_CLOSED))
    for name, table in tables.items():
        connection.register(name, table)
    connection.execute("SET lock_configuration = true")
    return connection


def _tables(warehouse: Path) -> dict[str, pa.Table]:
    published, ratings = RecommendationsStore(warehouse), RatingsStore(warehouse)
    state, version = ratings.state(), published.current_or_none()
    movies = MoviesStore(warehouse).read()
    titles = Titles.of_table(movies)
    hidden, dismissed = HiddenMovies(warehouse), DismissedStore(warehouse)
    away = hidden.ids()
    lists, similar = USERS.empty_table(), SIMILAR.empty_table()
    if version:
        lists = titles.put_into(shown_lists(published.read_users(version), away, dismissed.now()))
        similar = pa.concat_tables([published.read("similar", version), new_movies.read_similar(version)])
        similar = shown_similar(similar, away)
        similar = titles.put_into(similar, "similar_movie_id")
    ids = ratings.ids.now()
    tables = {
        "ratings": latest(ratings.read(state)),
        "recommendations": lists,
        "similar": similar,
        "movies": movies,
        "hidden": hidden.hidden().select(["movie_id", "changed_at"]).rename_columns(["movie_id", "hidden_at"]),
        "dismissed": dismissed.table(),
        "models": _models(published.versions(), version.name if version else None),
        "rejects": ratings.read_rejects(state),
        "quality": QualityStore(warehouse).read(),
    }
    return {name: ids.shown(table) for name, table in tables.items()}


def _models(versions: list[dict[str, Any]], current: str | None) -> pa.Table:
    rows = [
        {
            **version_history.row_of(info["version"], info, published=info["published"]),
            "current": info["version"] == current,
        }
        for info in versions
    ]
    return pa.Table.from_pylist(rows, MODELS)
