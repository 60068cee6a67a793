"""What a file of ratings is: how it is packed, encoded and divided, which column is what, and how times are written.

In: the beginning of a file, and what its user says of it. Out: a Form, with sentences for what was found and assumed.
Next: `reelstream.producer.file_lines` makes lines of it, and `reelstream.producer.ratings_csv` reads those.

Nothing is guessed from a name alone: a column is taken by its name or, without a header, by its place, and the unit of
times by which one puts them between 1990 and now.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa

from reelstream.errors import UsageError
from reelstream.producer.as_csv import flat
from reelstream.producer.column_names import (
    MOVIELENS,
    NONE,
    SHOWN_CHARACTERS,
    how_to_say,
    is_order_said,
    missing,
    places_by_name,
    places_by_number,
)
from reelstream.producer.csv_line import MAX_LINE_BYTES, Header, are_texts
from reelstream.producer.delimited import (
    BLANKS,
    DELIMITERS,
    EXPECTED,
    are_numbers,
    as_wide_as,
    is_bare,
    is_swapped,
    may_be_bare,
    names_in,
    split,
    what_is_missing,
)
from reelstream.producer.encoding import WESTERN
from reelstream.producer.file_lines import sample, table_schema
from reelstream.producer.file_times import detect_times
from reelstream.producer.packed_file import Packing, packing

SAMPLE_ROWS = 500
_MOVIE_LINE = re.compile(r"\d+:")
_WITH_THOUSANDS = re.compile(r"\d{1,3}([.,'\u00a0\u202f ]\d{3})*")


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the user says of a file; None leaves it to be detected."""

    delimiter: str | None = None
    encoding: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    """The column's name by field, or NONE; without a header its number, from 1 on."""
    time_unit: str | None = None
    """A key of UNITS."""
    unrated: str | None = None
    """The number that stands for a rating that was not given, or NONE."""


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
    has_header: bool = True
    """Its columns have names."""

    def __str__(self) -> str:
        return " ".join((*self.sentences, *self.assumed))


def detect(path: Path, overrides: Overrides | None = None) -> Form:
    """Raises UsageError if there is no such file, it cannot be unpacked, or it is no form that is known; it says what was
    found."""
    overrides = overrides or Overrides()
    packed = packing(path, overrides.encoding)
    if packed.table:
        return _table(path, packed, overrides)
    lines, whole = sample(path, packed)
    first = next((i for i, line in enumerate(lines) if _matters(line)), None)
    if first is None:
        raise UsageError(f"{path} is empty; {EXPECTED}.")
    try:
        text = lines[first].decode().strip()
    except UnicodeDecodeError:
        text = ""
    if not text or len(lines[first]) > MAX_LINE_BYTES or "\0" in text:
        raise UsageError(f"{path} does not begin with a line of CSV; {EXPECTED}.")
    rows = [_text(line) for line in (lines if whole else lines[:-1])[first:] if _matters(line)][: SAMPLE_ROWS + 1]
    if _MOVIE_LINE.fullmatch(text):
        return _netflix(path, packed, rows, first, overrides)
    if text.startswith("{"):
        if (found := _record(text)) is None:
            raise UsageError(
                f"{path} begins as JSON does, but its first line is no object of JSON: {text[:SHOWN_CHARACTERS]!r}."
            )
        return _json(path, packed, found, rows, overrides)
    comment = _text(lines[first - 1]).lstrip("# ") if first and lines[first - 1].startswith(b"#") else ""
    return _delimited(path, packed, rows, first, comment, overrides)


