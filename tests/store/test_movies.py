from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reelstream.errors import AmbiguousTitle, Busy, UsageError
from reelstream.producer.movies_file import read_movies
from reelstream.store.locks import exclusive
from reelstream.store.movies import MoviesStore


@pytest.fixture
def store(tmp_path: Path) -> MoviesStore:
    file = tmp_path / "movies.csv"
    rows = [
        "movieId,title,genres",
        '2571,"Matrix, The (1999)",Action|Sci-Fi',
        "1,Toy Story (1995),Animation",
        "3114,Toy Story 2 (1999),Animation",
        "100,Emma (1996),Drama",
        "200,Emma (2020),Drama",
    ]
    file.write_bytes("\ufeff".encode() + "\r\n".join(rows).encode())
    store = MoviesStore(tmp_path / "warehouse")
    assert store.load(read_movies(file).table) == 5
    return store


def test_titles_by_id_are_null_where_unknown(store: MoviesStore) -> None:
    titles = store.titles().of(np.array([1, 5, 2571, 9999]))

    assert titles.to_pylist() == ["Toy Story (1995)", None, "Matrix, The (1999)", None]
    assert MoviesStore(Path("nowhere")).titles().of(np.array([1])).to_pylist() == [None]


@pytest.mark.parametrize(
    ("text", "movie_id"),
    [
        ("the matrix", 2571),
        ("Matrix, The", 2571),
        ("Matrix, The (1999)", 2571),
        ("Toy Story", 1),
        ("matri", 2571),
        ("Toy Störy", 1),
    ],
)
def test_a_title_is_found_as_people_write_it(store: MoviesStore, text: str, movie_id: int) -> None:
    assert store.titles().find(text) == movie_id


def test_an_ambiguous_title_lists_the_candidates(store: MoviesStore) -> None:
    with pytest.raises(AmbiguousTitle, match=r"100 = Emma \(1996\), 200 = Emma \(2020\)"):
        store.titles().find("emma")
    assert store.titles().find("Emma (2020)") == 200
    with pytest.raises(UsageError, match="no movie is called"):
        store.titles().find("Solaris")


def test_a_year_that_is_given_must_fit(store: MoviesStore) -> None:
    titles = store.titles()
    assert titles.find("Toy Story (1996)") == 1, "one off is a premiere in another country"
    assert titles.find("Emma (2019)") == 200
    with pytest.raises(UsageError, match=r"'Story 2 \(2019\)' is of that year; there is 3114 = Toy Story 2 \(1999\)"):
        titles.find("Story 2 (2019)")
    with pytest.raises(UsageError, match="is of that year"):
        titles.find("Matrix (2003)")


def test_loading_again_adds_and_changes(store: MoviesStore, tmp_path: Path) -> None:
    more = tmp_path / "more.csv"
    more.write_text("genres,movieId,title\nDrama,5,Solaris (1972)\nComedy,1,Toy Story\n")

    assert store.load(read_movies(more).table) == 6
    assert store.version() == 2
    assert store.titles().of(np.array([1, 5])).to_pylist() == ["Toy Story", "Solaris (1972)"]


def test_two_loads_at_once_do_not_lose_each_others_titles(store: MoviesStore) -> None:
    lock = store.path.parent / "run" / "movies.lock"
    before = store.read()

    with exclusive(lock, "another"), pytest.raises(Busy, match="Loading movies is already running"):
        store.load(before)

    assert store.version() == 1
    assert store.load(before) == 5
    assert store.version() == 2
