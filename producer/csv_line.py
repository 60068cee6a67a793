"""One line of CSV into one rating event, by plain Python: any order, quotes, and a named reason for what does not fit.

In: the bytes of a line, and where its fields stand. Out: a RatingEvent, or BadRating.
Next: `reelstream.producer.ratings_csv` uses it for the lines that its fast way does not take.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import UTC, datetime

from reelstream.errors import BadRating
from reelstream.events import RatingEvent

MAX_LINE_BYTES = 10_000
MAX_FIELD_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class Header:
    """Where the fields stand in a row of `width` fields; `rated_at` is None if the file has no times."""

    width: int
    user_id: int
    movie_id: int
    rating: int
    rated_at: int | None
    ms_per_unit: int


@dataclass(frozen=True, slots=True)
class Rules:
    header: Header
    rating_min: float
    rating_max: float
    now_ms: int


def parse_line(line: bytes, rules: Rules) -> RatingEvent:
    """The event in one line of CSV, not yet checked against the scale and the clock.

    Raises BadRating with a reason of `reelstream.events.REASONS`, or "not_csv".
    """
    header = rules.header
    if len(line) > MAX_LINE_BYTES:
        raise BadRating("oversize", f"a line of more than {MAX_LINE_BYTES} bytes")
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise BadRating("not_utf8", "bytes that are not UTF-8") from None
    if "\0" in text:
        raise BadRating("not_csv", "a NUL byte")
    fields = _unquoted(text) if '"' in text else text.split(",")
    if len(fields) != header.width:
        raise BadRating("not_csv", f"{len(fields)} fields where the header has {header.width}")
    return RatingEvent(
        _integer("user_id", fields[header.user_id]),
        _integer("movie_id", fields[header.movie_id]),
        _number("rating", fields[header.rating]),
        rules.now_ms if header.rated_at is None else _time_ms(fields[header.rated_at], header.ms_per_unit),
    )


def _unquoted(text: str) -> list[str]:
    try:
        return next(csv.reader([text], strict=True))
    except (csv.Error, StopIteration) as error:
        raise BadRating("not_csv", str(error)) from None


def _integer(name: str, text: str) -> int:
    text = _given(name, text)
    try:
        return int(text)
    except ValueError:
        raise BadRating("wrong_type", f"{name} {text!r} is not an integer") from None


def _number(name: str, text: str) -> float:
    text = _given(name, text)
    try:
        return float(text)
    except ValueError:
        raise BadRating("wrong_type", f"{name} {text!r} is not a number") from None


def _time_ms(text: str, ms_per_unit: int) -> int:
    text = _given("rated_at", text)
    try:
        return int(text) * ms_per_unit
    except ValueError:
        pass
    try:
        return round(float(text) * ms_per_unit)
    except ValueError:
        pass
    except OverflowError:  # an infinity
        raise BadRating("bad_time", f"rated_at {text!r} is not a time") from None
    try:
        date = datetime.fromisoformat(text)
        return round((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise BadRating("wrong_type", f"rated_at {text!r} is not a time") from None


def _given(name: str, text: str) -> str:
    text = text.strip()
    if not text:
        raise BadRating("missing_field", f"no {name}")
    if len(text) > MAX_FIELD_CHARACTERS or "_" in text or not text.isascii():
        # Python would take 1_000, digits of other scripts, and integers of thousands of digits.
        raise BadRating("wrong_type", f"{name} {text[:MAX_FIELD_CHARACTERS]!r} is not a number")
    return text
