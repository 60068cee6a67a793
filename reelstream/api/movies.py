"""The movies' facts in memory: title, year, genres, and which of them a filter lets through.

In: titles as loaded. Out: facts by movie id, and bool masks. Next: `reelstream.api.recommender` puts them into answers.
"""

from __future__ import annotations

import numpy as np

from reelstream.als.arrays import I64, Mask, index_of
from reelstream.api.movie_filter import Wanted
from reelstream.api.years_and_genres import genres, years
from reelstream.errors import Unknown
from reelstream.store.movies import Titles


class Movies:
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
