"""How fast the events go.

In: events in time order. Out: the same events, each not before it is due. Next: `reelstream.producer.send` sends them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator

from reelstream.errors import UsageError
from reelstream.events import RatingEvent

LONGEST_SLEEP_S = 0.25
SHORTEST_SLEEP_S = 0.001


def pace(
    events: Iterable[RatingEvent],
    *,
    rate_per_s: float | None = None,
    speed: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[RatingEvent]:
    """As fast as they are taken; or `rate_per_s` events a second; or `speed` times real time, by `rated_at`.

    Event i is due at start + i / rate_per_s, or at start + (its rated_at - that of the first) / speed. Due times are
    counted from the first event, so that errors do not add up: after a pause, late events go at once until the pace is
    caught up. An event goes at most SHORTEST_SLEEP_S early: several are let go at once where they lie closer than that.
    No single sleep is longer than LONGEST_SLEEP_S, so that whoever passes `sleep` gets a turn that often, and may raise
    to stop. `clock` and `sleep` are in seconds.
    Raises UsageError at once for what `check_pace` refuses.
    """
    check_pace(rate_per_s, speed)
    if rate_per_s is not None:
        return _wait(((i / rate_per_s, event) for i, event in enumerate(events)), clock, sleep)
    if speed is not None:
        return _wait(_due_by_rated_at(events, speed), clock, sleep)
    return iter(events)


def check_pace(rate_per_s: float | None, speed: float | None) -> None:
    """Raises UsageError if both are given, or one is not above zero."""
    for name, value in (("rate", rate_per_s), ("speed", speed)):
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise UsageError(f"{name} {value:g} is not above zero; leave it out to go as fast as possible.")
    if rate_per_s is not None and speed is not None:
        raise UsageError("give a rate or a speed, not both.")


def _due_by_rated_at(events: Iterable[RatingEvent], speed: float) -> Iterator[tuple[float, RatingEvent]]:
    first_ms: int | None = None
    for event in events:
        if first_ms is None:
            first_ms = event.rated_at_ms
        yield (event.rated_at_ms - first_ms) / 1000 / speed, event


def _wait(
    due: Iterable[tuple[float, RatingEvent]], clock: Callable[[], float], sleep: Callable[[float], None]
) -> Iterator[RatingEvent]:
    start: float | None = None
    for due_s, event in due:
        if start is None:
            start = clock()
        while (ahead_s := start + due_s - clock()) > SHORTEST_SLEEP_S:
            sleep(min(ahead_s, LONGEST_SLEEP_S))
        yield event
