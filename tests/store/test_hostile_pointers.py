"""A pointer that names something outside its directory: reads say it is damaged, and nothing out there is read or deleted."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reelstream.errors import DamagedStore
from reelstream.store import log, pointer
from reelstream.store.movies import MoviesStore
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore, Version
from reelstream.store.schemas import MOVIES, POPULAR, SIMILAR
from reelstream.store.updates import Updates
from tests.fixtures.rows import lists, ratings, rejects

OUTSIDE = "secret.parquet"
TABLE = pa.table({"secret": [1]})


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A Parquet file beside the warehouse, and a directory with one."""
    for path in (tmp_path / OUTSIDE, tmp_path / "directory" / "part-0.parquet"):
        path.parent.mkdir(exist_ok=True)
        pq.write_table(TABLE, path)
    return tmp_path / OUTSIDE


def renamed(value: Any, old: str, new: str) -> Any:
    """The JSON value with each string `old` replaced."""
    if isinstance(value, dict):
        return {key: renamed(item, old, new) for key, item in value.items()}
    if isinstance(value, list):
        return [renamed(item, old, new) for item in value]
    return new if value == old else value


def hostile(path: Path, old: str, new: str) -> None:
    """Rewrites a pointer as a writer would, with another name in it."""
    before = json.loads(path.read_bytes())
    after = renamed(before, old, new)
    assert after != before
    pointer.move(path, {key: value for key, value in after.items() if key not in ("format", "crc32")})


@pytest.mark.parametrize("name", ["../../directory", "/etc", "..", "batch=000000000001/../../../directory"])
@pytest.mark.parametrize("kind", ["ratings", "rejects"])
def test_ratings(warehouse: Path, secret: Path, kind: str, name: str) -> None:
    store = RatingsStore(warehouse)
    row = (ratings((1, 2, 3.0)), rejects()) if kind == "ratings" else (ratings(), rejects(b"no event"))
    store.append(*row, {"ratings": {0: 1}})
    hostile(warehouse / "ratings" / "CURRENT", "batch=000000000001", name)

    acts: list[Callable[[], object]] = [store.state, store.read, store.read_rejects, store.compact]
    for act in acts:
        with pytest.raises(DamagedStore):
            act()
    assert pq.read_table(secret.parent / "directory").equals(TABLE)


@pytest.mark.parametrize("name", ["../../" + OUTSIDE, "/etc/passwd", ".."])
def test_requests_to_be_forgotten(warehouse: Path, secret: Path, name: str) -> None:
    store = RatingsStore(warehouse)
    state = store.append(ratings((1, 2, 3.0)), rejects(), {"ratings": {0: 2}}, forget=[(1, 2000)])
    hostile(warehouse / "ratings" / "CURRENT", state.forgotten or "", name)

    again = RatingsStore(warehouse)
    for act in (again.state, again.forgotten, again.compact):
        with pytest.raises(DamagedStore):
            act()
    assert pq.read_table(secret).equals(TABLE)


@pytest.mark.parametrize("name", ["../../../directory", "000001/../../../directory", "../../etc"])
def test_versions(warehouse: Path, secret: Path, name: str) -> None:
    store = RecommendationsStore(warehouse)
    published(store)
    hostile(warehouse / "recommendations" / "CURRENT", "000001", name)

    for act in (store.current, store.current_or_none):
        with pytest.raises(DamagedStore):
            act()


@pytest.mark.parametrize("name", ["../../../../" + OUTSIDE, "/etc/passwd", ".."])
def test_updates(warehouse: Path, secret: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "GRACE_S", -1.0)
    version = published(RecommendationsStore(warehouse))
    updates = Updates(version.path)
    for number in range(8):  # enough to be compacted
        updates.append(lists(1, [10], 2000 + number), batch=2 + number)
    current = json.loads((updates.path / "CURRENT").read_bytes())
    hostile(updates.path / "CURRENT", current["files"][0][0], name)

    again = Updates(version.path)
    for act in (again.batch, again.read, lambda: again.append(lists(1, [20], 3000), batch=10), again.compact):
        with pytest.raises(DamagedStore):
            act()
    assert pq.read_table(secret).equals(TABLE)


@pytest.mark.parametrize("name", ["../../" + OUTSIDE, "/etc/passwd", ""])
def test_movies(warehouse: Path, secret: Path, name: str) -> None:
    store = MoviesStore(warehouse)
    movies = pa.table({"movie_id": [1], "title": ["Movie"], "genres": [None]}).cast(MOVIES)
    store.load(movies)
    hostile(warehouse / "movies" / "CURRENT", "movies-000001.parquet", name)

    for act in (store.read, store.titles, lambda: store.load(movies)):
        with pytest.raises(DamagedStore):
            act()
    assert pq.read_table(secret).equals(TABLE)


def published(store: RecommendationsStore) -> Version:
    name, path, model_path = store.new_version()
    tables = {
        "users": lists(1, [10], 1000, "refit"),
        "similar": SIMILAR.empty_table(),
        "popular": POPULAR.empty_table(),
    }
    store.write_tables(path, **tables)
    model_path.mkdir(parents=True)
    (model_path / "model.json").write_text("{}")
    return store.publish(name, as_of=datetime.fromtimestamp(1, UTC), batch=1, accepted=1, info={}, keep=3)
