"""How a file writes times: the unit of numbers, or which of day and month stands first.

In: the times of the first rows. Out: their unit or order, and a sentence.
Next: `reelstream.producer.file_form` puts them into the Form.

The unit is the one by which a number lies between 1990 and now.
"""

from __future__ import annotations

import re
import time
from datetime import datetime

from reelstream.errors import UsageError
from reelstream.producer.csv_line import DATE, Dates
from reelstream.times import MAX_AHEAD_MS, SINCE_MS, UNITS


def detect_times(values: list[str], name: str, wanted: str | None) -> tuple[str, Dates, str]:
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


def is_time(text: str) -> bool:
    if re.fullmatch(r"\d+(\.\d+)?", text) or DATE.match(text):
        return True
    try:
        return bool(datetime.fromisoformat(text.replace("/", "-")))
    except ValueError:
        return False
