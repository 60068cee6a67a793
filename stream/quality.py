"""Live quality: the Scores of each micro-batch, added up for `status` and for the table `quality/`.

In: Scores of `reelstream.stream.prequential`. Out: a row of QUALITY for each minute with ratings, and `summary()` for
`reelstream status`. Next: `reelstream.store.quality`.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from reelstream.store.quality import QualityStore
from reelstream.store.quality_figures import SUMS
from reelstream.store.schemas import QUALITY
from reelstream.stream.prequential import Scores

SLIDING_RATINGS = 10_000
"""The sliding figures are of the newest micro-batches that hold so many scored ratings: the fewest that do, so a few
ratings more; all there are while they hold fewer."""
ROW_AFTER = timedelta(minutes=1)


class Quality:
    """Adds up; `add`, `flush`, `summary` and `close` may be called by any thread.

    Totals, and the sliding figures by the row, survive a restart: they are read from the table. A crash loses at most
    the scores that are in no row yet, those of the last minute; the ratings themselves are in the store.
    """

    def __init__(self, warehouse: Path) -> None:
        """Raises DamagedStore if the table is damaged."""
        self._store = QualityStore(warehouse)
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._open: _Interval | None = None
        self._ended: list[_Interval] = []
        self._recent: deque[tuple[datetime, Scores]] = deque()
        self._sliding = Scores()
        rows = self._store.read()
        rows = rows.filter(pc.is_valid(rows["gain"]))  # those of an older reelstream lack sums, and stay for themselves
        self._total = Scores(**{name: pc.sum(rows[name]).as_py() or 0 for name in SUMS})
        for row in rows.slice(max(0, rows.num_rows - SLIDING_RATINGS)).to_pylist():  # a row has a rating at least
            self._slide(row["started_at"], Scores(**{name: row[name] for name in SUMS}))

    def add(self, scores: Scores, version: str, at: datetime) -> None:
        """Adds the scores of a micro-batch that is in the ratings store by now. No file work.

        version: the one that they are of. at: aware, when the micro-batch was scored.
        """
        if not scores.ratings:
            return
        with self._lock:
            self._total += scores
            self._slide(at, scores)
            if self._open and self._open.version != version:
                self._end()
            self._open = self._open.more(scores, at) if self._open else _Interval(at, at, version, scores)

    def flush(self, now: datetime | None = None) -> None:
        """Writes a row once a minute has passed since its first rating, or its version is no longer the current one.

        now: aware; by default the time it is. What cannot be written stays for the next call; raises MissingRequirement
        if the disk is full.
        """
        now = now or datetime.now(UTC)
        self._write(lambda interval: abs(now - interval.started_at) >= ROW_AFTER)  # abs: a clock may be set back

    def close(self) -> None:
        """Writes what is in no row yet."""
        self._write(lambda _interval: True)

    def summary(self) -> dict[str, Any]:
        """JSON-ready: `total` and `sliding`, each with ratings, liked and `Scores.figures`; `since` says when the first of the
        sliding ones was scored."""
        with self._lock:
            total, sliding = self._total, self._sliding
            since = self._recent[0][0].isoformat() if self._recent else None
        return {"total": _counted(total), "sliding": {**_counted(sliding), "since": since}}

    def _slide(self, at: datetime, scores: Scores) -> None:
        self._recent.append((at, scores))
        self._sliding += scores
        while self._sliding.ratings - self._recent[0][1].ratings >= SLIDING_RATINGS:
            self._sliding -= self._recent.popleft()[1]

    def _write(self, due: Callable[[_Interval], bool]) -> None:
        with self._writing:
            with self._lock:
                if self._open and due(self._open):
                    self._end()
                ended = list(self._ended)
            if ended:
                self._store.append(_rows(ended))
                with self._lock:
                    del self._ended[: len(ended)]

    def _end(self) -> None:
        assert self._open
        self._ended.append(self._open)
        self._open = None


@dataclass(frozen=True, slots=True)
class _Interval:
    """A row to be: from its first micro-batch to its last one."""

    started_at: datetime
    ended_at: datetime
    version: str
    scores: Scores

    def more(self, scores: Scores, at: datetime) -> _Interval:
        return replace(self, ended_at=max(self.ended_at, at), scores=self.scores + scores)


def _rows(intervals: list[_Interval]) -> pa.Table:
    rows = [
        {
            "started_at": interval.started_at,
            "ended_at": interval.ended_at,
            "version": interval.version,
            **asdict(interval.scores),
            **interval.scores.figures(),
        }
        for interval in intervals
    ]
    return pa.Table.from_pylist(rows, schema=QUALITY)


def _counted(scores: Scores) -> dict[str, Any]:
    return {"ratings": scores.ratings, "liked": scores.liked, **scores.figures()}
