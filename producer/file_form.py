"""What a file of ratings is: how it is packed, encoded and divided, which column is what, and how times are written.

In: the beginning of a file, and what its user says of it. Out: a Form, with sentences for what was found and assumed.
Next: `reelstream.producer.file_lines` makes lines of it, and `reelstream.producer.ratings_csv` reads those.

Nothing is guessed from a name alone: a column is taken by its name or, without a header, by its place, and the unit of
times by which one puts them between 1990 and now.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa

from reelstream.errors import UsageError
from reelstream.producer.csv_line import MAX_LINE_BYTES, Header, are_texts
from reelstream.producer.file_lines import WESTERN, Packing, packing, parquet_schema, sample
from reelstream.producer.file_times import detect_times, is_time

SYNONYMS: dict[str, tuple[str, ...]] = {
    "user_id": (
        "userid",
        "user",
        "uid",
        "reviewerid",
        "customerid",
        "customer",
        "memberid",
        "accountid",
        "profilename",
    ),
    "movie_id": (
        "movieid",
        "movie",
        "mid",
        "itemid",
        "item",
        "iid",
        "productid",
        "filmid",
        "asin",
        "animeid",
        "bookid",
    ),
    "rating": ("rating", "score", "stars", "overall", "userrating", "ratingvalue"),
    "rated_at": (
        *("timestamp", "ratedat", "unixtimestamp", "unixreviewtime", "createdat", "datetime", "date", "time", "ts"),
        *("ratingtimestamp", "reviewtime", "reviewedat", "updatedat"),
    ),
}
"""Names of columns by field, without capitals, spaces and underscores; of several the first one counts."""
MOVIELENS = ("user_id", "movie_id", "rating", "rated_at")
"""The order of the columns of a file without a header."""
DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars", "::": "double colons"}
EXPECTED = "expected a header line such as userId,movieId,rating,timestamp (comma-separated, columns in any order)"
SAMPLE_ROWS = 500
_MOVIE_LINE = re.compile(r"\d+:")
SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the user says of a file; None leaves it to be detected."""

    delimiter: str | None = None
    encoding: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    """The column's name, by field."""
    time_unit: str | None = None
    """A key of UNITS."""


@dataclass(frozen=True, slots=True)
class Form:
    packing: Packing
    header: Header
    lines_before: int
    """The first row: comments, blank lines, the header."""
    sentences: tuple[str, ...]
    """What was found, for people."""
    assumed: tuple[str, ...]
    """What was assumed, as nothing in the file says so."""
    ratings: tuple[float, float] | None
    """Lowest and highest of the first rows."""

    def __str__(self) -> str:
        return " ".join((*self.sentences, *self.assumed))


def detect(path: Path, overrides: Overrides | None = None) -> Form:
    """Raises UsageError if there is no such file, it cannot be unpacked, or it is no form that is known; it says what was
    found."""
    overrides = overrides or Overrides()
    packed = packing(path, overrides.encoding)
    if packed.parquet:
        return _parquet(path, packed, overrides)
    lines, whole = sample(path, packed)
    first = next((i for i, line in enumerate(lines) if _matters(line)), None)
    if first is None:
        raise UsageError(f"{path} is empty; {EXPECTED}.")
    try:
        text = lines[first].decode().strip()
    except UnicodeDecodeError:
        text = ""
    if not text or len(lines[first]) > MAX_LINE_BYTES:
        raise UsageError(f"{path} does not begin with a line of CSV; {EXPECTED}.")
    rows = [_text(line) for line in (lines if whole else lines[:-1])[first:] if _matters(line)][: SAMPLE_ROWS + 1]
    if _MOVIE_LINE.fullmatch(text):
        return _netflix(path, packed, rows, first, overrides)
    if text.startswith("{") and (record := _record(text)) is not None:
        return _json(path, packed, record, rows, overrides)
    return _delimited(path, packed, rows, first, overrides)


