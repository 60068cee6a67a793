"""How a file writes times: the unit of numbers, which of day and month stands first, or a pattern with names of months.

In: the times of the first rows. Out: their unit, how dates are written, and a sentence.
Next: `reelstream.producer.file_form` puts them into the Form.

The unit is the one by which a number lies between 1990 and now.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import datetime

from reelstream.errors import UsageError
from reelstream.producer.csv_line import DATE, DAY_FIRST, MONTH_FIRST, Dates
from reelstream.times import MAX_AHEAD_MS, SINCE_MS, UNITS

_NUMBER = re.compile(r"-?\d+([.,]\d*)?([eE]\+?\d+)?", re.ASCII)
_COMPACT = {r"(19|20)\d{6}": "%Y%m%d", r"(19|20)\d{12}": "%Y%m%d%H%M%S"}
_PATTERNS = (
    *("%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%d %B %Y", "%d-%b-%Y"),
    *("%m %d, %Y", "%d %b %Y %H:%M:%S", "%d %B %Y %H:%M:%S", "%b %d, %Y %H:%M:%S"),
    *("%a %b %d %H:%M:%S %z %Y", "%a %b %d %H:%M:%S %Y", "%a, %d %b %Y %H:%M:%S %z"),
)
"""With names of months, and `11 14, 2023` of Amazon."""


def detect_times(values: list[str], name: str, wanted: str | None) -> tuple[str, Dates, str]:
    """(unit of numbers, how dates are written, a sentence). Raises UsageError where the order of day and month is not clear."""
    values = [value for value in values if value]
    numbers = [float(value.replace(",", ".")) for value in values if _NUMBER.fullmatch(value)]
    by_name = "ms" if name.lower().replace("_", "") == "ratedat" else "s"
    if numbers or not values:
        by_value = wanted or _unit(numbers)
        if numbers and not by_value and (compact := _compact(values)):
            return "s", compact, f"Times are dates, such as {values[0][:40]}."
        unit = by_value or by_name
        return unit, None, f"Times are in {UNITS[unit].name}."
    days = [(found, value) for value in values if (found := DATE.match(value))]
    if len(days) < len(values) / 2:
        return wanted or by_name, _pattern(values), f"Times are dates, such as {values[0][:40]}."
    day_first, month_first = (
        next((value for found, value in days if int(found[group]) > 12), None) for group in (1, 2)
    )
    if day_first and month_first:
        raise UsageError(
            f"dates have the day first, such as {day_first!r}, and the month first, such as {month_first!r}; "
            "write them as 2023-11-14."
        )
    if day_first:
        return "s", DAY_FIRST, f"Dates have the day first, such as {day_first[:40]}."
    if month_first:
        return "s", MONTH_FIRST, f"Dates have the month first, such as {month_first[:40]}."
    raise UsageError(
        f"dates such as {values[0][:40]!r} may have the day or the month first, and no date of the first rows tells which; "
        "write them as 2023-11-14."
    )


def _compact(values: Sequence[str]) -> str | None:
    return next(
        (to for digits, to in _COMPACT.items() if all(re.fullmatch(digits, one, re.ASCII) for one in values)), None
    )


def _pattern(values: Sequence[str]) -> str | None:
    return next((one for one in _PATTERNS if _fits(values[0], one)), None)


def _fits(text: str, pattern: str) -> bool:
    try:
        return bool(datetime.strptime(text, pattern))  # noqa: DTZ007
    except ValueError:
        return False


def _unit(numbers: list[float]) -> str | None:
    """The unit that puts the middle one of the numbers between 1990 and now."""
    if not numbers:
        return None
    middle, until = sorted(numbers)[len(numbers) // 2], time.time_ns() // 1_000_000 + MAX_AHEAD_MS
    return next((name for name, unit in UNITS.items() if SINCE_MS <= middle * unit.ms / unit.per <= until), None)


def is_time(text: str) -> bool:
    if re.fullmatch(r"\d+(\.\d+)?", text) or DATE.match(text):
        return True
    try:
        return bool(datetime.fromisoformat(text.replace("/", "-").removesuffix(" UTC")))
    except ValueError:
        return bool(_pattern([text]))
