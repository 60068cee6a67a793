"""When to refit: after enough new ratings, or after enough time with any, whichever comes first.

In: the ratings store's counts and the current version's. Out: calls of `refit`, one at a time, beside the ingestion;
and `run/trigger.json` for `reelstream status`. Next: `reelstream.batch.refit`, in a process of its own.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from reelstream.settings import Settings
from reelstream.store import run_files
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore

RETRY_S = (10.0, 30.0, 60.0, 300.0, 900.0)
"""Seconds after a failed refit until the next try; the last one repeats."""

TICK_S = 0.5


@dataclass
class Due:
    """Decides from counts and a clock alone. `after_s` counts from the first rating that no refit has seen."""

    after_ratings: int
    after_s: float
    _waiting_since: float | None = None
    _failures: int = 0
    _not_before: float = 0.0

    def now(self, new_ratings: int, clock_s: float, *, owed: bool = False) -> bool:
        """True if a refit is due: new_ratings came since the last one, at clock_s of a steady clock. owed: one is due without
        new ratings too."""
        if new_ratings <= 0:
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = clock_s
        if clock_s < self._not_before:
            return False
        if owed or self._waiting_since is None:
            return owed
        return new_ratings >= self.after_ratings or clock_s - self._waiting_since >= self.after_s

    def in_s(self, clock_s: float) -> float | None:
        """Seconds until one is due by time, or may be retried; None while no new rating waits."""
        if self._waiting_since is None:
            return None
        return max(0.0, self._waiting_since + self.after_s - clock_s, self._not_before - clock_s)

    def done(self) -> None:
        self._failures, self._not_before, self._waiting_since = 0, 0.0, None

    def failed(self, clock_s: float) -> float:
        """Puts the next try off; returns for how many seconds."""
        wait_s = RETRY_S[min(self._failures, len(RETRY_S) - 1)]
        self._failures += 1
        self._not_before = clock_s + wait_s
        return wait_s


class Trigger:
    """`with Trigger(settings, refit): …` runs a thread that calls `refit()`, which raises if it fails."""

    def __init__(self, settings: Settings, refit: Callable[[threading.Event], None]) -> None:
        self._settings = settings
        self._refit = refit
        self._due = Due(settings.refit_after_ratings, settings.refit_after_minutes * 60)
        self._store = RatingsStore(settings.warehouse)
        self._recommendations = RecommendationsStore(settings.warehouse)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reelstream-trigger", daemon=True)
        self._error: str | None = None
        self._next_try_at_s: float | None = None

    def __enter__(self) -> Trigger:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        new = 0
        while not self._stopping.wait(TICK_S):
            try:
                new = self._new_ratings()
                if self._due.now(new, time.monotonic(), owed=self._is_search_owed()):
                    self._report("refitting", new)
                    self._refit(self._stopping)
                    self._due.done()
                    self._error, self._next_try_at_s = None, None
                    new = self._new_ratings()
            except Exception as error:  # whatever it was: were this thread to end, no refit would ever come again
                if not self._stopping.is_set():
                    now_s = time.monotonic()
                    self._error = str(error) or type(error).__name__
                    self._next_try_at_s = now_s + self._due.failed(now_s)
            self._report("waiting", new)

    def _new_ratings(self) -> int:
        """Ratings that no refit has seen, be it one that was held back; after a rollback those that came since, so that a refit
        does not take its place at once."""
        version = self._recommendations.current_or_none()
        held_back = self._recommendations.held_back() or {}
        seen = max(version.calls_from if version else 0, int(held_back.get("accepted", 0)))
        return self._store.state().accepted - seen

    def _is_search_owed(self) -> bool:
        """The first version of a warehouse has the settings that are shipped; the next one searches, at once, but not where the
        first one has just been rolled back to."""
        version = self._recommendations.current_or_none()
        if not self._settings.self_tuning or not version or version.rolled_back:
            return False
        if not (version.info.get("tuning") or {}).get("search_next"):
            return False
        held_back = (self._recommendations.held_back() or {}).get("tuning") or {}
        return held_back.get("how") != "search"

    def _report(self, state: str, new_ratings: int) -> None:
        due_in_s = self._due.in_s(time.monotonic())
        status: dict[str, Any] = {
            "state": state,
            "pid": os.getpid(),
            "updated_at": datetime.now(UTC).isoformat(),
            "new_ratings": new_ratings,
            "refit_after_ratings": self._settings.refit_after_ratings,
            "refit_after_minutes": self._settings.refit_after_minutes,
            "due_in_s": None if due_in_s is None else round(due_in_s, 1),
            "error": self._error,
            "next_try_in_s": self._next_try_at_s and round(max(0.0, self._next_try_at_s - time.monotonic()), 1),
        }
        run_files.write(self._settings.warehouse, "trigger", status)
