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
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from reelstream.errors import UsageError
from reelstream.producer.csv_line import DATE, MAX_LINE_BYTES, Dates, Header, are_texts
from reelstream.producer.file_lines import Packing, packing, parquet_schema, sample
from reelstream.times import MAX_AHEAD_MS, SINCE_MS, UNITS

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
    names: tuple[str, ...]
    """Of all columns; none without a header."""
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
        width = len(split(rows[0], mark))
        places = dict(zip(MOVIELENS, range(min(width, 4)), strict=False))
        assumed.append("There is no header: the columns are taken in MovieLens' order, user, movie, rating, time.")
    width = len(names) or len(split(rows[0], mark))
    body = [fields for row in (rows[1:] if names else rows) if len(fields := split(row, mark)) == width]
    sentences = [f"{path.name} is{packed} text with columns separated by {DELIMITERS.get(mark, repr(mark))}."]
    return _form(packed, names, places, body, first + bool(names), sentences, assumed, overrides, mark)


def _json(path: Path, packed: Packing, record: dict[str, object], rows: list[str], overrides: Overrides) -> Form:
    names = tuple(record)
    places = _needed(path, names, overrides)
    chosen = [names[place] for place in places.values()]
    records = [found for row in rows if (found := _record(row)) is not None]
    body = [["" if found.get(name) is None else str(found[name]) for name in chosen] for found in records]
    packed_places = {name: at for at, name in enumerate(places)}
    sentences = [f"{path.name} is{packed} JSON, an object a line."]
    return _form(packed, names, packed_places, body, 0, sentences, [], overrides, ",", chosen)


def _parquet(path: Path, packed: Packing, overrides: Overrides) -> Form:
    schema = parquet_schema(path)
    names = tuple(schema.names)
    places = _needed(path, names, overrides)
    chosen = [names[place] for place in places.values()]
    body = [line.decode().split(",") for line in sample(path, packed, chosen)[0][:SAMPLE_ROWS] if line]
    packed_places = {name: at for at, name in enumerate(places)}
    if "rated_at" in places and pa.types.is_timestamp(schema.field(places["rated_at"]).type):
        overrides = replace(overrides, time_unit="ms")  # `chunks` makes milliseconds of them
    sentences = [f"{path.name} is a Parquet file."]
    return _form(packed, names, packed_places, body, 0, sentences, [], overrides, ",", chosen)


def _form(
    packed: Packing,
    names: tuple[str, ...],
    places: dict[str, int],
    body: list[list[str]],
    lines_before: int,
    sentences: list[str],
    assumed: list[str],
    overrides: Overrides,
    delimiter: str,
    chosen: Sequence[str] = (),
) -> Form:
    at = places.get("rated_at")
    of_columns = chosen or names
    unit, dates = "s", None
    if at is None:
        assumed.append("It has no time column: each rating is taken as given now.")
    else:
        name = of_columns[at] if of_columns else ""
        unit, dates, how = _times([row[at].strip() for row in body if at < len(row)], name, overrides.time_unit)
        sentences.append(how)
    ratings = [row[places["rating"]].strip() for row in body if places["rating"] < len(row)]
    comma = delimiter != "," and any(re.fullmatch(r"-?\d+,\d+", one) for one in ratings)
    if comma:
        sentences.append("Numbers have a decimal comma.")
    if of_columns:
        sentences.append(
            "Taken: " + ", ".join(f"{name} from {of_columns[place]}" for name, place in places.items()) + "."
        )
        if rest := [name for name in names if name not in {of_columns[place] for place in places.values()}]:
            sentences.append(f"Ignored: {', '.join(rest)}"[:SHOWN_CHARACTERS] + ".")
    width = len(chosen) or len(names) or (len(body[0]) if body else len(places))
    header = Header(
        width,
        places["user_id"],
        places["movie_id"],
        places["rating"],
        at,
        unit,
        dates=dates,
        delimiter="\t" if delimiter == "::" else delimiter,
        decimal_comma=comma,
    )
    whole = [row for row in body if len(row) == width]
    text_ids = tuple(name for name in ("user_id", "movie_id") if are_texts([row[places[name]] for row in whole]))
    if text_ids:
        which = " and ".join({"user_id": "users", "movie_id": "movies"}[name] for name in text_ids)
        sentences.append(f"Ids of {which} are text, such as {whole[0][places[text_ids[0]]].strip()[:40]}.")
        header = replace(header, text_ids=text_ids)
    packed = packed.of_columns(chosen, double_colons=delimiter == "::")
    numbers = [float(text) for one in ratings if re.fullmatch(r"-?\d+(\.\d*)?", text := one.replace(",", "."))]
    seen = (min(numbers), max(numbers)) if numbers else None
    return Form(packed, header, names, lines_before, tuple(sentences), tuple(assumed), seen)


