"""A warehouse as format 1 left it: read as it is, and written as the newest format by the next change of each table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import reelstream
from reelstream.errors import DamagedStore
from reelstream.store import pointer
from reelstream.store.compaction import FAN
from reelstream.store.forget import forget
from reelstream.store.movies import MoviesStore
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from reelstream.store.schemas import FORMAT, MOVIES
from reelstream.store.updates import Updates
from tests.fixtures.published import TOY_STORY, publish
from tests.fixtures.rows import lists, ratings, rejects, triples

ADDED = {"crc32", "forgotten", "forgetting"}
"""What format 2 added to the pointers."""


@pytest.fixture
def old(warehouse: Path) -> Path:
    """What format 1 had is all there: its pointers lacked what was added, and a model.json named no format."""
    publish(warehouse)
    Updates(RecommendationsStore(warehouse).current().path).append(lists(2, [10], 10**13), 1)
    for path in [*warehouse.rglob("CURRENT"), *warehouse.rglob("model.json")]:
        value = {name: item for name, item in json.loads(path.read_text()).items() if name not in ADDED}
        if path.name == "model.json":
            del value["format"]
        else:
            value["format"] = 1
        path.write_text(json.dumps(value))
    return warehouse


def formats(warehouse: Path) -> dict[str, int]:
    return {str(p.relative_to(warehouse)): json.loads(p.read_text())["format"] for p in warehouse.rglob("CURRENT")}


def test_an_older_warehouse_is_read_as_it_is(old: Path) -> None:
    recommender = reelstream.open(old)

    assert recommender.recommend(1)[0].movie_id == TOY_STORY
    assert [movie.movie_id for movie in recommender.recommend(2, 1)] == [10]
    assert recommender.predict(1, TOY_STORY).source == "model"
    assert RatingsStore(old).read().num_rows == 3
    assert set(formats(old).values()) == {1}


def test_each_table_becomes_the_newest_format_with_its_next_change(old: Path) -> None:
    store, published = RatingsStore(old), RecommendationsStore(old)

    store.append(ratings((2, 9, 4.0), offset=50), rejects(), {"ratings": {0: 51}}, [(1, 10**12)])
    Updates(published.current().path).append(lists(2, [20], 2 * 10**13), 2)
    MoviesStore(old).load(MOVIES.empty_table())
    name, path, model_path = published.new_version()
    model_path.parent.joinpath("version=000001").rename(model_path)
    published.current().path.rename(path)
    published.publish(name, as_of=published.current().as_of, batch=2, accepted=4, info={}, keep=3)

    assert set(formats(old).values()) == {FORMAT}
    forget(RatingsStore(old))
    assert triples(store.read()) == [(2, 296, 3.0), (2, 9, 4.0)]
    assert [movie.movie_id for movie in reelstream.open(old).recommend(2, 1)] == [20]


def test_rejects_from_before_they_had_a_detail_are_read_and_compacted(warehouse: Path) -> None:
    store = RatingsStore(warehouse)
    for offset in range(FAN):
        store.append(ratings(), rejects(b"x", offset=offset), {"ratings": {0: offset + 1}})
    for directory in store.state().rejects[:-1]:
        path = store.rejects_path / directory.name / "part-0.parquet"
        pointer.write_table(pointer.read_table(path).drop_columns("detail"), path)
    found = [None] * (FAN - 1) + ["Expecting value"]

    assert store.read_rejects()["detail"].to_pylist() == found
    assert store.compact()
    assert len(store.state().rejects) == 1
    assert store.read_rejects()["detail"].to_pylist() == found
    path = store.rejects_path / store.state().rejects[0].name / "part-0.parquet"
    pointer.write_table(pointer.read_table(path).drop_columns("raw"), path)
    with pytest.raises(DamagedStore, match="lacks columns"):
        store.read_rejects()


@pytest.mark.parametrize("name", ["ratings/CURRENT", "recommendations/CURRENT", "movies/CURRENT"])
def test_a_newer_format_is_refused_with_what_to_do(old: Path, name: str) -> None:
    path = old / name
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": FORMAT + 1}))

    with pytest.raises(DamagedStore, match="upgrade reelstream"):
        {
            "ratings/CURRENT": RatingsStore(old).state,
            "recommendations/CURRENT": RecommendationsStore(old).current,
            "movies/CURRENT": MoviesStore(old).version,
        }[name]()
