"""A file of ratings, read as a stream in constant memory.

In: a path. Out: its good rows in blocks, in the order of the file, and every bad row to a callback.
Next: `reelstream.producer.sort` puts them in time order.

    userId,movieId,rating,timestamp
    1,296,5.0,1147880044              → (1, 296, 5.0, 1147880044000)

`reelstream.producer.file_form` finds out what form the file has; `reelstream.producer.file_lines` makes lines of CSV of it.
A row is one line: a line break inside quotes makes a bad row, so that one stray quote costs one row and no more.
Most blocks of a file hold numbers, commas and dates as 2005-09-06 only; Arrow parses those whole, at some millions of rows
a second. A block that has anything else, or any row that breaks a rule, is parsed line by line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from reelstream.errors import BadRating
from reelstream.events import check
from reelstream.ids import Id, number_of
from reelstream.producer.column_names import SHOWN_CHARACTERS
from reelstream.producer.csv_line import MAX_FIELD_CHARACTERS, MAX_LINE_BYTES, Rules, parse_line
from reelstream.producer.file_form import Form, detect
from reelstream.producer.file_lines import chunks
from reelstream.times import MAX_AHEAD_MS, SINCE_MS, UNITS, UNTIL_MS

ROW = np.dtype([("user_id", "<i8"), ("movie_id", "<i8"), ("rating", "<f8"), ("rated_at_ms", "<i8")])
"""One good row: the fields of RatingEvent, in its order."""

RatingRows = npt.NDArray[np.void]

_PLAIN = b"0123456789.-:T \r\n"
_ALIKE = bytes.maketrans(b"123456789.-:T ", b"00000000000000")
_LONG_FIELD = b"0" * (MAX_FIELD_CHARACTERS + 1)


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
    path: Path,
    *,
    rating_min: float,
    rating_max: float,
    now_ms: int,
    on_bad: Callable[[BadRow], None],
    form: Form | None = None,
    texts: dict[int, str] | None = None,
) -> Iterator[Block]:
    """The good rows in the order of the file, many at a time. Blank lines and comments are skipped.

    Every other line goes to `on_bad`, which may raise to stop the reading. `now_ms` is the time of the replay, in
    milliseconds since 1970: no rating may be more than a day ahead of it. form: None is found out. Rows have the numbers of
    text ids (see `reelstream.ids`); `texts` gets the texts.
    Raises UsageError if there is no such file, or it has no form that is known.
    """
    form = form or detect(path)
    texts = {} if texts is None else texts
    rules = Rules(form.header, rating_min, rating_max, now_ms)
    line_number = form.lines_before + 1
    for chunk, bytes_read in chunks(path, form.packing, form.lines_before):
        line_count = chunk.count(b"\n") + (not chunk.endswith(b"\n"))
        rows = _parse_block(chunk, line_count, rules)
        line_numbers: Sequence[int] = range(line_number, line_number + line_count)
        if rows is None:
            rows, line_numbers = _parse_lines(chunk, line_number, rules, on_bad, texts)
        elif len(rows) < line_count:
            line_numbers = [number for number, line in zip(line_numbers, chunk.split(b"\n"), strict=False) if line]
        yield Block(rows, line_numbers, bytes_read)
        line_number += line_count


def _parse_block(chunk: bytes, line_count: int, rules: Rules) -> RatingRows | None:
    """All `line_count` rows (n,) of ROW, less the blank lines; None unless each line is plain and good."""
    header = rules.header
    if (
        header.decimal_comma
        or header.text_ids
        or (header.dates or "").startswith("%")
        or len(header.delimiter.encode()) > 1
        or chunk.translate(None, _PLAIN + header.delimiter.encode())
        or chunk.count(b"\r") != chunk.count(b"\r\n")
    ):
        return None
    if header.width * len(_LONG_FIELD) > MAX_LINE_BYTES or _LONG_FIELD in chunk.translate(_ALIKE):
        return None  # some lines may be too long
    types = {str(place): pa.string() for place in range(header.width)}
    types |= {str(header.user_id): pa.int64(), str(header.movie_id): pa.int64()}
    if header.rating is not None:
        types[str(header.rating)] = pa.float64()
    if header.rated_at is not None:
        types[str(header.rated_at)] = pa.int64() if b"-" not in chunk else pa.timestamp("s")
    try:
        table = pa.csv.read_csv(
            pa.py_buffer(chunk),
            pa.csv.ReadOptions(column_names=list(types), use_threads=False, block_size=len(chunk) + 1),
            pa.csv.ParseOptions(delimiter=header.delimiter, quote_char=False),
            pa.csv.ConvertOptions(column_types=types, null_values=[]),
        )
    except pa.ArrowInvalid:
        return None
    if len(table) != line_count - chunk.count(b"\n\n") - chunk.startswith(b"\n"):
        return None

    def column(place: int) -> npt.NDArray[Any]:
        return np.asarray(table.column(place).combine_chunks().to_numpy(zero_copy_only=False))

    rows = np.empty(len(table), ROW)
    rows["user_id"], rows["movie_id"] = column(header.user_id), column(header.movie_id)
    rows["rating"] = rating = np.float64(1) if header.rating is None else column(header.rating)
    good = (
        (rows["user_id"] >= 0) & (rows["movie_id"] >= 0) & (rating >= rules.rating_min) & (rating <= rules.rating_max)
    )
    if header.unrated is not None:
        good &= rating != header.unrated
    if header.rated_at is None:
        rows["rated_at_ms"] = rules.now_ms
    else:
        rated_at = column(header.rated_at)
        is_number = rated_at.dtype == np.int64
        unit = UNITS[header.unit if is_number else "s"]
        rated_at = rated_at if is_number else rated_at.astype("datetime64[s]").astype(np.int64)
        until_ms = min(rules.now_ms + MAX_AHEAD_MS, UNTIL_MS)
        good &= (rated_at >= SINCE_MS * unit.per // unit.ms) & (rated_at <= until_ms * unit.per // unit.ms)
        rows["rated_at_ms"] = rated_at * unit.ms // unit.per
    return rows if good.all() else None


def _parse_lines(
    chunk: bytes,
    line_number: int,
    rules: Rules,
    on_bad: Callable[[BadRow], None],
    texts: dict[int, str],
) -> tuple[RatingRows, list[int]]:
    """The good rows (n,) of ROW and their line numbers."""
    rows, line_numbers, mark = [], [], rules.header.delimiter.encode()
    checked = partial(check, rating_min=rules.rating_min, rating_max=rules.rating_max, now_ms=rules.now_ms)
    for number, line in enumerate(chunk.split(b"\n"), line_number):
        text = line.strip()
        if not text or (text.startswith(b"#") and text.count(mark) < rules.header.width - 1):
            continue  # blank, or a comment
        try:
            event = checked(parse_line(text, rules))
            ids = tuple(_number_of(own, texts) for own in (event.user_id, event.movie_id))
        except BadRating as bad:
            on_bad(BadRow(number, str(bad), text[:SHOWN_CHARACTERS].decode(errors="replace")))
        else:
            rows.append((*ids, event.rating, event.rated_at_ms))
            line_numbers.append(number)
    return np.array(rows, ROW), line_numbers


def _number_of(own: Id, texts: dict[int, str]) -> int:
    number = number_of(own)
    if isinstance(own, str) and texts.setdefault(number, own) != own:
        raise BadRating("bad_id", f"{own!r} has the number of {texts[number]!r}")
    return number
