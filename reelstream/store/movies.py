"""The movies table: titles and genres by movie id.

In: tables of MOVIES, as `reelstream.producer.movies_file` makes of files. Out: one Parquet file that `movies/CURRENT` names.
Next: the top-N tables and `reelstream rate` look titles up here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reelstream.errors import AmbiguousTitle, UsageError
from reelstream.events import is_id
from reelstream.failpoint import failpoint
from reelstream.ids import Id, number_of
from reelstream.store import id_texts, pointer
from reelstream.store.id_texts import MOVIE, IdTexts
from reelstream.store.locks import exclusive
from reelstream.store.names import inside
from reelstream.store.schemas import IDS, MOVIES


@dataclass(frozen=True)
class Titles:
    """Titles in memory: movie_ids int64[T] ascending, titles and genres string[T]."""

    movie_ids: np.ndarray
    titles: pa.Array
    genres: pa.Array

    @classmethod
    def of_table(cls, movies: pa.Table) -> Titles:
        """movies: what `MoviesStore.read` gives."""
        return cls(movies["movie_id"].to_numpy(), movies["title"].combine_chunks(), movies["genres"].combine_chunks())

    def of(self, movie_ids: np.ndarray) -> pa.Array:
        """Titles of int64[R] ids as string[R]; null where none is known."""
        if not len(self.movie_ids):
            return pa.nulls(len(movie_ids), pa.string())
        at = np.searchsorted(self.movie_ids, movie_ids).clip(max=len(self.movie_ids) - 1)  # [R]
        missing = self.movie_ids[at] != movie_ids
        return self.titles.take(pa.array(at, mask=missing))

    def put_into(self, table: pa.Table, movies: str = "movie_id") -> pa.Table:
        """The rows with these titles, and with their own where none is known here. movies: the column with the ids."""
        newest = pa.chunked_array([self.of(table[movies].to_numpy())], pa.string())
        at = table.schema.get_field_index("title")
        return table.set_column(at, table.schema.field(at), pc.coalesce(newest, table["title"]))

    def find(self, text: str, own: Callable[[int], Id] = int) -> int:
        """The one movie that the text names: an exact title first, else the only one that holds the text.

        Letter case, accents and "The" put last ("Matrix, The (1999)") do not matter. A year in brackets may be one off, no
        more.
        Raises AmbiguousTitle with the candidates, by their `own` ids, or UsageError if there is none.
        """
        wanted = _plain(text)
        plain = [(_plain(title), movie_id, title) for movie_id, title in self.pairs()]
        with_year = text.strip().casefold()
        exact = [(i, t) for _, i, t in plain if t.casefold() == with_year] or [
            (i, t) for p, i, t in plain if p == wanted
        ]
        candidates = exact or [(i, t) for p, i, t in plain if wanted and wanted in p]
        if candidates and (year := year_of(text)) is not None:
            of_year = [(i, t) for i, t in candidates if abs((year_of(t) or year) - year) <= 1]
            if not of_year:
                raise UsageError(
                    f"no movie called {text!r} is of that year; there is {_listed(candidates, own)}. Use its id."
                )
            candidates = of_year
        if not candidates:
            raise UsageError(f"no movie is called {text!r}; use its id, or load titles with `reelstream movies load`.")
        if len(candidates) > 1:
            raise AmbiguousTitle(text, [(own(movie), title) for movie, title in candidates])
        return candidates[0][0]

    def pairs(self) -> list[tuple[int, str]]:
        """(movie id, title) of all that have one."""
        return [(int(i), t) for i, t in zip(self.movie_ids, self.titles.to_pylist(), strict=True) if t]


class MoviesStore:
    def __init__(self, warehouse: Path) -> None:
        self.path = warehouse / "movies"
        self._lock = warehouse / "run" / "movies.lock"
        self._ids = id_texts.of_warehouse(warehouse)
        self._pointer = self.path / "CURRENT"

    def version(self) -> int:
        """Grows by one with each change; 0 where no titles were ever loaded."""
        return int((pointer.read(self._pointer) or {"version": 0})["version"])

    def stamp(self) -> pointer.Stamp:
        """What changes when the movies do."""
        return pointer.stamp(self._pointer)

    def load(self, movies: pa.Table) -> int:
        """Adds the movies, or changes their titles and genres; returns how many titles there are now.

        movies: the columns of MOVIES; `movie_id` is text where ids are. Raises Busy while another process does the same,
        UsageError for text ids where the warehouse's are integers.
        """
        with exclusive(self._lock, "Loading movies"):
            return self._load(movies)

    def _load(self, movies: pa.Table) -> int:
        version, texts = self.version(), self._ids.now()
        if pa.types.is_string(movies["movie_id"].type):
            movies, texts = _numbered(movies, texts)
        merged = pa.concat_tables([movies.cast(MOVIES), self.read()])  # new rows first
        _, first = np.unique(merged["movie_id"].to_numpy(), return_index=True)
        merged = merged.take(pa.array(first))
        name = f"movies-{version + 1:06d}.parquet"
        pointer.write_table(texts.stored(merged), self.path / name)
        failpoint("titles-written")
        pointer.move(self._pointer, {"version": version + 1, "file": name})
        failpoint("titles-stored")
        for old in self.path.glob("movies-*.parquet"):
            if old.name < f"movies-{version:06d}.parquet":
                old.unlink()
        return int(merged.num_rows)

    def read(self) -> pa.Table:
        """All movies, by ascending id; empty where none were loaded."""

        def look() -> pa.Table:
            current = pointer.read(self._pointer)
            if current is None:
                return MOVIES.empty_table()
            return pointer.read_table(self.path / inside(current["file"]))

        return pointer.consistent(look)

    def titles(self) -> Titles:
        return Titles.of_table(self.read())


def find_movie(text: str, ids: IdTexts, titles: Callable[[], Titles]) -> int:
    """The number of the movie that an id or a title names; where ids are text, a movie of that id goes first.

    Raises AmbiguousTitle, or UsageError if there is none.
    """
    if is_id(text):
        return int(text)
    if ids.is_text.get(MOVIE) and ids.known(MOVIE, np.array([number_of(text)]))[0]:
        return number_of(text)
    return titles().find(text, partial(ids.own, MOVIE))


def _numbered(movies: pa.Table, texts: IdTexts) -> tuple[pa.Table, IdTexts]:
    """The movies with numbers for text ids, and the texts with theirs."""
    own = movies["movie_id"].to_pylist()
    if not texts.is_text.get(MOVIE, True):
        raise UsageError(
            f"this warehouse's movies have integer ids, and these have text ids such as {own[0]!r}; give a file with the ids "
            "of the ratings."
        )
    numbers = pa.array(map(number_of, own), pa.int64())
    texts = replace(texts, is_text={**texts.is_text, MOVIE: True})
    ids = pa.table({"of": pa.repeat(MOVIE, len(own)), "number": numbers, "text": movies["movie_id"]}).cast(IDS)
    new = ids.filter(pa.array(~texts.known(MOVIE, numbers.to_numpy())))
    return movies.set_column(movies.schema.get_field_index("movie_id"), "movie_id", numbers), texts.plus(new)


def year_of(title: str) -> int | None:
    found = re.search(r"\((\d{4})\)\s*$", title)
    return int(found[1]) if found else None


def unaccented(text: str) -> str:
    if text.isascii():
        return text
    return "".join(one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one))


def _listed(movies: list[tuple[int, str]], own: Callable[[int], Id]) -> str:
    return ", ".join(f"{own(movie_id)} = {title}" for movie_id, title in movies[:10])


def _plain(title: str) -> str:
    title = re.sub(r"\s*\(\d{4}\)\s*$", "", unaccented(title.strip().casefold()))
    if match := re.fullmatch(r"(.*), (the|a|an)", title):
        title = f"{match[2]} {match[1]}"
    return title