def _delimited(path: Path, packed: Packing, rows: list[str], first: int, comment: str, overrides: Overrides) -> Form:
    """comment: what stands above the first row, which may be the header."""
    said = overrides.columns
    tried = [overrides.delimiter] if overrides.delimiter else [*DELIMITERS, BLANKS]
    headers = {mark: fields for mark in tried if (fields := names_in(rows[0], mark))}
    if not headers:
        raise UsageError(f"{path} does not begin with a line of CSV; {EXPECTED}.")
    if rows[0].lstrip().startswith("'"):
        raise UsageError(f"{path} has single quotes around its fields; write double quotes, or none.")
    known = {mark: places_by_name(path, fields, said, sure=False) for mark, fields in headers.items()}
    mark = max(headers, key=lambda one: (len({*MOVIELENS[:3]} & {*known[one]}), one != BLANKS, len(headers[one])))
    above = names_in(comment, mark)
    names: tuple[str, ...] = (*headers[mark],)
    assumed: list[str] = []
    lines_before = first + 1
    if missing(known[mark], said) and not missing(places_by_name(path, above, said, sure=False), said):
        names, lines_before, rows = (*above,), first, [comment, *rows]
    names = as_wide_as([one for row in rows[1:] if (one := split(row, mark))], names, quoted=rows[-1].startswith('"'))
    places = places_by_name(path, names, {} if are_numbers(said) else said)
    if are_numbers(said) or missing(places, said):
        bare = next((one for one in headers if is_bare(rows, one, said)), None)
        if bare is None or not may_be_bare(said):
            raise UsageError(f"{path} {what_is_missing(rows, mark, missing(places, said), said)}")
        mark, names, lines_before = bare, (), first
        body = [split(row, mark) for row in rows]
        places = places_by_number(path, len(body[0]), said)
        if not said and is_swapped(body):
            places |= {"user_id": 1, "movie_id": 0}
            assumed.append(
                "There is no header: by its ids the first column is the movie, the second the user, then rating, time."
            )
        elif not is_order_said(said):
            assumed.append("There is no header: the columns are taken in MovieLens' order, user, movie, rating, time.")
        if lacking := missing(places, said):
            raise UsageError(f"{path} has no header; say also --column {lacking[0]}=NUMBER, from 1 to {len(body[0])}.")
    width = len(names) or len(split(rows[0], mark))
    body = [fields for row in (rows[1:] if names else rows) if len(fields := split(row, mark)) == width]
    packed = replace(packed, delimiter=mark if mark in ("::", BLANKS) else "")
    found = f"{path.name} is{packed} text with columns separated by {DELIMITERS.get(mark, 'blanks')}."
    return _form(_Table(packed, names, places, width, body, found, assumed, names, lines_before, mark), overrides)


def _json(path: Path, packed: Packing, first: dict[str, object], rows: list[str], overrides: Overrides) -> Form:
    records = [flat(one) for row in rows if (one := _record(row)) is not None]
    all_names = tuple(dict.fromkeys(name for one in [first, *records] for name in flat(one)))
    names, places = _columns_of(path, all_names, overrides)
    body = [["" if one.get(name) is None else str(one[name]) for name in names] for one in records]
    found = f"{path.name} is{packed} JSON, {'a list of objects' if packed.array else 'an object a line'}."
    packed = replace(packed, columns=names, json=True)
    return _form(_Table(packed, names, places, len(names), body, found, [], all_names), overrides)


def _table(path: Path, packed: Packing, overrides: Overrides) -> Form:
    """Of Parquet or Arrow."""
    schema = table_schema(path, packed)
    all_names = tuple(schema.names)
    names, places = _columns_of(path, all_names, overrides)
    for name in names:
        if pa.types.is_nested(kind := schema.field(name).type):
            raise UsageError(f"{path} has {kind} in its column {name}; write a number or a text there.")
    packed = replace(packed, columns=names)
    body = [split(line.decode(), ",") for line in sample(path, packed)[0][:SAMPLE_ROWS] if line]
    if "rated_at" in places and pa.types.is_timestamp(schema.field(names[places["rated_at"]]).type):
        overrides = replace(overrides, time_unit="ms")  # `chunks` makes milliseconds of them
    kind_of = "a Parquet" if packed.table == "Parquet" else "an Arrow"
    found = (
        f"{path.name} is {f'{kind_of} file' if len(packed.members) < 2 else f'{len(packed.members)} Parquet files'}."
    )
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
        assumed.append(_no_times(table, overrides))
    else:
        name = names[places["rated_at"]] if names else ""
        unit, dates, how = detect_times(table.column("rated_at"), name, overrides.time_unit)
        sentences.append(how)
    ratings = table.column("rating") if "rating" in places else []
    commas = [one for one in ratings if re.fullmatch(r"-?\d+,\d+", one)]
    comma = bool(commas) and (
        table.delimiter != "," or not all(re.fullmatch(r"-?\d{1,3},\d{3}", one) for one in commas)
    )
    if comma:
        sentences.append("Numbers have a decimal comma.")
    if names:
        taken = {name: names[place].strip(' "') for name, place in places.items()}
        sentences.append("Taken: " + ", ".join(f"{name} from {column}" for name, column in taken.items()) + ".")
        if rest := [name for name in table.all_names if name.strip(' "') not in {*taken.values(), ""}]:
            sentences.append(f"Ignored: {', '.join(rest)}"[:SHOWN_CHARACTERS] + ".")
    header = Header(
        table.width,
        places["user_id"],
        places["movie_id"],
        places.get("rating"),
        places.get("rated_at"),
        unit,
        dates=dates,
        delimiter="\t" if table.packing.delimiter else table.delimiter,
        decimal_comma=comma,
    )
    whole = [row for row in table.rows if len(row) == table.width]
    text_ids = tuple(name for name in ("user_id", "movie_id") if are_texts([row[places[name]] for row in whole]))
    if text_ids:
        _refuse_thousands(table, whole, text_ids)
        which = " and ".join({"user_id": "users", "movie_id": "movies"}[name] for name in text_ids)
        sentences.append(f"Ids of {which} are text, such as {whole[0][places[text_ids[0]]].strip()[:40]}.")
        header = replace(header, text_ids=text_ids)
    numbers = [float(text) for one in ratings if re.fullmatch(r"-?\d+(\.\d*)?", text := one.replace(",", "."))]
    unrated, how = _unrated(numbers, overrides)
    header = replace(header, unrated=unrated)
    if how:
        assumed.append(how)
    if "rating" not in places:
        assumed.append("It has no ratings: each row is taken as a like, a rating of 1.")
    rated = [number for number in numbers if number != unrated]
    seen = (min(rated), max(rated)) if rated else None
    return Form(table.packing, header, table.lines_before, tuple(sentences), tuple(assumed), seen, bool(names))


