"""A file of movies: titles and genres, as MovieLens and others write them.

In: a path. Out: a table of MOVIES, and the rows that did not fit. Next: `reelstream.store.movies` keeps them.

    movieId,title,genres
    1,Toy Story (1995),Adventure|Animation

Also `movies.dat` and `u.item` of MovieLens, `movie_titles.csv` of the Netflix prize, other delimiters and encodings, compressed
files, genres separated by commas, and lists of objects with a `name`, as TMDB writes them.
"""

from __future__ import annotations

import ast
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa

from reelstream.errors import BadRating, UsageError
from reelstream.events import is_id
from reelstream.ids import Id, check_id
from reelstream.producer.bad_rows import BadRows
from reelstream.producer.column_names import SHOWN_CHARACTERS, plain_name
from reelstream.producer.csv_line import are_texts
from reelstream.producer.delimited import DELIMITERS
from reelstream.producer.file_lines import whole_text
from reelstream.producer.packed_file import MOVIES_FILES, file_of, packing
from reelstream.producer.ratings_csv import BadRow

SYNONYMS = {
    "movie_id": ("movieid", "itemid", "filmid", "id"),
    "title": ("title", "name", "movietitle", "originaltitle"),
    "genres": ("genres", "genre"),
}
"""Names of columns, without capitals, spaces and underscores; of several the first one counts."""
GENRES_OF_ITEM = (
    *(
        "unknown",
        "Action",
        "Adventure",
        "Animation",
        "Children's",
        "Comedy",
        "Crime",
        "Documentary",
        "Drama",
        "Fantasy",
    ),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
"""The flags that end a row of MovieLens 100K's u.item."""


@dataclass(frozen=True, slots=True)
class MoviesFile:
    table: pa.Table
    """In the columns of MOVIES; `movie_id` is text where ids are."""
    bad: BadRows
    encoding: str


def read_movies(path: Path) -> MoviesFile:
    """Raises UsageError if there is no such file, it has no form that is known, or no row of it fits."""
    text, encoding = _text(path)
    lines = text.splitlines(keepends=True)
    first = next((line for line in lines if line.strip()), "")
    mark, places, without_header = _columns(path, first)
    bad, movies = BadRows(path), list[tuple[Id, str | None, str | None]]()
    rows = list(islice(_rows(lines, mark, without_header), int(not without_header), None))
    width = 1 + max(places["movie_id"], places["title"])
    is_text = are_texts([row[places["movie_id"]] for _, row in rows if len(row) >= width])
    for number, row in rows:
        try:
            if len(row) < width:
                raise BadRating("not_csv", f"{len(row)} fields")
            given, title = row[places["movie_id"]].strip(), row[places["title"]].strip()
            if "year" in places and row[places["year"]].isdecimal():
                title = f"{title} ({row[places['year']]})"
            own = int(given) if is_id(given) and not is_text else given
            check_id("movie_id", own)
            if isinstance(own, str) and not is_text:
                raise BadRating("bad_id", f"{given!r} is not the id of a movie")
        except BadRating as error:
            bad.add(BadRow(number, str(error), mark.join(row)[:SHOWN_CHARACTERS]))
        else:
            movies.append((own, title or None, _genres(row, places)))
    if not movies and bad.count:
        worst = bad.first[0]
        raise UsageError(f"{path} has no movie: line {worst.line_number}: {worst.reason}: {worst.text!r}.")
    ids, titles, genres_of = zip(*movies, strict=True) if movies else ((), (), ())
    columns = {"title": pa.array(titles, pa.string()), "genres": pa.array(genres_of, pa.string())}
    movie_id = pa.array(ids, pa.string() if is_text else pa.int64())
    return MoviesFile(pa.table({"movie_id": movie_id, **columns}), bad, encoding)


def _text(path: Path) -> tuple[str, str]:
    path = file_of(path, MOVIES_FILES)
    packed = packing(path, None, MOVIES_FILES)
    if packed.table:
        raise UsageError(f"{path} is in the form of {packed.table}; give a movies.csv.")
    return whole_text(path, packed)


def _columns(path: Path, first: str) -> tuple[str, dict[str, int], int]:
    """(delimiter, places of the columns, how many columns there are without a header, or 0)."""
    for mark in DELIMITERS:
        fields = next(csv.reader([first], delimiter=mark), []) if len(mark) == 1 else first.split(mark)
        plain = [plain_name(name) for name in fields]
        places = {
            name: plain.index(found)
            for name, synonyms in SYNONYMS.items()
            if (found := next((one for one in synonyms if one in plain), None))
        }
        if {"movie_id", "title"} <= places.keys():
            return mark, places, 0
    for mark, width, genres in (("::", 3, {"genres": 2}), ("|", 24, {"flags": 5})):  # movies.dat and u.item
        fields = first.strip("\r\n").split(mark)
        if len(fields) == width and is_id(fields[0]):
            return mark, {"movie_id": 0, "title": 1, **genres}, width
    if re.match(r"\d+,(\d{4}|NULL),", first, re.ASCII):  # movie_titles.csv
        return ",", {"movie_id": 0, "year": 1, "title": 2}, 3
    begins = first.strip()[:SHOWN_CHARACTERS]
    raise UsageError(f"{path} needs the columns movieId and title in its first line, which is {begins!r}.")


def _rows(lines: Sequence[str], mark: str, width: int) -> Iterator[tuple[int, list[str]]]:
    """(the line's number, its fields). A quoted field may hold line ends, and the last of `width` the mark."""
    if width or len(mark) > 1:
        split = (
            (number, line.strip("\r\n").split(mark, width - 1)) for number, line in enumerate(lines, 1) if line.strip()
        )
        yield from split
        return
    reader = csv.reader(io.StringIO("".join(lines), newline=""), delimiter=mark)
    try:
        yield from ((reader.line_num, row) for row in reader if row)
    except csv.Error as error:
        raise UsageError(f"line {reader.line_num} of the movies can't be read: {error}.") from None


def _genres(row: Sequence[str], places: dict[str, int]) -> str | None:
    """As MovieLens writes them, separated by bars."""
    if "flags" in places:
        flags = row[places["flags"] :]
        return "|".join(name for name, flag in zip(GENRES_OF_ITEM, flags, strict=False) if flag.strip() == "1") or None
    at = places.get("genres")
    text = row[at].strip() if at is not None and at < len(row) else ""
    if text.startswith("["):
        try:
            found = ast.literal_eval(text)
            return "|".join(str(one["name"]) for one in found) or None
        except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError):
            return None
    if "|" not in text and "," in text:
        text = "|".join(part.strip() for part in text.split(","))
    return text or None
