"""Fold-in: fresh top-N lists of the users that just rated, from the movie factors of the current version.

In: a micro-batch's ratings. Out: rows of USERS in `updates/` of the current version. Next: `reelstream.recommender`
merges.

When a refit publishes a new version, every user with ratings that the refit had not seen is folded into it
(`refresh`), whether
the stream was running by then or not: the version's pointer tells up to which micro-batch the refit had seen.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from reelstream.als.fold_in import FoldIn
from reelstream.settings import Settings
from reelstream.store import models
from reelstream.store.movies import MoviesStore, Titles
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore, Updates, Version
from reelstream.top_lists import folded_lists
from stream.history import COLUMNS, History


class Folder:
    """Holds the current version's factors and every user's history. Its methods may be called by any thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = RatingsStore(settings.warehouse)
        self._recommendations = RecommendationsStore(settings.warehouse)
        self._movies = MoviesStore(settings.warehouse)
        self._lock = threading.Lock()
        self._batch = self._store.state().batch
        self._history = History(self._store.read(columns=COLUMNS))
        self._loaded: _Loaded | None = None
        self._as_of = datetime.fromtimestamp(0, UTC)

    def fold(self, ratings: pa.Table, batch: int) -> int:
        """Adds a micro-batch that is in the store by now and writes its users' lists; returns how many users."""
        with self._lock:
            self._history.append(ratings)
            self._batch = batch
            if self._refresh() or self._loaded is None:
                return 0
            return self._write(np.unique(ratings["user_id"].to_numpy()))

    def refresh(self) -> bool:
        """Takes up a newly published version, or changed titles, if there is one; True if so."""
        with self._lock:
            return self._refresh()

    def _refresh(self) -> bool:
        version = self._recommendations.current_or_none()
        if version is None:
            return False
        movies_version = self._movies.version()
        if self._loaded and (self._loaded.version.name, self._loaded.movies) == (version.name, movies_version):
            return False
        titles = self._movies.titles()
        self._loaded = _Loaded(version, FoldIn(models.load(version.model_path)), movies_version, titles)
        seen = max(version.batch, self._loaded.updates.batch())
        newer = self._store.read(columns=["user_id"], after_batch=seen)
        self._write(np.unique(newer["user_id"].to_numpy()))
        return True

    def _write(self, user_ids: np.ndarray) -> int:
        assert self._loaded
        version = self._loaded.version
        self._as_of = max(datetime.now(UTC), self._as_of, version.as_of) + timedelta(milliseconds=1)
        lists = folded_lists(
            user_ids,
            self._history.of(user_ids),
            self._loaded.fold_in,
            self._loaded.titles,
            n=self._settings.top_n,
            version=version.name,
            as_of=self._as_of,
        )
        self._loaded.updates.append(lists, self._batch)
        return len(user_ids)


class _Loaded:
    def __init__(self, version: Version, fold_in: FoldIn, movies: int, titles: Titles) -> None:
        self.version = version
        self.fold_in = fold_in
        self.movies = movies
        self.titles = titles
        self.updates = Updates(version.path)
