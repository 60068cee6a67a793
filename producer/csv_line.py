"""One line of CSV into one rating event, by plain Python: any order, quotes, and a named reason for what does not fit.

In: the bytes of a line, and where its fields stand. Out: a RatingEvent, or BadRating.
Next: `reelstream.producer.ratings_csv` uses it for the lines that its fast way does not take.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from reelstream.errors import BadRating
from reelstream.events import RatingEvent
from reelstream.ids import Id
from reelstream.times import UNITS, time_error

MAX_LINE_BYTES = 10_000
MAX_FIELD_CHARACTERS = 40
EXACT_DIGITS = 15
"""Of a number with an exponent: a spreadsheet writes no more, and what it left out is lost."""
MAX_TIME = 1e300
"""In any unit; such a number times 1,000 is not yet infinite."""
DATE = re.compile(
    r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})(?:[ T](\d{1,2}):(\d{2})(?::(\d{2}))?\s*([AaPp][Mm])?)?$", re.ASCII
)
"""Two numbers of which one is the day and one the month, the year, and a time of 24 or of 12 hours."""

_NOTHING = ("null", "none", "na", "n/a", "\\n", "-")
"""Words for a rating that was not given."""
Dates = Literal["day first", "month first"] | None


@dataclass(frozen=True, slots=True)
class Header:
    """Where the fields stand in a row of `width` fields; `rated_at` is None if the file has no times."""

    width: int
    user_id: int
    movie_id: int
    rating: int
    rated_at: int | None
    unit: str = "s"
    """Of times that are numbers: a key of UNITS."""
    dates: Dates = None
    """How dates are written that do not begin with the year."""
    delimiter: str = ","
    decimal_comma: bool = False
    text_ids: tuple[str, ...] = ()
    """Which of user_id and movie_id are text, and not integers."""


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
        raise BadRating("not_utf8", "bytes that are not UTF-8; --encoding says another, such as cp1252") from None
    if "\0" in text:
        raise BadRating("not_csv", "a NUL byte")
    fields = _unquoted(text, header.delimiter) if '"' in text else text.split(header.delimiter)
    if len(fields) != header.width:
        raise BadRating("not_csv", f"{len(fields)} fields where the header has {header.width}")
    return RatingEvent(
        _id("user_id", fields[header.user_id], header),
        _id("movie_id", fields[header.movie_id], header),
        _number("rating", fields[header.rating], header.decimal_comma),
        rules.now_ms if header.rated_at is None else time_ms(fields[header.rated_at], rules),
    )


def _unquoted(text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True))
    except (csv.Error, StopIteration) as error:
        raise BadRating("not_csv", str(error)) from None


def _id(name: str, text: str, header: Header) -> Id:
    if name not in header.text_ids:
        return integer(name, text)
    text = text.strip()
    if not text:
        raise BadRating("missing_field", f"no {name}")
    return text


def integer(name: str, text: str) -> int:
    text = _given(name, text)
    try:
        return int(text)
    except ValueError:
        pass
    whole, _, zeros = text.partition(".")
    if not zeros.strip("0") and whole.isdecimal():  # as a table with missing values writes whole numbers
        return int(whole)
    found = re.fullmatch(r"(\d)(?:\.(\d+))?[eE]\+?(\d{1,2})", text)
    if found and len(found[2] or "") <= int(found[3]) < EXACT_DIGITS:
        return int(found[1] + (found[2] or "").ljust(int(found[3]), "0"))
    if found:
        raise BadRating("wrong_type", f"{name} {text!r} has lost digits; write it out in full")
    raise BadRating("wrong_type", f"{name} {text!r} is not an integer")


def are_texts(ids: Sequence[str]) -> bool:
    """Whether a column of ids is text: one in twenty is no integer, and at least ten, or most are. A few others are errors."""
    given = [text for text in ids if text.strip()]
    others = sum(map(_is_no_integer, given))
    return others > len(given) / 2 or (others >= 10 and others * 20 >= len(given))


def _is_no_integer(text: str) -> bool:
    try:
        integer("", text)
    except BadRating:
        return True
    return False


def _number(name: str, text: str, decimal_comma: bool) -> float:
    text = _given(name, text)
    if decimal_comma:
        text = text.replace(",", ".")
    if text.lower() in _NOTHING:
        raise BadRating("missing_field", f"no {name}")
    try:
        return float(text)
    except ValueError:
        raise BadRating("wrong_type", f"{name} {text!r} is not a number") from None


def time_ms(text: str, rules: Rules) -> int:
    """Milliseconds since 1970. Raises BadRating."""
    text = _given("rated_at", text)
    header = rules.header
    number = _time_number(text)
    if number is None:
        ms = _date_ms(text, header.dates)
    else:
        unit = UNITS[header.unit]
        ms = number * unit.ms // unit.per if isinstance(number, int) else round(number * unit.ms / unit.per)
    if wrong := time_error(text, ms, rules.now_ms, number=number, unit=header.unit):
        raise BadRating("bad_time", wrong)
    return ms


def _time_number(text: str) -> int | float | None:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return None
    if abs(number) > MAX_TIME:
        raise BadRating("bad_time", f"rated_at {text!r} is not a time")
    return None if math.isnan(number) else number


def _date_ms(text: str, dates: Dates) -> int:
    try:
        date = (dates and _date(text, dates)) or datetime.fromisoformat(text.replace("/", "-"))
        return round((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise BadRating("wrong_type", f"rated_at {text!r} is not a time") from None


def _date(text: str, dates: Dates) -> datetime | None:
    """Raises ValueError if there is no such day."""
    found = DATE.match(text)
    if found is None:
        return None
    first, second, year, hour, minute, second_of_minute = (int(number or 0) for number in found.groups()[:6])
    day, month = (first, second) if dates == "day first" else (second, first)
    if half := (found[7] or "").lower():
        hour = hour % 12 + (12 if half == "pm" else 0)
    return datetime(year, month, day, hour, minute, second_of_minute, tzinfo=UTC)


def _given(name: str, text: str) -> str:
    text = text.strip()
    if not text:
        raise BadRating("missing_field", f"no {name}")
    if len(text) > MAX_FIELD_CHARACTERS or "_" in text or not text.isascii():
        # Python would take 1_000, digits of other scripts, and integers of thousands of digits.
        raise BadRating("wrong_type", f"{name} {text[:MAX_FIELD_CHARACTERS]!r} is not a number")
    return text