def _needed(path: Path, names: tuple[str, ...], overrides: Overrides) -> dict[str, int]:
    places = _places(path, names, overrides)
    if missing := [name for name in MOVIELENS[:3] if name not in places]:
        found = ", ".join(names)[:SHOWN_CHARACTERS]
        raise UsageError(f"{path} has no column {' or '.join(missing)} among {found}; {EXPECTED}.")
    return {name: places[name] for name in MOVIELENS if name in places}


def _places(path: Path, names: Sequence[str], overrides: Overrides, *, sure: bool = True) -> dict[str, int]:
    """Where each field's column is. sure: the delimiter is known. Then UsageError is raised if two columns have
    the same name for a field, or one that the user names is not there."""
    plain = [name.strip().lower().replace("_", "").replace(" ", "") for name in names]
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


def _times(values: list[str], name: str, wanted: str | None) -> tuple[str, Dates, str]:
    """(unit of numbers, how dates are written, a sentence)."""
    numbers = [float(value) for value in values if re.fullmatch(r"-?\d+(\.\d*)?", value)]
    plain = name.lower().replace("_", "")
    by_name = "ms" if plain == "ratedat" else "s"
    if numbers or not values:
        unit = wanted or _unit(numbers) or by_name
        return unit, None, f"Times are in {UNITS[unit].name}."
    days = [found for value in values if (found := DATE.match(value))]
    if len(days) < len(values) / 2 or not days:
        return wanted or by_name, None, f"Times are dates, such as {next(iter(values), '')[:40]}."
    first, second = (max(int(found[group]) for found in days) for group in (1, 2))
    if first > 12:
        return "s", "day first", f"Dates have the day first, such as {values[0][:40]}."
    if second > 12:
        return "s", "month first", f"Dates have the month first, such as {values[0][:40]}."
    raise UsageError(
        f"dates such as {values[0][:40]!r} may have the day or the month first, and no date of the first rows tells which; "
        "write them as 2023-11-14."
    )


def _unit(numbers: list[float]) -> str | None:
    """The unit that puts the middle one of the numbers between 1990 and now."""
    if not numbers:
        return None
    middle, until = sorted(numbers)[len(numbers) // 2], time.time_ns() // 1_000_000 + MAX_AHEAD_MS
    return next((name for name, unit in UNITS.items() if SINCE_MS <= middle * unit.ms / unit.per <= until), None)


def _is_bare(rows: list[str], mark: str) -> bool:
    """Whether the rows are ids, a number and perhaps a time, in MovieLens' order, without a header."""
    fields = [split(row, mark) for row in rows[:20]]
    width = len(fields[0])
    if not 3 <= width <= 5 or sum(len(one) == width for one in fields) < len(fields):
        return False
    ids, rating = fields[0][:2], re.fullmatch(r"\s*\d+([.,]\d+)?\s*", fields[0][2])
    return all(map(str.strip, ids)) and bool(rating) and (width == 3 or _is_time(fields[0][3].strip()))


def _is_time(text: str) -> bool:
    if re.fullmatch(r"\d+(\.\d+)?", text) or DATE.match(text):
        return True
    try:
        return bool(datetime.fromisoformat(text))
    except ValueError:
        return False


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
