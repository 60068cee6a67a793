"""What the times of events tell of clocks: how long events waited in Kafka, and which clocks are ahead.

In: the times of a micro-batch. Out: a few figures, of which none is ruined by a record whose time is nonsense. Next:
`reelstream.stream.run` writes them into `run/stream.json`, and `reelstream.api.status` warns by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reelstream.als.arrays import I64
from reelstream.times import MAX_AHEAD_MS, SINCE_MS

AHEAD_MS = 5 * 60_000
"""A rating's time so far beyond its record's time tells of a clock that is ahead; less may be a slow network."""
RECENT = 5_000
"""Ratings that are looked at, with the rest of their micro-batch."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """Of so many ratings, how many come from a clock that is ahead, and by how much in the median."""

    ratings: int = 0
    ahead: int = 0
    ahead_s: float | None = None

    def figures(self) -> dict[str, float | None]:
        """What `status` shows."""
        share = self.ahead / self.ratings if self.ratings else 0.0
        return {"ratings": self.ratings, "ahead": self.ahead, "share": round(share, 4), "ahead_s": self.ahead_s}


NONE_AHEAD = Ahead()


def waited_s(received_at_ms: I64, now_ms: int) -> tuple[float | None, int]:
    """How long records had waited until now_ms, in seconds (their median; None if no record tells), and how many were left
    out, as they are from before 1990 or from more than a day ahead.

    received_at_ms: int64[N], N > 0, the records' own times in milliseconds since 1970.
    """
    plausible = received_at_ms[(received_at_ms >= SINCE_MS) & (received_at_ms <= now_ms + MAX_AHEAD_MS)]
    left_out = len(received_at_ms) - len(plausible)
    if not len(plausible):
        return None, left_out
    return max(0.0, (now_ms - float(np.median(plausible))) / 1000), left_out


def ahead_of_records(rated_at_ms: I64, received_at_ms: I64) -> Ahead:
    """The ratings of one micro-batch; both int64[N]."""
    by_ms = rated_at_ms - received_at_ms
    ahead = by_ms[by_ms > AHEAD_MS]
    return Ahead(len(by_ms), len(ahead), float(np.median(ahead)) / 1000 if len(ahead) else None)


def recent(batches: Sequence[Ahead]) -> Ahead:
    """The newest micro-batches, oldest first, taken as one: as many as have RECENT ratings."""
    taken: list[Ahead] = []
    ratings = 0
    for batch in reversed(batches):
        if ratings >= RECENT:
            break
        taken.append(batch)
        ratings += batch.ratings
    by_s = sorted((batch.ahead_s, batch.ahead) for batch in taken if batch.ahead_s is not None)
    if not by_s:
        return Ahead(ratings)
    reached = np.cumsum([ahead for _, ahead in by_s])
    return Ahead(ratings, int(reached[-1]), by_s[int(np.searchsorted(reached, reached[-1] / 2))][0])
