"""The work beside the micro-batches: versions and movies are taken up, hidden movies taken off the files, users
forgotten, small files compacted.

In: the warehouse, and the `FoldInStage` that makes its lists. Out: the same tables, in few files. Next:
`reelstream.stream.run` does it again and again, in a thread of its own.
"""

from __future__ import annotations

import time

from reelstream.store.forget import forget
from reelstream.store.ratings import RatingsStore
from reelstream.stream.fold_in import FoldInStage

MOVIES_S = 1.0
"""Seconds between two fold-ins of new movies, at the least; more where one takes long."""
MOVIES_REST = 10
"""Times as long as a fold-in of new movies took until the next one."""


class Maintenance:
    """`store` and `fold_in` are those that take the micro-batches in; the caller holds `run/stream.lock`.

    One thread calls `once`; `error` is what went wrong in the last call.
    """

    def __init__(self, store: RatingsStore, fold_in: FoldInStage) -> None:
        self.error: Exception | None = None
        self._store = store
        self._fold_in = fold_in
        self._movies_not_before = 0.0

    def once(self) -> bool:
        """Does a turn of each; True if there was something to do, so that there may be more."""
        fold_in, store = self._fold_in, self._store
        work = (
            fold_in.refresh,
            fold_in.take_off_hidden,
            self._forget,
            self._fold_in_movies,
            fold_in.compact,
            fold_in.dismissed.compact,
            fold_in.quality.flush,
            store.compact,
        )
        done, error = False, None
        for do in work:
            try:
                done = bool(do()) or done
            except Exception as failed:  # ingestion goes on, and so does the rest; status says what is wrong
                error = error or failed
        self.error = error
        return done

    def _forget(self) -> bool:
        forgotten = forget(self._store)
        if forgotten:
            asked = self._store.forgotten()
            self._fold_in.forget({user: asked[user].until_ms for user in forgotten})  # its micro-batch may not have yet
            self._fold_in.fold_again(list(forgotten))
        return bool(forgotten)

    def _fold_in_movies(self) -> bool:
        began = time.monotonic()
        if began < self._movies_not_before or not self._fold_in.fold_in_movies():
            return False
        took = time.monotonic() - began
        self._movies_not_before = began + max(MOVIES_S, took * MOVIES_REST)
        return True
