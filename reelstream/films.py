"""The movies' facts in memory: title, year, genres, and which of them a filter lets through.

In: titles as loaded. Out: facts by movie id, and bool masks. Next: `reelstream.recommender` puts them into answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypedDict

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


class Filters(TypedDict, total=False):
    """Which movies a list is of, as the methods of the Python API take it."""

    offset: int
    """Places to leave out before the first one."""
    genres: Iterable[str]
    """Movies with any of them, in any case."""
    year_from: int | None
    year_to: int | None
    """Years at the end of the titles, both included."""


class ListFilters(Filters, total=False):
    include_seen: bool
    """Leaves movies in that the user has rated."""


def wanted(n: int, filters: ListFilters) -> Wanted:
    """Raises UsageError for an n or an offset below 0."""
    genres = frozenset(genre.casefold() for genre in filters.get("genres", ()))
    return Wanted(
        n,
        filters.get("offset", 0),
        filters.get("include_seen", False),
        genres,
        filters.get("year_from"),
        filters.get("year_to"),
    )


class Films:
    def __init__(self, titles: Titles) -> None:
        self.titles = titles
        self._at = {movie_id: at for at, movie_id in enumerate(titles.movie_ids.tolist())}
        self._titles: list[str | None] = titles.titles.to_pylist()
        self._years = years(titles.titles)  # int32[T], -1 where unknown
        of_text = {text: tuple(genres(text or "")) for text in set(titles.genres.to_pylist())}
        self._genres = [of_text[text] for text in titles.genres.to_pylist()]
        self._having: dict[str, Mask] = {}
        self.genres = sorted({genre for names in of_text.values() for genre in names})
        """Every genre that a movie has, in the order of the alphabet."""

    def title(self, movie_id: int) -> str | None:
        at = self._at.get(movie_id)
        return None if at is None else self._titles[at]

    def year(self, movie_id: int) -> int | None:
        at = self._at.get(movie_id)
        year = -1 if at is None else int(self._years[at])
        return year if year >= 0 else None

    def genres_of(self, movie_id: int) -> tuple[str, ...]:
        at = self._at.get(movie_id)
        return () if at is None else self._genres[at]

    def fitting(self, movie_ids: I64, wanted: Wanted) -> Mask:
        """bool[R]: whether each movie fits the filters. Raises Unknown for a genre that no movie has."""
        at = index_of(self.titles.movie_ids, movie_ids)  # [R]
        fits = np.ones(len(movie_ids), np.bool_)
        if wanted.genres:
            names = {genre.casefold() for genre in self.genres}
            if unknown := sorted(wanted.genres - names):
                raise Unknown(f"no movie has the genre {unknown[0]!r}; there are {', '.join(self.genres) or 'none'}.")
            fits &= _taken(self._with(wanted.genres), at)
        if wanted.year_from is not None or wanted.year_to is not None:
            first = 0 if wanted.year_from is None else wanted.year_from
            last = 9999 if wanted.year_to is None else wanted.year_to
            fits &= _taken((self._years >= first) & (self._years <= last), at)
        return fits

    def _with(self, names: frozenset[str]) -> Mask:
        """bool[T]: the movies with any of the genres."""
        for name in names - set(self._having):
            having = [any(genre.casefold() == name for genre in of) for of in self._genres]
            self._having[name] = np.array(having, np.bool_)
        any_of: Mask = np.logical_or.reduce([self._having[name] for name in names])
        return any_of


def _taken(fits: Mask, at: I64) -> Mask:
    """fits[at], and False where `at` is -1."""
    return (at >= 0) & fits[at] if len(fits) else np.zeros(len(at), np.bool_)
