"""The movies' facts in memory: title, year, genres, and which of them a filter lets through.

In: titles as loaded. Out: facts by movie id, and bool masks. Next: `reelstream.recommender` puts them into answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reelstream.als.factors import I64, index_of
from reelstream.errors import Unknown, UsageError
from reelstream.film_facts import genres, years
from reelstream.store.movies import Titles

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which part of a list is wanted: `n` places after the first `offset`, of the movies that every filter lets through.

    A movie fits the genres if it has any of them; a year is from the end of the title, and a movie without one fits no
    years. `include_seen` leaves the user's own movies in.
    """

    n: int = 10
    offset: int = 0
    include_seen: bool = False
    genres: frozenset[str] = frozenset()
    year_from: int | None = None
    year_to: int | None = None

    def __post_init__(self) -> None:
        if self.n < 0 or self.offset < 0:
            raise UsageError(f"n {self.n} and offset {self.offset} must be 0 or more.")

    @property
    def end(self) -> int:
        return self.offset + self.n

    @property
    def filtered(self) -> bool:
        return bool(self.genres) or self.year_from is not None or self.year_to is not None


def wanted(
    n: int = 10,
    offset: int = 0,
    include_seen: bool = False,
    genres: Iterable[str] = (),
    year_from: int | None = None,
    year_to: int | None = None,
) -> Wanted:
    """Raises UsageError for an n or an offset below 0."""
    return Wanted(n, offset, include_seen, frozenset(genre.casefold() for genre in genres), year_from, year_to)


class Films:
    def __init__(self, titles: Titles) -> None:
        self.titles = titles
        self._years = years(titles.titles)  # int32[T], -1 where unknown
        of_movie = [genres(text or "") for text in titles.genres.to_pylist()]
        self.genres = sorted({genre for names in of_movie for genre in names})
        """Every genre that a movie has, in the order of the alphabet."""
        self._bit = {genre: bit for bit, genre in enumerate(self.genres[:63])}
        self._known = np.array(
            [sum(1 << self._bit[g] for g in set(names) if g in self._bit) for names in of_movie], np.int64
        )

    def year(self, movie_id: int) -> int | None:
        at = self._at(movie_id)
        return int(self._years[at]) if at >= 0 and self._years[at] >= 0 else None

    def genres_of(self, movie_id: int) -> tuple[str, ...]:
        at = self._at(movie_id)
        if at < 0:
            return ()
        bits = int(self._known[at])
        return tuple(genre for genre, bit in self._bit.items() if bits >> bit & 1)

    def title(self, movie_id: int) -> str | None:
        at = self._at(movie_id)
        title: str | None = self.titles.titles[at].as_py() if at >= 0 else None
        return title

    def fitting(self, movie_ids: I64, wanted: Wanted) -> Mask:
        """bool[R]: whether each movie fits the filters. Raises Unknown for a genre that no movie has."""
        at = index_of(self.titles.movie_ids, movie_ids)  # [R]
        fits = np.ones(len(movie_ids), np.bool_)
        if wanted.genres:
            names = {genre.casefold(): genre for genre in self._bit}
            if unknown := sorted(wanted.genres - set(names)):
                raise Unknown(f"no movie has the genre {unknown[0]!r}; there are {', '.join(self.genres) or 'none'}.")
            bits = sum(1 << self._bit[names[genre]] for genre in wanted.genres)
            fits &= (at >= 0) & ((self._taken(self._known, at) & bits) != 0)
        if wanted.year_from is not None or wanted.year_to is not None:
            year = np.where(at >= 0, self._taken(self._years, at), -1)  # [R]
            first = -(2**31) if wanted.year_from is None else wanted.year_from
            last = 2**31 if wanted.year_to is None else wanted.year_to
            fits &= (year >= 0) & (year >= first) & (year <= last)
        return fits

    def _at(self, movie_id: int) -> int:
        return int(index_of(self.titles.movie_ids, np.array([movie_id], np.int64))[0])

    @staticmethod
    def _taken(values: np.ndarray, at: I64) -> np.ndarray:
        return values[at] if len(values) else np.full(len(at), -1, np.int64)