def _no_times(table: _Table, overrides: Overrides) -> str:
    if overrides.columns.get("rated_at") == NONE:
        return "Its times are not read, as you say: each rating is taken as given now."
    said = "It has no time column: each rating is taken as given now."
    alike = [name.strip() for name in table.all_names if re.search("date|time", name, re.IGNORECASE)]
    return f"{said} If that is {alike[0]}, say --column rated_at={alike[0]}." if len(alike) == 1 else said


def _unrated(numbers: Sequence[float], overrides: Overrides) -> tuple[float | None, str]:
    """(the number that stands for a rating that was not given, a sentence)."""
    if overrides.unrated is not None:
        return (None if overrides.unrated == NONE else float(overrides.unrated)), ""
    counts = Counter(numbers)
    others = {mark: [number for number in counts if number != mark] for mark in (-1.0, 0.0, 99.0)}
    next_most = max((counts[number] for number in others[0]), default=0)
    whole = max(others[0], default=0) in (4, 5, 9, 10) and all(number >= 1 and number % 1 == 0 for number in others[0])
    if counts[-1] and min(others[-1], default=-1) >= 0 and max(others[-1]) > 1:
        mark = -1.0
    elif counts[99] and others[99] and -10 <= min(others[99]) < 0 and max(others[99]) <= 10:
        mark = 99.0
    elif whole and len(numbers) >= 10 and counts[0] >= max(2 * next_most, len(numbers) / 4):
        mark = 0.0
    else:
        return None, ""
    share = counts[mark] / len(numbers)
    return (
        mark,
        f"A rating of {mark:g} ({share:.0%} of the first rows) is taken for none; --unrated none takes it as one.",
    )


def _refuse_thousands(table: _Table, rows: list[list[str]], text_ids: Sequence[str]) -> None:
    for name in text_ids:
        ids = [text for row in rows if (text := row[table.places[name]].strip())]
        if all(_WITH_THOUSANDS.fullmatch(text) for text in ids):
            example = next(text for text in ids if not text.isdecimal())
            raise UsageError(
                f"{name} {example!r} has marks between thousands; write it as {re.sub('[^0-9]', '', example)}."
            )


def _columns_of(path: Path, names: tuple[str, ...], overrides: Overrides) -> tuple[tuple[str, ...], dict[str, int]]:
    """(the columns that are read, which field each of them is)."""
    places = places_by_name(path, names, overrides.columns)
    if lacking := missing(places, overrides.columns):
        found = ", ".join(names)[:SHOWN_CHARACTERS]
        raise UsageError(f"{path} has no column {' or '.join(lacking)} among {found}; {how_to_say(lacking)}.")
    fields = [name for name in MOVIELENS if name in places]
    return tuple(names[places[name]] for name in fields), {name: at for at, name in enumerate(fields)}


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
    return bool(line.strip()) and not line.startswith((b"#", b"%")) and not line.lower().startswith(b"sep=")