def _delimited(path: Path, packed: Packing, rows: list[str], first: int, overrides: Overrides) -> Form:
    tried = [overrides.delimiter] if overrides.delimiter else [*DELIMITERS]
    headers = {mark: fields for mark in tried if (fields := split(rows[0], mark))}
    if not headers:
        raise UsageError(f"{path} does not begin with a line of CSV; {EXPECTED}.")
    known = {mark: _places(path, fields, overrides, sure=False) for mark, fields in headers.items()}
    mark = max(headers, key=lambda one: (len({*MOVIELENS[:3]} & {*known[one]}), len(headers[one])))
    places = _places(path, headers[mark], overrides)
    names: tuple[str, ...] = (*headers[mark],)
    missing = [name for name in MOVIELENS[:3] if name not in places]
    assumed: list[str] = []
    if missing:
        bare = next((one for one in headers if _is_bare(rows, one)), None)
        if bare is None or overrides.columns:
            begins = rows[0][:SHOWN_CHARACTERS]
            raise UsageError(f"{path} has no column {' or '.join(missing)} in its first line {begins!r}; {EXPECTED}.")
        mark, names = bare, ()
        places = dict(zip(MOVIELENS, range(min(len(split(rows[0], mark)), 4)), strict=False))
        assumed.append("There is no header: the columns are taken in MovieLens' order, user, movie, rating, time.")
    width = len(names) or len(split(rows[0], mark))
    body = [fields for row in (rows[1:] if names else rows) if len(fields := split(row, mark)) == width]
    found = f"{path.name} is{packed} text with columns separated by {DELIMITERS.get(mark, repr(mark))}."
    packed = replace(packed, double_colons=mark == "::")
    return _form(
        _Table(packed, names, places, width, body, found, assumed, names, first + bool(names), mark), overrides
    )


def _json(path: Path, packed: Packing, record: dict[str, object], rows: list[str], overrides: Overrides) -> Form:
    all_names = tuple(record)
    names, places = _columns_of(path, all_names, overrides)
    records = [one for row in rows if (one := _record(row)) is not None]
    body = [["" if one.get(name) is None else str(one[name]) for name in names] for one in records]
    found = f"{path.name} is{packed} JSON, an object a line."
    packed = replace(packed, columns=names, json=True)
    return _form(_Table(packed, names, places, len(names), body, found, [], all_names), overrides)


def _parquet(path: Path, packed: Packing, overrides: Overrides) -> Form:
    schema = parquet_schema(path)
    all_names = tuple(schema.names)
    names, places = _columns_of(path, all_names, overrides)
    packed = replace(packed, columns=names)
    body = [split(line.decode(), ",") for line in sample(path, packed)[0][:SAMPLE_ROWS] if line]
    if "rated_at" in places and pa.types.is_timestamp(schema.field(names[places["rated_at"]]).type):
        overrides = replace(overrides, time_unit="ms")  # `chunks` makes milliseconds of them
    found = f"{path.name} is a Parquet file."
    return _form(_Table(packed, names, places, len(names), body, found, [], all_names), overrides)


def _netflix(path: Path, packed: Packing, rows: list[str], first: int, overrides: Overrides) -> Form:
    body = [[*fields, ""] for row in rows if len(fields := split(row, ",")) == 3]
    if not body:
        raise UsageError(
            f"{path} has lines of movies and users as the Netflix prize has them, but no ratings; give combined_data_1.txt."
        )
    found = f"{path.name} is{packed} text of the Netflix prize: the line of a movie, then its rows of user, rating and date."
    places = {"user_id": 0, "rating": 1, "rated_at": 2, "movie_id": 3}
    return _form(_Table(replace(packed, sections=True), (), places, 4, body, found, [], (), first), overrides)


@dataclass(frozen=True, slots=True)
class _Table:
    """The beginning of a file as rows of fields, before it is known how they write times and numbers."""

    packing: Packing
    names: tuple[str, ...]
    """Of the fields of a row; none without a header."""
    places: dict[str, int]
    """Of user_id, movie_id, rating and rated_at in a row."""
    width: int
    rows: list[list[str]]
    found: str
    """A sentence."""
    assumed: list[str]
    all_names: tuple[str, ...]
    """Also of columns that are not read."""
    lines_before: int = 0
    delimiter: str = ","

    def column(self, name: str) -> list[str]:
        at = self.places[name]
        return [row[at].strip() for row in self.rows if at < len(row)]


