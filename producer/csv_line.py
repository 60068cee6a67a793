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
_TRUTHS = {"true": 1.0, "false": 0.0}
"""Thumbs, as programs write them."""
_EXPONENT = re.compile(r"-?\d(?:\.(\d*))?[eE]\+?(\d+)")
MAX_EXPONENT = 20
"""Of a time in any unit."""
_SECONDS_DIGITS = 9
"""After the first one, of a number of seconds since 1970."""
Dates = str | None
"""DAY_FIRST, MONTH_FIRST, or a pattern of strptime."""
DAY_FIRST, MONTH_FIRST = "day first", "month first"


@dataclass(frozen=True, slots=True)
class Header:
    """Where the fields stand in a row of `width` fields; `rated_at` is None if the file has no times."""

    width: int
    user_id: int
    movie_id: int
    rating: int | None
    """None: each row is a like, a rating of 1."""
    rated_at: int | None
    unit: str = "s"
    """Of times that are numbers: a key of UNITS."""
    dates: Dates = None
    """How dates are written that do not begin with the year."""
    delimiter: str = ","
    decimal_comma: bool = False
    text_ids: tuple[str, ...] = ()
    """Which of user_id and movie_id are text, and not integers."""
    unrated: float | None = None
    """What stands for a rating that was not given."""


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
        1.0 if header.rating is None else _rating(fields[header.rating], header),
        rules.now_ms if header.rated_at is None else time_ms(fields[header.rated_at], rules),
    )


def _unquoted(text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True))
    except (csv.Error, StopIteration) as error:
        if delimiter == "\t":  # texts with quotes of their own
            return text.split(delimiter)
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
    """Whether a column of ids is text: one in twenty is no integer, and at least ten; or one in five, three of them different;
    or most; or all are as long as each other, some with zeros in front. A few others are errors."""
    given = [text for text in ids if text.strip()]
    others = [text for text in given if _is_no_integer(text)]
    if len(others) > len(given) / 2 or (len(others) >= 10 and len(others) * 20 >= len(given)):
        return True
    return (len({*others}) >= 3 and len(others) * 5 >= len(given)) or _are_codes(given)


def _are_codes(ids: Sequence[str]) -> bool:
    """Whether ids are all of one length, some with zeros in front."""
    digits = [text.strip() for text in ids]
    return (
        len(digits) > 1
        and len({len(text) for text in digits}) == 1
        and len(digits[0]) > 1
        and all(text.isdecimal() for text in digits)
        and any(text.startswith("0") for text in digits)
    )


def _is_no_integer(text: str) -> bool:
    if re.fullmatch(r"\d\.\d+[eE]\+?\d{1,2}", text.strip()):
        return False  # a number that may have lost digits
    try:
        integer("", text)
    except BadRating:
        return True
    return False


def _rating(text: str, header: Header) -> float:
    text = _given("rating", text)
    if header.decimal_comma:
        text = text.replace(",", ".")
    if (word := text.lower()) in _NOTHING:
        raise BadRating("missing_field", "no rating")
    try:
        rating = _TRUTHS[word] if word in _TRUTHS else float(text)
    except ValueError:
        raise BadRating("wrong_type", f"rating {text!r} is not a number") from None
    if rating == header.unrated:
        raise BadRating("missing_field", f"no rating: {text} stands for none")
    return rating


def time_ms(text: str, rules: Rules) -> int:
    """Milliseconds since 1970. Raises BadRating."""
    text = _given("rated_at", text)
    header = rules.header
    number = None if header.dates and header.dates.startswith("%") else _time_number(text, header)
    if number is None:
        ms = _date_ms(text, header.dates)
    else:
        unit = UNITS[header.unit]
        ms = number * unit.ms // unit.per if isinstance(number, int) else round(number * unit.ms / unit.per)
    if wrong := time_error(text, ms, rules.now_ms, number=number, unit=header.unit):
        raise BadRating("bad_time", wrong)
    return ms


def _time_number(text: str, header: Header) -> int | float | None:
    try:
        return int(text)
    except ValueError:
        pass
    found = _EXPONENT.fullmatch(text)
    if found and len(found[1] or "") < min(exponent := int(found[2]), _SECONDS_DIGITS) and exponent <= MAX_EXPONENT:
        raise BadRating("wrong_type", f"rated_at {text!r} has lost digits; write it out in full")
    if header.decimal_comma:
        text = text.replace(",", ".")
    try:
        number = float(text)
    except ValueError:
        return None
    if abs(number) > MAX_TIME:
        raise BadRating("bad_time", f"rated_at {text!r} is not a time")
    return None if math.isnan(number) else number


def _date_ms(text: str, dates: Dates) -> int:
    try:
        if dates and dates.startswith("%"):
            date = datetime.strptime(text, dates)  # noqa: DTZ007
        else:
            date = (dates and _date(text, dates)) or datetime.fromisoformat(text.replace("/", "-").removesuffix(" UTC"))
        return round((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise BadRating("wrong_type", f"rated_at {text!r} is not a time") from None


def _date(text: str, dates: Dates) -> datetime | None:
    """Raises ValueError if there is no such day."""
    found = DATE.match(text)
    if found is None:
        return None
    first, second, year, hour, minute, second_of_minute = (int(number or 0) for number in found.groups()[:6])
    day, month = (first, second) if dates == DAY_FIRST else (second, first)
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
