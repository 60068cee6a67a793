from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reelstream.als.factor_rows import MOVIES, USERS, rows_at
from reelstream.als.factors import Factors, ModelSettings
from reelstream.errors import DamagedStore
from reelstream.store import models, new_movies
from reelstream.store.movies import Titles
from reelstream.store.recommendations import Version
from reelstream.store.schemas import SIMILAR
from reelstream.top_lists import similar_lists, similar_of

NEW = np.array([5, 900])


def factors() -> Factors:
    """Six movies; those of NEW are not the last ones."""
    random = np.random.default_rng(0)

    def numbers(*shape: int) -> np.ndarray:
        return random.normal(size=shape).astype(np.float32)

    return Factors(
        user_ids=np.array([1, 2]),
        movie_ids=np.array([1, 5, 7, 9, 900, 1000]),
        mean=3.5,
        user_bias=numbers(2),
        movie_bias=numbers(6),
        rating_user=numbers(2, 3),
        rating_movie=numbers(6, 3),
        ranking_user=numbers(2, 4),
        ranking_movie=numbers(6, 4),
        movie_counts=np.arange(1, 7),
        movie_sums=np.arange(6) * 3.5,
        settings=ModelSettings(rating_rank=3, ranking_rank=4),
    )


def base() -> Factors:
    return rows_at(factors(), MOVIES, np.flatnonzero(~np.isin(factors().movie_ids, NEW)))


@pytest.fixture
def version(tmp_path: Path) -> Version:
    now = datetime(2024, 1, 1, tzinfo=UTC)
    version = Version("000001", tmp_path / "tables", tmp_path / "model", now, now, 1, 10)
    models.save(version.model_path, base(), {})
    return version


def titles() -> Titles:
    return Titles(np.array([1]), pa.array(["Toy Story (1995)"]), pa.array([""]))


def test_what_is_kept_comes_back_in_its_place(version: Version) -> None:
    similar = similar_of(factors(), NEW, titles(), n=3, version="000001")

    new_movies.save(version, factors(), NEW, similar)

    loaded = new_movies.load_factors(version, models.load(version.model_path))
    for name in (*MOVIES, *USERS):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(factors(), name), err_msg=name)
        assert getattr(loaded, name).dtype == getattr(factors(), name).dtype, name
    assert new_movies.read_similar(version).equals(similar)
    of_5 = new_movies.read_similar(version, 5)
    assert of_5["rank"].to_pylist() == [1, 2, 3]
    everything = similar_lists(factors(), titles(), n=3, version="000001").to_pylist()
    assert of_5.to_pylist() == [row for row in everything if row["movie_id"] == 5]
    assert new_movies.read_similar(version, 7).num_rows == 0
    columns = pq.read_schema(version.model_path / "movies.parquet")
    assert pq.read_schema(version.model_path / "new_movies.parquet") == columns


def test_without_new_movies_the_version_is_what_it_was(version: Version) -> None:
    loaded = models.load(version.model_path)
    assert new_movies.load_factors(version, loaded) is loaded
    assert new_movies.read_similar(version).schema == SIMILAR
    assert new_movies.read_similar(version, 5).num_rows == 0

    new_movies.save(version, factors(), NEW, similar_of(factors(), NEW, titles(), n=3, version="000001"))
    new_movies.save(version, base(), NEW[:0], SIMILAR.empty_table())  # they left again

    assert new_movies.load_factors(version, loaded) is loaded
    assert new_movies.read_similar(version).num_rows == 0


def test_killed_between_the_two_files_each_is_whole(version: Version) -> None:
    new_movies.save(version, factors(), NEW[:1], similar_of(factors(), NEW[:1], titles(), n=3, version="000001"))
    code = f"""
from pathlib import Path
from datetime import datetime
from tests.store.test_new_movies import *
path = Path({str(version.path.parent)!r})
version = Version("000001", path / "tables", path / "model", datetime.now(), datetime.now(), 1, 10)
new_movies.save(version, factors(), NEW, similar_of(factors(), NEW, titles(), n=3, version="000001"))
"""
    root = Path(__file__).parents[2]
    killed = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env={"REELSTREAM_FAILPOINT": "movies-folded"}, check=False
    )

    assert killed.returncode == -9
    assert new_movies.load_factors(version, base()).movie_ids.tolist() == factors().movie_ids.tolist()
    assert set(new_movies.read_similar(version)["movie_id"].to_pylist()) == {5}
    assert new_movies.read_similar(version, 900).num_rows == 0


def test_a_damaged_file_is_named(version: Version) -> None:
    new_movies.save(version, factors(), NEW, similar_of(factors(), NEW, titles(), n=3, version="000001"))
    file = version.model_path / "new_movies.parquet"
    file.write_bytes(file.read_bytes()[:-20])

    with pytest.raises(DamagedStore, match=r"new_movies\.parquet"):
        new_movies.load_factors(version, base())
