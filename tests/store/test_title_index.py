"""Movies by title and year, as other sites write them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from reelstream.store.movies import Titles
from reelstream.store.schemas import MOVIES
from reelstream.store.title_index import TitleIndex

TITLES = {
    1: "Matrix, The (1999)",
    2: "Emma (1996)",
    3: "Emma (2020)",
    4: "City of Lost Children, The (Cité des enfants perdus, La) (1995)",
    5: "Seven (a.k.a. Se7en) (1995)",
    6: "(500) Days of Summer (2009)",
    7: "WALL·E (2008)",
    8: "Alien (1979)",
    9: "Aliens (1986)",
    10: "War of the Worlds (2005)",
    11: "War of the Worlds (2005)",
    12: "Pride & Prejudice (2005)",
    13: "Untitled",
    14: "Heat (1986)",
    15: "Heat (1987)",
    16: "Summer (Days of Summer) (2009)",
}


@pytest.fixture
def index() -> TitleIndex:
    ids = {"movie_id": [*TITLES, 99], "title": [*TITLES.values(), None], "genres": [None] * (len(TITLES) + 1)}
    return TitleIndex(Titles.of_table(pa.table(ids).cast(MOVIES)))


@pytest.mark.parametrize(
    ("titles", "year", "movie_ids"),
    [
        (["The Matrix"], 1999, [1]),
        (["Matrix, The"], 2000, [1]),
        (["the matrix"], None, [1]),
        (["The Matrix"], 2003, []),
        (["Emma"], 2020, [3]),
        (["Emma."], 1997, [2]),
        (["Emma"], None, [2, 3]),
        (["La Cité des Enfants Perdus"], 1995, [4]),
        (["The City of Lost Children"], 1995, [4]),
        (["Se7en"], 1995, [5]),
        (["500 Days of Summer"], 2009, [6]),
        (["Days of Summer"], 2009, [16]),
        (["WALL-E"], 2008, [7]),
        (["Alien"], 1986, []),
        (["War of the Worlds"], 2005, [10, 11]),
        (["Pride and Prejudice"], 2005, [12]),
        (["Untitled"], 2011, [13]),
        (["Heat"], 1986, [14]),
        (["Heat"], 1988, [15]),
        (["Die Stadt der verlorenen Kinder", "La cité des enfants perdus"], 1995, [4]),
        (["Alien (Alien, #1)"], 1979, [8]),
        ([""], 1999, []),
        ([], None, []),
    ],
)
def test_a_title_of_another_site_is_found(
    index: TitleIndex, titles: list[str], year: int | None, movie_ids: list[int]
) -> None:
    assert index.find(titles, year) == [(movie_id, TITLES[movie_id]) for movie_id in movie_ids]


def test_movies_of_another_year_are_told(index: TitleIndex) -> None:
    assert index.of_any_year(["the matrix"]) == [(1, TITLES[1])]
    assert index.of_any_year(["Solaris"]) == []
