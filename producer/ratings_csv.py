"""A MovieLens ratings.csv, read as a stream in constant memory.

In: a CSV file with a header line. Out: its good rows in blocks, in the order of the file, and every bad row to a callback.
Next: `reelstream.producer.sort` puts them in time order.

    userId,movieId,rating,timestamp
    1,296,5.0,1147880044              → (1, 296, 5.0, 1147880044000)

Columns come in any order; other columns are ignored. CSV headers are renamed here and nowhere else:

    user_id   userId, user_id         integer
    movie_id  movieId, movie_id       integer
    rating    rating                  stars
    rated_at  timestamp               seconds since 1970-01-01 UTC, or a date such as 2007-05-17T15:34:04
              rated_at                milliseconds since 1970-01-01 UTC, or such a date
              neither                 then every rating is rated at `now_ms`

A row is one line: a line break inside quotes makes a bad row, so that one stray quote costs one row and no more.
Most blocks of a file hold digits, commas and points only; Arrow parses those whole, at some millions of rows a second.
A block that has anything else, or any row that breaks a rule, is parsed line by line.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from reelstream.errors import BadRating, UsageError
from reelstream.events import MAX_AHEAD_MS, check
from reelstream.producer.csv_line import MAX_FIELD_CHARACTERS, MAX_LINE_BYTES, Header, Rules, parse_line

ROW = np.dtype([("user_id", "<i8"), ("movie_id", "<i8"), ("rating", "<f8"), ("rated_at_ms", "<i8")])
"""One good row: the fields of RatingEvent, in its order."""

RatingRows = npt.NDArray[np.void]

CHUNK_BYTES = 1 << 20
SHOWN_CHARACTERS = 200

_FIELD_OF_HEADER = {
    "userid": "user_id",
    "movieid": "movie_id",
    "rating": "rating",
    "timestamp": "rated_at",
    "ratedat": "rated_at",
}
_ALIKE = bytes.maketrans(b"123456789.", b"0000000000")
_LONG_FIELD = b"0" * (MAX_FIELD_CHARACTERS + 1)
_EXPECTED = "expected a header line such as userId,movieId,rating,timestamp (comma-separated, columns in any order)"


@dataclass(frozen=True, slots=True)
class BadRow:
    """`line_number` counts from 1, header included. `reason` starts with a word of `reelstream.events.REASONS`, or is
    "not_csv: …". `text` is the beginning of the line."""

    line_number: int
    reason: str
    text: str


class Block(NamedTuple):
    """The good rows (n,) of ROW in about CHUNK_BYTES of the file, their line numbers (n,), the bytes read so far."""

    rows: RatingRows
    line_numbers: Sequence[int]
    bytes_read: int


def read_blocks(
    path: Path, *, rating_min: float, rating_max: float, now_ms: int, on_bad: Callable[[BadRow], None]
) -> Iterator[Block]:
    """The good rows in the order of the file, many at a time. Blank lines are skipped.

    Every other line goes to `on_bad`, which may raise to stop the reading. `now_ms` is the time of the replay, in
    milliseconds since 1970: no rating may be more than a day ahead of it.
    Raises UsageError if there is no such file, or no header with the needed columns.
    """
    with _opened(path) as file:
        header, line_number = _header(file, path)
        rules = Rules(header, rating_min, rating_max, now_ms)
        bytes_read = file.tell()
        for chunk in _whole_lines(file):
            bytes_read += len(chunk)
            line_count = chunk.count(b"\n") + (not chunk.endswith(b"\n"))
            rows = _parse_block(chunk, line_count, rules)
            line_numbers: Sequence[int] = range(line_number, line_number + line_count)
            if rows is None:
                rows, line_numbers = _parse_lines(chunk, line_number, rules, on_bad)
            yield Block(rows, line_numbers, bytes_read)
            line_number += line_count


def _opened(path: Path) -> BinaryIO:
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is not a file; give the path of a ratings.csv.")
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}; give the path of a ratings.csv.") from None
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}.") from None


def _header(file: BinaryIO, path: Path) -> tuple[Header, int]:
    """The header, and the number of the line after it."""
    line, line_number = b"\n", 0
    while line and not line.strip():
        line = file.readline(MAX_LINE_BYTES + 1)
        if line_number == 0:
            line = line.removeprefix(b"\xef\xbb\xbf")
        line_number += 1
    if not line:
        raise UsageError(f"{path} is empty; {_EXPECTED}.")
    try:
        names = next(csv.reader([line.decode().strip()], strict=True))
    except (UnicodeDecodeError, csv.Error, StopIteration):
        names = []
    if len(line) > MAX_LINE_BYTES or not names:
        raise UsageError(f"{path} does not begin with a line of CSV; {_EXPECTED}.")

    places: dict[str, int] = {}
    ms_per_unit = 1
    for place, name in enumerate(names):
        plain = name.strip().lower().replace("_", "")
        field = _FIELD_OF_HEADER.get(plain)
        if field in places:
            raise UsageError(f"{path} has two columns for {field}: {', '.join(names)}; rename or remove one of them.")
        if field:
            places[field] = place
        if plain == "timestamp":
            ms_per_unit = 1000
    missing = [field for field in ("user_id", "movie_id", "rating") if field not in places]
    if missing:
        begins = ",".join(names)[:SHOWN_CHARACTERS]
        raise UsageError(f"{path} has no column {' or '.join(missing)} in its first line {begins!r}; {_EXPECTED}.")
    return Header(len(names), rated_at=places.pop("rated_at", None), ms_per_unit=ms_per_unit, **places), (
        line_number + 1
    )


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    """Whole lines, about CHUNK_BYTES at a time. The middle of an endless line is dropped; what is left is oversize."""
    rest = b""
    while data := file.read(CHUNK_BYTES):
        end = data.rfind(b"\n") + 1
        if end:
            yield rest + data[:end]
            rest = data[end:]
        else:
            rest = (rest + data)[: CHUNK_BYTES // 2]
    if rest:
        yield rest


def _parse_block(chunk: bytes, line_count: int, rules: Rules) -> RatingRows | None:
    """All `line_count` rows (n,) of ROW; None unless each line is plain and good."""
    header = rules.header
    if chunk.translate(None, b"0123456789.,\r\n") or chunk.count(b"\r") != chunk.count(b"\r\n"):
        return None
    if header.width * len(_LONG_FIELD) > MAX_LINE_BYTES or _LONG_FIELD in chunk.translate(_ALIKE):
        return None  # some lines may be too long
    types = {str(place): pa.string() for place in range(header.width)}
    types |= {str(header.user_id): pa.int64(), str(header.movie_id): pa.int64(), str(header.rating): pa.float64()}
    if header.rated_at is not None:
        types[str(header.rated_at)] = pa.int64()
    try:
        table = pa.csv.read_csv(
            pa.py_buffer(chunk),
            pa.csv.ReadOptions(column_names=list(types), use_threads=False, block_size=len(chunk) + 1),
            pa.csv.ParseOptions(quote_char=False),
            pa.csv.ConvertOptions(column_types=types, null_values=[]),
        )
    except pa.ArrowInvalid:
        return None
    if len(table) != line_count:
        return None

    def column(place: int) -> npt.NDArray[Any]:
        return np.asarray(table.column(place).combine_chunks().to_numpy(zero_copy_only=False))

    rows = np.empty(line_count, ROW)
    rows["user_id"], rows["movie_id"] = column(header.user_id), column(header.movie_id)
    rows["rating"] = rating = column(header.rating)
    good = (rows["user_id"] > 0) & (rows["movie_id"] > 0) & (rating >= rules.rating_min) & (rating <= rules.rating_max)
    if header.rated_at is None:
        rows["rated_at_ms"] = rules.now_ms
    else:
        rated_at = column(header.rated_at)
        good &= rated_at <= (rules.now_ms + MAX_AHEAD_MS) // header.ms_per_unit
        rows["rated_at_ms"] = rated_at * header.ms_per_unit
    return rows if good.all() else None


def _parse_lines(
    chunk: bytes, line_number: int, rules: Rules, on_bad: Callable[[BadRow], None]
) -> tuple[RatingRows, list[int]]:
    """The good rows (n,) of ROW and their line numbers."""
    rows, line_numbers = [], []
    checked = partial(check, rating_min=rules.rating_min, rating_max=rules.rating_max, now_ms=rules.now_ms)
    for number, line in enumerate(chunk.split(b"\n"), line_number):
        text = line.strip()
        if not text:
            continue
        try:
            event = checked(parse_line(text, rules))
        except BadRating as bad:
            on_bad(BadRow(number, str(bad), text[:SHOWN_CHARACTERS].decode(errors="replace")))
        else:
            rows.append((event.user_id, event.movie_id, event.rating, event.rated_at_ms))
            line_numbers.append(number)
    return np.array(rows, ROW), line_numbers