def _form(table: _Table, overrides: Overrides) -> Form:
    sentences, assumed = [table.found], list(table.assumed)
    if table.packing.encoding == WESTERN and not overrides.encoding:
        assumed.append("It is not UTF-8: its letters are taken for Windows-1252, or --encoding says another.")
    names, places = table.names, table.places
    unit, dates = "s", None
    if "rated_at" not in places:
        assumed.append("It has no time column: each rating is taken as given now.")
    else:
        name = names[places["rated_at"]] if names else ""
        unit, dates, how = detect_times(table.column("rated_at"), name, overrides.time_unit)
        sentences.append(how)
    ratings = table.column("rating")
    comma = table.delimiter != "," and any(re.fullmatch(r"-?\d+,\d+", one) for one in ratings)
    if comma:
        sentences.append("Numbers have a decimal comma.")
    if names:
        taken = {name: names[place] for name, place in places.items()}
        sentences.append("Taken: " + ", ".join(f"{name} from {column}" for name, column in taken.items()) + ".")
        if rest := [name for name in table.all_names if name not in taken.values()]:
            sentences.append(f"Ignored: {', '.join(rest)}"[:SHOWN_CHARACTERS] + ".")
    header = Header(
        table.width,
        places["user_id"],
        places["movie_id"],
        places["rating"],
        places.get("rated_at"),
        unit,
        dates=dates,
        delimiter="\t" if table.delimiter == "::" else table.delimiter,
        decimal_comma=comma,
    )
    whole = [row for row in table.rows if len(row) == table.width]
    text_ids = tuple(name for name in ("user_id", "movie_id") if are_texts([row[places[name]] for row in whole]))
    if text_ids:
        which = " and ".join({"user_id": "users", "movie_id": "movies"}[name] for name in text_ids)
        sentences.append(f"Ids of {which} are text, such as {whole[0][places[text_ids[0]]].strip()[:40]}.")
        header = replace(header, text_ids=text_ids)
    numbers = [float(text) for one in ratings if re.fullmatch(r"-?\d+(\.\d*)?", text := one.replace(",", "."))]
    seen = (min(numbers), max(numbers)) if numbers else None
    return Form(table.packing, header, table.lines_before, tuple(sentences), tuple(assumed), seen)


def _columns_of(path: Path, names: tuple[str, ...], overrides: Overrides) -> tuple[tuple[str, ...], dict[str, int]]:
    """(the columns that are read, which field each of them is)."""
    places = _places(path, names, overrides)
    if missing := [name for name in MOVIELENS[:3] if name not in places]:
        found = ", ".join(names)[:SHOWN_CHARACTERS]
        raise UsageError(f"{path} has no column {' or '.join(missing)} among {found}; {EXPECTED}.")
    fields = [name for name in MOVIELENS if name in places]
    return tuple(names[places[name]] for name in fields), {name: at for at, name in enumerate(fields)}


def plain_name(column: str) -> str:
    """Without capitals, spaces and underscores."""
    return column.strip().lower().replace("_", "").replace(" ", "")


def _places(path: Path, names: Sequence[str], overrides: Overrides, *, sure: bool = True) -> dict[str, int]:
    """Where each field's column is. sure: the delimiter is known. Then UsageError is raised if two columns have
    the same name for a field, or one that the user names is not there."""
    plain = [plain_name(name) for name in names]
    places: dict[str, int] = {}
    for name, synonyms in SYNONYMS.items():
        if wanted := overrides.columns.get(name):
            if wanted not in [one.strip() for one in names]:
                if not sure:
                    continue
                raise UsageError(f"{path} has no column {wanted!r}, but {', '.join(names)[:SHOWN_CHARACTERS]}.")
            places[name] = [one.strip() for one in names].index(wanted)
            continue
        for synonym in synonyms:
            if plain.count(synonym) > 1 and sure:
                twice = ", ".join(names)[:SHOWN_CHARACTERS]
                raise UsageError(f"{path} has two columns for {name}: {twice}; rename or remove one of them.")
            if synonym in plain:
                places[name] = plain.index(synonym)
                break
    return places


def _is_bare(rows: list[str], mark: str) -> bool:
    """Whether the rows are ids, a number and perhaps a time, in MovieLens' order, without a header."""
    fields = [split(row, mark) for row in rows[:20]]
    width = len(fields[0])
    if not 3 <= width <= 5 or sum(len(one) == width for one in fields) < len(fields):
        return False
    ids, rating = fields[0][:2], re.fullmatch(r"\s*-?\d+([.,]\d+)?\s*", fields[0][2])
    return all(map(str.strip, ids)) and bool(rating) and (width == 3 or is_time(fields[0][3].strip()))


def split(text: str, mark: str) -> list[str]:
    """The fields of a line; none if it is no line of CSV."""
    if len(mark) > 1:
        return text.split(mark)
    try:
        return next(csv.reader([text.strip("\r\n ")], delimiter=mark, strict=True))
    except (csv.Error, StopIteration):
        return []


def _record(text: str) -> dict[str, object] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _text(line: bytes) -> str:
    return line.decode(errors="replace").strip("\r\n")


def _matters(line: bytes) -> bool:
    """Not blank, no comment, and not the line by which a spreadsheet is told the delimiter."""
    return bool(line.strip()) and not line.startswith(b"#") and not line.lower().startswith(b"sep=")
