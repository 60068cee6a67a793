"""When a rating can have been given: the bounds of `rated_at`, and what is likely wrong with a time beyond them.

In: a time from outside, in any unit. Out: None, or a sentence. Next: `reelstream.events` checks events by it,
`reelstream.producer.csv_line` the rows of files, `reelstream.stream.parse` the plain ratings.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

SINCE_MS, UNTIL_MS = 631_152_000_000, 4_102_444_800_000
"""1990 and 2100, in milliseconds since 1970. Before the one nobody rated movies by computer, and seconds taken for
milliseconds lie there; microseconds taken for them lie after the other."""
MAX_AHEAD_MS = 24 * 3600 * 1000
"""How far a time may be ahead of the moment at which it was sent."""


class Unit(NamedTuple):
    """So many units are `ms` milliseconds times 1 / `per`."""

    name: str
    ms: int
    per: int


UNITS = {
    "s": Unit("seconds", 1000, 1),
    "ms": Unit("milliseconds", 1, 1),
    "us": Unit("microseconds", 1, 1000),
    "ns": Unit("nanoseconds", 1, 1_000_000),
}


def time_error(text: str, ms: int, sent_ms: int, *, number: float | None = None, unit: str = "ms") -> str | None:
    """What is wrong with the time `ms`, given as `text`, of a rating that was sent at `sent_ms`; both are in milliseconds
    since 1970. Where a `number` of `unit`, a key of UNITS, was given, the sentence names the unit that would fit better."""
    if SINCE_MS <= ms <= min(sent_ms + MAX_AHEAD_MS, UNTIL_MS):
        return None
    told = f"rated_at {text} is"
    if number is not None:
        told = f"{told} {_date(ms)}"
        likely = [one for one in UNITS.values() if SINCE_MS <= number * one.ms / one.per <= UNTIL_MS]
        if likely and not SINCE_MS <= ms <= UNTIL_MS:
            return f"{told}; is it in {likely[0].name}? {UNITS[unit].name} are expected"
        told += ","
    if ms < SINCE_MS:
        return f"{told} before 1990"
    if ms > UNTIL_MS:
        return f"{told} after 2100"
    return f"{told} more than a day ahead of when it was sent, {_date(sent_ms, '%Y-%m-%d %H:%M UTC')}"


def _date(ms: int, form: str = "%Y-%m-%d") -> str:
    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).strftime(form)
    except OverflowError:
        return "before the year 1" if ms < 0 else "after the year 9999"
