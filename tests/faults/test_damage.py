"""Files cut at half, emptied, or with a bit flipped: the reader gets DamagedStore with the file's name, or exactly the
rows that were written; never others, never anything else."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import reelstream as api
from reelstream.als.factors import Factors
from reelstream.als.scale import Scale
from reelstream.batch.refit import refit
from reelstream.errors import DamagedStore
from reelstream.settings import load, to_env
from reelstream.store import models, new_movies, scale_file
from reelstream.store import ratings as ratings_module
from reelstream.store.dismissed import DismissedStore
from reelstream.store.hidden_movies import HiddenMovies
from reelstream.store.movies import MoviesStore
from reelstream.store.quality import QualityStore
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from reelstream.store.schemas import MOVIES
from reelstream.store.updates import Updates
from reelstream.stream.fold_in import FoldInStage
from tests.fixtures.camps import FIRST_MOVIE, camps, fill
from tests.fixtures.rows import dismissals, ratings, rejects

FLIPS = 40
NEW_MOVIE = FIRST_MOVIE + 500
USER, NEW_USER = 1, 900
Look = Callable[[Path], Any]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with every table in it: a snapshot and a batch of ratings, and all that follows from them."""
    warehouse = tmp_path_factory.mktemp("damage") / "warehouse"
    settings = load(warehouse=warehouse)
    store = fill(warehouse, camps(n_users=30, n_movies=40))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ratings_module, "SNAPSHOT_FROM_ROWS", 1)
        assert store.compact()
    titles = [(movie, f"Movie {movie}", "Drama") for movie in range(FIRST_MOVIE, FIRST_MOVIE + 40)]
    columns = zip(*titles, strict=True)
    MoviesStore(warehouse).load(pa.table(dict(zip(MOVIES.names, map(list, columns), strict=True))).cast(MOVIES))
    HiddenMovies(warehouse).set([FIRST_MOVIE + 39], hidden=True)
    refit(settings)
    fold_in = FoldInStage(settings)
    fold_in.refresh()
    offset = store.state().offsets["ratings"][0]
    rows = ratings((NEW_USER, FIRST_MOVIE, 5.0), (USER, NEW_MOVIE, 4.5), (NEW_USER, NEW_MOVIE, 1.0), offset=offset)
    offsets = {"ratings": {0: offset + 4}}
    state = store.append(rows, rejects(b"no event", offset=offset + 3), offsets, forget=[(77, 5)])
    fold_in.dismissed.append(dismissals((USER, FIRST_MOVIE + 1, True, 5), (USER, NEW_MOVIE, True, 5)), state.batch)
    fold_in.fold(rows, state.batch)
    assert fold_in.fold_in_movies()
    fold_in.quality.close()
    scale_file.write_once(warehouse, Scale(0.5, 5))
    return warehouse


def ratings_rows(warehouse: Path) -> Any:
    return RatingsStore(warehouse).read(), api.open(warehouse).ratings(USER)


def rejects_rows(warehouse: Path) -> Any:
    return RatingsStore(warehouse).read_rejects()


def forgotten(warehouse: Path) -> Any:
    return RatingsStore(warehouse).forgotten()


def lists(warehouse: Path) -> Any:
    recommender = api.open(warehouse)
    return recommender.recommendations(), recommender.recommend(USER), recommender.recommend(NEW_USER)


def list_of_the_refit(warehouse: Path) -> Any:
    return api.open(warehouse).recommendations(), api.open(warehouse).recommend(2)


def updates(warehouse: Path) -> Any:
    version = RecommendationsStore(warehouse).current()
    return Updates(version.path).batch(), Updates(version.path).read([NEW_USER]), api.open(warehouse).recommendations()


def similar(warehouse: Path) -> Any:
    return api.open(warehouse).similar(FIRST_MOVIE)


def similar_of_new(warehouse: Path) -> Any:
    return api.open(warehouse).similar(NEW_MOVIE)


def popular(warehouse: Path) -> Any:
    return api.open(warehouse).popular(), api.open(warehouse).recommend(123_456)


