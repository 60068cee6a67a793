"""Movies by words of their titles, with typos.

In: titles and how often each movie was rated. Out: movie ids, fewest typos first, then the most rated.
Next: `reelstream.api.movie_queries` describes them.

Each word of a question stands for the words of the titles that begin with it or, where there are none, that are one typo
away from it, two from eight letters on: a letter too much, too few, another one, or two that changed places (optimal
string alignment distance). Typos are only forgiven where rapidfuzz is installed, by the extra `serve`.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from reelstream.als.arrays import I32, I64
from reelstream.store.movies import Titles

MAX_CHARACTERS = 200
MAX_WORDS = 12
ARTICLES = frozenset(("the", "a", "an"))
ONE_TYPO_FROM, TWO_TYPOS_FROM = 3, 8
"""Letters of a word."""

_YEAR = re.compile(r"\d{4}")
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class FoundMovie:
    movie_id: int
    typos: int


class MovieSearch:
    """Holds each word of the titles once, and the movies that have it. Thread-safe."""

    def __init__(self, titles: Titles, n_ratings: I64) -> None:
        """n_ratings: int64[T], of the movies of `titles`."""
        self._movie_ids = titles.movie_ids
        self._counts = n_ratings
        movies_of: dict[str, list[int]] = {}
        lengths = []
        for at, title in enumerate(titles.titles.to_pylist()):
            words = set(words_of(title or ""))
            lengths.append(sum(word not in ARTICLES and not _YEAR.fullmatch(word) for word in words))
            for word in words:
                movies_of.setdefault(word, []).append(at)
        self._lengths = np.array(lengths, np.int32)  # [T]
        self._words = sorted(movies_of)
        self._movies_of: list[I32] = [np.array(movies_of[word], np.int32) for word in self._words]

    def search(self, text: str, n: int = 10) -> list[FoundMovie]:
        """At most n movies. All words are to be found; where no movie has all, those with the most of them come.

        Of a longer text the first MAX_CHARACTERS and MAX_WORDS count; without a word in it nothing is found.
        """
        words = words_of(text[:MAX_CHARACTERS])[:MAX_WORDS]
        words = [word for word in words if word not in ARTICLES] or words
        if not words or n <= 0 or not self._words:
            return []
        n_movies = len(self._movie_ids)
        found = np.zeros(n_movies, np.int32)  # words of the question that a movie has
        typos = np.zeros(n_movies, np.int32)
        whole = np.zeros(n_movies, np.int32)  # of which it has not just the beginning
        for word in words:
            distance = np.full(n_movies, 99, np.int32)
            exact = np.zeros(n_movies, np.bool_)
            for at, away in self._like(word):
                movies = self._movies_of[at]
                distance[movies] = np.minimum(distance[movies], away)
                exact[movies] |= self._words[at] == word
            has = distance < 99
            found += has
            typos += np.where(has, distance, 0)
            whole += exact
        most = int(found.max())
        if not most:
            return []
        candidates = np.flatnonzero(found == most)
        named = whole[candidates] == self._lengths[candidates]  # the whole title was asked for
        order = np.lexsort(
            (
                self._movie_ids[candidates],
                -self._counts[candidates],
                -(whole[candidates] == len(words)).astype(np.int32),
                -named.astype(np.int32),
                typos[candidates],
            )
        )
        return [FoundMovie(int(self._movie_ids[at]), int(typos[at])) for at in candidates[order[:n]]]

    def _like(self, word: str) -> list[tuple[int, int]]:
        """(position in the words, typos) of the words that a word stands for."""
        first, last = bisect_left(self._words, word), bisect_left(self._words, word + "\U0010ffff")
        if last > first:
            return [(at, 0) for at in range(first, last)]
        allowed = 2 if len(word) >= TWO_TYPOS_FROM else 1 if len(word) >= ONE_TYPO_FROM else 0
        if not allowed or not find_spec("rapidfuzz"):
            return []
        from rapidfuzz.distance import OSA
        from rapidfuzz.process import cdist

        whole = cdist([word], self._words, scorer=OSA.distance, score_cutoff=allowed, dtype=np.int32)[0]
        beginnings = [one[: len(word)] for one in self._words]
        begun = cdist([word], beginnings, scorer=OSA.distance, score_cutoff=allowed, dtype=np.int32)[0]
        away = np.minimum(whole, begun)
        return [(int(at), int(away[at])) for at in np.flatnonzero(away <= allowed)]


def words_of(text: str) -> list[str]:
    """The words in small letters without accents; a year is a word.

    >>> words_of("Amélie (Fabuleux destin d'Amélie Poulain, Le) (2001)")[:4]
    ['amelie', 'fabuleux', 'destin', 'd']
    """
    plain = unicodedata.normalize("NFKD", text.casefold())
    return _WORD.findall("".join(letter for letter in plain if not unicodedata.combining(letter)))
