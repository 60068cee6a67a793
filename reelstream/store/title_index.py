"""Movies by title and year, as other sites write them.

In: the titles of the movies table. Out: the movies of a title, several only if nothing tells them apart.
Next: `reelstream rate --file` finds the movies of an export.

    Matrix, The (1999)  ←  The Matrix, 1999
    City of Lost Children, The (Cité des enfants perdus, La) (1995)  ←  La cité des enfants perdus, 1995

Letter case, accents, punctuation and the place of an article do not matter; a title is matched as a whole.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from reelstream.store.movies import Titles, unaccented, year_of

_YEAR = re.compile(r"\s*\(\d{4}\)\s*$")
_OTHER_NAMES = re.compile(r"(.*\S)((?:\s*\([^()]*\))+)")
_ARTICLE_LAST = re.compile(
    r"(.*), (the|an?|l[aeo]s?|l'|un[ae]?|el|il|i|gli|d(?:er|ie|as|e|en|et)|ein|eine|h?et|os?|as)"
)


class _Named(NamedTuple):
    movie_id: int
    title: str
    year: int | None
    other_name: bool


class TitleIndex:
    def __init__(self, titles: Titles) -> None:
        self._by_key: dict[str, list[_Named]] = defaultdict(list)
        for movie_id, title in titles.pairs():
            name, *others = _names(title)
            year = year_of(title)
            for key in {_key(other) for other in others} - {_key(name)}:
                self._by_key[key].append(_Named(movie_id, title, year, True))
            self._by_key[_key(name)].append(_Named(movie_id, title, year, False))

    def find(self, titles: Sequence[str], year: int | None) -> list[tuple[int, str]]:
        """(movie id, title) of the movies that have one of the names, the first that fits. Of several those of the nearest
        year, and one at the most off; those whose main title it is before those with another name of that kind."""
        for name in self._ways_to_write(titles):
            of_year = [one for one in self._by_key.get(_key(name), ()) if _distance(one.year, year) <= 1]
            if of_year:
                nearest = min((_distance(one.year, year), one.other_name) for one in of_year)
                best = [one for one in of_year if (_distance(one.year, year), one.other_name) == nearest]
                return [(one.movie_id, one.title) for one in best]
        return []

    def of_any_year(self, titles: Sequence[str]) -> list[tuple[int, str]]:
        """The same, whatever the year."""
        return [
            (one.movie_id, one.title)
            for name in self._ways_to_write(titles)
            for one in self._by_key.get(_key(name), ())
        ]

    @staticmethod
    def _ways_to_write(titles: Sequence[str]) -> list[str]:
        """Each title, and without what stands in brackets at its end."""
        names = [_names(title) for title in titles if title]
        return list(dict.fromkeys(name for found in names for name in (found[0], found[-1])))


def _names(title: str) -> list[str]:
    """The whole title without its year; where it ends with others in brackets, those, and what stands before them."""
    whole = _YEAR.sub("", title.strip())
    if (found := _OTHER_NAMES.fullmatch(whole)) is None:
        return [whole]
    others = [re.sub(r"^a\.?k\.?a\.? ", "", name) for name in re.findall(r"\(([^()]*)\)", found[2])]
    return [whole, *others, found[1]]


def _key(name: str) -> str:
    text = unaccented(name.casefold()).strip()
    if found := _ARTICLE_LAST.fullmatch(text):
        text = f"{found[2]} {found[1]}"
    return re.sub(r"[\W_]+", "", text.replace("&", "and")) or text


def _distance(of_movie: int | None, asked: int | None) -> float:
    """Years between them; half a year where one of them is unknown."""
    return 0.5 if of_movie is None or asked is None else abs(of_movie - asked)