def current(warehouse: Path) -> Any:
    return RecommendationsStore(warehouse).current(), api.open(warehouse).popular()


def model(warehouse: Path) -> Any:
    version = RecommendationsStore(warehouse).current()
    factors = new_movies.load_factors(version, models.load(version.model_path))
    return numbers(factors), api.open(warehouse).predict(USER, FIRST_MOVIE), models.info(version.model_path)


def measured(warehouse: Path) -> Any:
    factors = models.load_measured(RecommendationsStore(warehouse).current().model_path)
    assert factors
    return numbers(factors)


def numbers(factors: Factors) -> list[Any]:
    values = [getattr(factors, field.name) for field in fields(factors) if field.name != "transitions"]
    if (T := factors.transitions) is not None:
        values += [T.movie_ids, T.starts, T.lengths, T.successors, T.counts, T.leaving, T.arriving]
    return [value.tobytes() if isinstance(value, np.ndarray) else value for value in values]


def titles(warehouse: Path) -> Any:
    return MoviesStore(warehouse).read(), api.open(warehouse).find_movie(f"Movie {FIRST_MOVIE}")


def dismissed(warehouse: Path) -> Any:
    return DismissedStore(warehouse).table(), api.open(warehouse).dismissed(USER), api.open(warehouse).recommend(USER)


def hidden(warehouse: Path) -> Any:
    return HiddenMovies(warehouse).ids().tolist(), api.open(warehouse).popular()


def scale(warehouse: Path) -> Any:
    return load(warehouse=warehouse).scale


def quality(warehouse: Path) -> Any:
    return QualityStore(warehouse).read()


FILES: dict[str, Look] = {
    "ratings/CURRENT": ratings_rows,
    "ratings/batch=*/part-0.parquet": ratings_rows,
    "ratings/snapshot=*/part-0.parquet": ratings_rows,
    "ratings/forgotten-*.parquet": forgotten,
    "rejects/batch=*/part-0.parquet": rejects_rows,
    "recommendations/CURRENT": current,
    "recommendations/version=*/users/part-0.parquet": list_of_the_refit,
    "recommendations/version=*/similar/part-0.parquet": similar,
    "recommendations/version=*/similar/new.parquet": similar_of_new,
    "recommendations/version=*/popular/part-0.parquet": popular,
    "recommendations/version=*/updates/CURRENT": updates,
    "recommendations/version=*/updates/*.parquet": updates,
    "models/version=*/users.parquet": model,
    "models/version=*/movies.parquet": model,
    "models/version=*/new_movies.parquet": model,
    "models/version=*/transitions.parquet": model,
    "models/version=*/rating_prior.parquet": model,
    "models/version=*/model.json": model,
    "models/version=*/measured/users.parquet": measured,
    "models/version=*/measured/movies.parquet": measured,
    "models/version=*/measured/rating_prior.parquet": measured,
    "models/version=*/measured/model.json": measured,
    "movies/CURRENT": titles,
    "movies/movies-*.parquet": titles,
    "movies/hidden.parquet": hidden,
    "dismissed/CURRENT": dismissed,
    "dismissed/*.parquet": dismissed,
    "scale.json": scale,
    "quality/CURRENT": quality,
    "quality/*.parquet": quality,
}
"""Every file that a reader reads, and what it reads of it."""


@pytest.fixture
def warehouse(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "warehouse", symlinks=True))


def test_every_file_is_damaged_here(whole: Path) -> None:
    left_out = {"models/history.json"}  # no source of truth: begun anew where it is damaged (tests/store)
    files = {str(path.relative_to(whole)) for path in whole.rglob("*") if path.is_file() and "run" not in path.parts}
    covered = {str(path.relative_to(whole)) for pattern in FILES for path in whole.glob(pattern)}
    linked = {name for name in files if name.startswith("recommendations/latest/")}
    assert files - covered - linked - left_out == set()
    assert all(any(whole.glob(pattern)) for pattern in FILES)


