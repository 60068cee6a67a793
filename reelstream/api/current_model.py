"""The current version's model in memory, the same for all threads of a process.

In: a warehouse. Out: the version that the pointer names, and its fold-in, movies folded in since the refit included.
Next: `reelstream.api.recommender` predicts with it.
"""

from __future__ import annotations

import threading
from pathlib import Path

import pyarrow as pa

from reelstream.als.fold_in import FoldIn
from reelstream.store import models, new_movies
from reelstream.store.pointer import Stamp, consistent, stamp
from reelstream.store.recommendations import RecommendationsStore, Version

_Files = tuple[Stamp, ...]


class CurrentModel:
    """Read from disk again only when a new version is published, movies are folded in, or a user is forgotten."""

    def __init__(self, warehouse: Path) -> None:
        self._published = RecommendationsStore(warehouse)
        self._lock = threading.Lock()
        self._loaded: tuple[str, _Files, FoldIn] | None = None

    def get(self) -> tuple[Version, FoldIn]:
        """Raises NotReady while nothing is published."""

        def look() -> tuple[Version, FoldIn]:
            version = self._published.current()
            with self._lock:
                files = _files(version)  # before they are read: one that is replaced meanwhile is read again next time
                if self._loaded is None or self._loaded[:2] != (version.name, files):
                    fold_in = FoldIn(new_movies.load_factors(version, models.load(version.model_path)))
                    self._loaded = (version.name, files, fold_in)
                    pa.default_memory_pool().release_unused()  # what reading took stays with Arrow otherwise
                return version, self._loaded[2]

        return consistent(look)


def _files(version: Version) -> _Files:
    """What changes when one of the files is replaced; a version's other files never are."""
    return stamp(version.model_path / models.USERS), stamp(version.model_path / new_movies.FACTORS)
