"""Movies are found by words of their titles, whatever the typos, the accents and the order."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from reelstream.api.movie_filter import wanted
from reelstream.api.movies import Movies
from reelstream.api.search import MAX_WORDS, MovieSearch
from reelstream.api.years_and_genres import genres, year, years
from reelstream.errors import Unknown
from reelstream.store.movies import Titles

MOVIES = [
    ("Matrix, The (1999)", 278, "Action|Sci-Fi"),
    ("Matrix Reloaded, The (2003)", 96, "Action|Sci-Fi"),
    ("Pulp Fiction (1994)", 307, "Crime|Drama"),
    ("Stranger than Fiction (2006)", 40, "Comedy|Drama"),
    ("Godfather, The (1972)", 192, "Crime|Drama"),
    ("Godfather: Part II, The (1974)", 129, "Crime|Drama"),
    ("Star Wars: Episode IV - A New Hope (1977)", 251, "Action|Sci-Fi"),
    ("Star Trek (2009)", 59, "Action|Sci-Fi"),
    ("Amelie (Fabuleux destin d'Amélie Poulain, Le) (2001)", 120, "Comedy|Romance"),
    ("Seven (a.k.a. Se7en) (1995)", 203, "Thriller"),
    ("Seven Samurai (Shichinin no samurai) (1954)", 48, "Action"),
    ("Twelve Monkeys (a.k.a. 12 Monkeys) (1995)", 177, "Sci-Fi"),
    ("Lord of the Rings: The Fellowship of the Ring, The (2001)", 198, "Adventure"),
    ("Lord of the Rings: The Two Towers, The (2002)", 188, "Adventure"),
    ("Lord of War (2005)", 20, "Drama"),
    ("Toy Story (1995)", 215, "Animation"),
    ("Toy Story 2 (1999)", 97, "Animation"),
    ("Lion King, The (1994)", 172, "Animation"),
    ("Lion (2016)", 9, "Drama"),
    ("2001: A Space Odyssey (1968)", 109, "Sci-Fi"),
    ("300", 80, "(no genres listed)"),
]


def titles_of(movies: list[tuple[str, int, str]]) -> Titles:
    names, _, kinds = zip(*movies, strict=True)
    return Titles(np.arange(1, len(movies) + 1), pa.array(names), pa.array(kinds))


@pytest.fixture(scope="module")
def search() -> MovieSearch:
    return MovieSearch(titles_of(MOVIES), np.array([count for _, count, _ in MOVIES]))


def found(search: MovieSearch, text: str, n: int = 3) -> list[str]:
    return [MOVIES[one.movie_id - 1][0] for one in search.search(text, n)]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("pulp ficton", "Pulp Fiction (1994)"),
        ("pulp fcition", "Pulp Fiction (1994)"),
        ("FICTION PULP", "Pulp Fiction (1994)"),
        ("godfahter", "Godfather, The (1972)"),
        ("the godfather", "Godfather, The (1972)"),
        ("star wrs", "Star Wars: Episode IV - A New Hope (1977)"),
        ("matrix", "Matrix, The (1999)"),
        ("the matrix", "Matrix, The (1999)"),
        ("matrix reloadde", "Matrix Reloaded, The (2003)"),
        ("amelie", "Amelie (Fabuleux destin d'Amélie Poulain, Le) (2001)"),
        ("Amélie", "Amelie (Fabuleux destin d'Amélie Poulain, Le) (2001)"),
        ("se7en", "Seven (a.k.a. Se7en) (1995)"),
        ("12 monkys", "Twelve Monkeys (a.k.a. 12 Monkeys) (1995)"),
        ("lord rings", "Lord of the Rings: The Fellowship of the Ring, The (2001)"),
        ("toy story 2", "Toy Story 2 (1999)"),
        ("toy sto", "Toy Story (1995)"),
        ("1994 lion", "Lion King, The (1994)"),
        ("lion", "Lion (2016)"),  # the whole title, though the other is rated more often
        ("space odysey", "2001: A Space Odyssey (1968)"),
        ("pulp fiction nineteen", "Pulp Fiction (1994)"),  # the movie with the most of the words
    ],
)
def test_the_movie_that_is_meant_comes_first(search: MovieSearch, text: str, first: str) -> None:
    assert found(search, text)[0] == first


def test_fewer_typos_come_before_more_ratings_and_more_ratings_before_fewer(search: MovieSearch) -> None:
    assert found(search, "fiction", 9) == ["Pulp Fiction (1994)", "Stranger than Fiction (2006)"]
    assert [one.typos for one in search.search("fictoin", 9)] == [1, 1]
    assert found(search, "lord of the", 9)[:2] == [MOVIES[12][0], MOVIES[13][0]]
    assert found(search, "seven", 1) == ["Seven (a.k.a. Se7en) (1995)"]


@pytest.mark.parametrize("text", ["", "   ", "!!!", "\x00\x1b[2J", "zzzzqq", "x" * 10_000, "’“”"])
def test_what_names_no_movie_finds_none(search: MovieSearch, text: str) -> None:
    assert search.search(text) == []


def test_a_long_question_is_cut_and_n_bounds_the_answer(search: MovieSearch) -> None:
    assert found(search, "matrix " * MAX_WORDS + "lion")[0] == "Matrix, The (1999)"
    assert len(search.search("the", 4)) == 4
    assert search.search("matrix", 0) == []


def test_without_titles_nothing_is_found() -> None:
    nothing = Titles(np.zeros(0, np.int64), pa.array([], pa.string()), pa.array([], pa.string()))
    assert MovieSearch(nothing, np.zeros(0, np.int64)).search("matrix") == []


def test_a_movie_without_a_title_does_no_harm() -> None:
    some = Titles(np.array([1, 2]), pa.array([None, "Heat (1995)"]), pa.array([None, "Crime"]))
    assert [one.movie_id for one in MovieSearch(some, np.zeros(2, np.int64)).search("heat")] == [2]
    assert Movies(some).genres_of(1) == ()


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Heat (1995)", 1995),
        ("Doctor Who (2005–2010)", 2005),
        ("Planet (2006-)", 2006),
        ("2012", None),
        ("Blade Runner 2049 (2017) ", 2017),
        ("(500) Days of Summer (2009)", 2009),
        ("Odd (12345)", None),
        ("", None),
    ],
)
def test_the_year_is_the_one_at_the_end(title: str, expected: int | None) -> None:
    assert year(title) == expected
    assert years(pa.array([title, None])).tolist() == [-1 if expected is None else expected, -1]


def test_filters_let_the_right_movies_through() -> None:
    movies = Movies(titles_of(MOVIES))
    ids = np.array([1, 3, 4, 8, 9, 21, 99], np.int64)

    def through(**filters: object) -> list[int]:
        return ids[movies.fitting(ids, wanted(10, filters))].tolist()  # type: ignore[arg-type]

    assert through() == ids.tolist()
    assert through(genres=["comedy"]) == [4, 9]
    assert through(genres=["Comedy", "SCI-FI"]) == [1, 4, 8, 9]
    assert through(year_from=1999, year_to=2006) == [1, 4, 9]
    assert through(year_from=2007) == [8]
    assert through(year_to=1998) == [3]
    assert through(genres=["drama"], year_from=2000) == [4]
    with pytest.raises(Unknown, match="Sci-Fi"):
        through(genres=["western"])
    assert genres("Comedy|Drama") == ["Comedy", "Drama"]
    assert movies.genres_of(21) == ()