@pytest.mark.parametrize("pattern", FILES)
def test_a_file_cut_at_half_or_emptied_is_named(warehouse: Path, pattern: str) -> None:
    look, path = FILES[pattern], sorted(warehouse.glob(pattern))[-1]
    content = path.read_bytes()
    look(warehouse)
    for damaged in (content[: len(content) // 2], b"", content[:-1], bytes(len(content))):
        path.write_bytes(damaged)
        with pytest.raises(DamagedStore) as raised:
            look(warehouse)
        assert str(path) in str(raised.value)


@pytest.mark.parametrize("pattern", FILES)
def test_a_flipped_bit_is_named_or_changes_nothing(warehouse: Path, pattern: str) -> None:
    look, path = FILES[pattern], sorted(warehouse.glob(pattern))[-1]
    content = path.read_bytes()
    expected = look(warehouse)
    footer = 8 * (len(content) - min(len(content), 4000))
    choose = random.Random(pattern)
    bits = [choose.randrange(8 * len(content)) for _ in range(FLIPS)]
    bits += [choose.randrange(footer, 8 * len(content)) for _ in range(FLIPS)]
    found = 0
    for bit in bits:
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            answer = look(warehouse)
        except DamagedStore as error:
            found += 1
            said = str(error)
            assert str(path) in said, bit
        else:
            assert answer == expected, bit
    assert found > FLIPS


def test_a_stray_file_that_no_pointer_names_changes_nothing(warehouse: Path) -> None:
    looks = set(FILES.values())
    expected = {look: look(warehouse) for look in looks}
    strays = (
        "ratings/batch=000000009999/part-0.parquet",
        "rejects/batch=000000009999/part-0.parquet",
        "ratings/batch=000000000001/.part-0.parquet.123",
        "ratings/.CURRENT.123",
        "recommendations/version=009999/users/part-0.parquet",
        "recommendations/version=000001/updates/000000009999.parquet",
        "models/version=009999/users.parquet",
        "movies/movies-999999.parquet",
        "quality/000000009999.parquet",
        "dismissed/000000009999.parquet",
    )
    for stray in strays:
        path = warehouse / stray
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half a file")
    for look in looks:
        assert look(warehouse) == expected[look]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("ratings/CURRENT", ["status"]),
        ("ratings/batch=*/part-0.parquet", ["refit", "--json"]),
        ("rejects/batch=*/part-0.parquet", ["rejects"]),
        ("recommendations/CURRENT", ["popular"]),
        ("recommendations/version=*/users/part-0.parquet", ["recommend", "2"]),
        ("recommendations/version=*/updates/CURRENT", ["recommend", "2", "--json"]),
        ("recommendations/version=*/similar/part-0.parquet", ["similar", str(FIRST_MOVIE)]),
        ("models/version=*/movies.parquet", ["predict", "1", str(FIRST_MOVIE)]),
        ("movies/CURRENT", ["similar", "Movie"]),
    ],
)
def test_a_command_ends_with_one_sentence_and_exit_code_7(warehouse: Path, pattern: str, words: list[str]) -> None:
    path = sorted(warehouse.glob(pattern))[-1]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    answer = subprocess.run(
        [sys.executable, "-P", "-m", "reelstream", *words],
        env={**os.environ, **to_env(load(warehouse=warehouse))},
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert answer.returncode == DamagedStore.exit_code, answer.stderr
    assert str(path) in answer.stderr
    assert "Traceback" not in answer.stderr
    assert answer.stderr.startswith("reelstream: ")
    assert answer.stdout == ""


@pytest.mark.parametrize("file", ["movies.parquet", "measured/movies.parquet", "measured/model.json"])
def test_a_refit_is_a_way_out_of_a_damaged_version(warehouse: Path, file: str) -> None:
    settings = load(warehouse=warehouse)
    damaged = RecommendationsStore(warehouse).current().model_path / file
    damaged.write_bytes(damaged.read_bytes()[:-20])

    version = refit(settings, force=True)

    assert api.open(warehouse).predict(USER, FIRST_MOVIE).version == version.name
