"""The published lists in memory, so that a known user's list costs no file.

In: a version's `users/` and `updates/`. Out: a user's newest list. Next: `reelstream.api.recommender` answers with it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from reelstream.als.arrays import F32, I32, I64
from reelstream.store import pointer
from reelstream.store.pointer import Stamp, consistent
from reelstream.store.recommendations import RecommendationsStore, Updates, Version


@dataclass(frozen=True, slots=True)
class PublishedList:
    """One user's list: movie_ids int64[L], scores and predicted_ratings float32[L], from the first place on."""

    movie_ids: I64
    scores: F32
    predicted_ratings: F32
    source: str
    as_of_ms: int
    goes_on: bool
    """Whether there are more places than were published."""

    @property
    def as_of(self) -> datetime:
        return datetime.fromtimestamp(self.as_of_ms / 1000, UTC)


POPULAR_ROWS = 100
"""Rows of the popular list, or `top_n` if that is more."""


def goes_on(version: Version, length: int, at_least: int = 0) -> bool:
    """Whether a list of this length was cut, as far as the version tells how long its lists may be."""
    top_n = version.info.get("top_n")
    return top_n is not None and length >= max(top_n, at_least)


class PublishedLists:
    """Reads a file once: the refit's when a version is published, an update's when the pointer first names it. Forgetting
    a user replaces files in their places, which is seen too. Thread-safe."""

    def __init__(self, warehouse: Path) -> None:
        self._published = RecommendationsStore(warehouse)
        self._lock = threading.Lock()
        self._pointer: Stamp | None = None
        self._version: _Held | None = None

    def get(self, user_id: int) -> tuple[Version, PublishedList | None]:
        """The current version, and the user's newest list in it. Raises NotReady while nothing is published."""
        held = consistent(self._current)
        return held.version, held.updated.get(user_id) or held.of_refit(user_id)

    def popular(self) -> tuple[Version, pa.Table]:
        """The current version, and its rows of POPULAR. Raises NotReady while nothing is published."""
        held = consistent(self._current)
        return held.version, held.popular

    def title(self, movie_id: int) -> str | None:
        """The title that a movie had when the version was published, if it is on anybody's list."""
        held = self._version
        return held.titles.get(movie_id) if held else None

    def up_to_date(self) -> bool:
        """Whether `get` has nothing to read."""
        held = self._version
        return (
            held is not None and self._pointer == pointer.stamp(self._published.path / "CURRENT") and held.up_to_date()
        )

    def mark(self) -> object:
        """What changes when any list does. Costs no file while nothing was published."""
        held = self._version
        here = pointer.stamp(self._published.path / "CURRENT")
        return here, held and held.version.name, held and held.stamps()

    def _current(self) -> _Held:
        with self._lock:
            stamp = pointer.stamp(self._published.path / "CURRENT")
            if self._version is None or stamp != self._pointer:
                version = self._published.current()
                if self._version is None or self._version.version != version:
                    self._version = _Held(self._published, version)
                    pa.default_memory_pool().release_unused()  # what reading took stays with Arrow otherwise
                self._pointer = stamp
            if not self._version.refresh():
                self._version = _Held(self._published, self._version.version)
                self._version.refresh()
            return self._version


class _Held:
    def __init__(self, published: RecommendationsStore, version: Version) -> None:
        self.version = version
        self.updated: dict[int, PublishedList] = {}
        self._users = version.path / "users" / "part-0.parquet"
        self._stamp = pointer.stamp(self._users)
        self.popular = published.read("popular", version)
        table = published.read("users", version)
        self._columns = _Columns.of(table)
        self.titles = _titles(table) | _titles(self.popular)
        self._updates = Updates(version.path)
        self._pointer: Stamp | None = None
        self._files: dict[Path, Stamp] = {}

    def of_refit(self, user_id: int) -> PublishedList | None:
        return self._columns.list_of(user_id, self.version)

    def stamps(self) -> tuple[Stamp, Stamp]:
        return pointer.stamp(self._users), pointer.stamp(self._updates.path / "CURRENT")

    def up_to_date(self) -> bool:
        return self.stamps() == (self._stamp, self._pointer)

    def refresh(self) -> bool:
        """Takes in update files that are new. False where a file was replaced: all is to be read anew then."""
        if pointer.stamp(self._users) != self._stamp:
            return False
        stamp = pointer.stamp(self._updates.path / "CURRENT")
        if stamp == self._pointer:
            return True
        files = {path: pointer.stamp(path) for path in self._updates.files()}
        if any(self._files.get(path, now) != now for path, now in files.items()):
            return False
        for path in files:
            if path not in self._files:
                self._take(pointer.read_table(path))
        self._files, self._pointer = files, stamp
        return True

    def _take(self, table: pa.Table) -> None:
        """A file into which others were folded has mostly lists that are known: only newer ones are taken."""
        columns = _Columns.of(table)
        for at, user_id in enumerate(columns.user_ids.tolist()):
            old = self.updated.get(user_id)
            if old is None or columns.as_of_ms[columns.starts[at]] > old.as_of_ms:
                self.updated[user_id] = columns.at(at, self.version)


@dataclass(frozen=True, slots=True)
class _Columns:
    """Rows of USERS sorted by user, then rank: the rows of user_ids[i] are starts[i] to starts[i + 1]."""

    user_ids: I64
    starts: I64
    movie_ids: I64
    scores: F32
    predicted_ratings: F32
    source: I32
    sources: list[str]
    as_of_ms: I64

    @classmethod
    def of(cls, table: pa.Table) -> _Columns:
        user_ids, first = np.unique(table["user_id"].to_numpy(), return_index=True)
        source = table["source"].combine_chunks().dictionary_encode()
        return cls(
            user_ids,
            np.append(first, table.num_rows).astype(np.int64),
            table["movie_id"].to_numpy(),
            table["score"].to_numpy(),
            table["predicted_rating"].to_numpy(),
            source.indices.to_numpy(),
            source.dictionary.to_pylist(),
            table["as_of"].cast(pa.int64()).to_numpy(),
        )

    def list_of(self, user_id: int, version: Version) -> PublishedList | None:
        at = int(np.searchsorted(self.user_ids, user_id))
        known = at < len(self.user_ids) and self.user_ids[at] == user_id
        return self.at(at, version) if known else None

    def at(self, at: int, version: Version) -> PublishedList:
        """The list of user_ids[at]."""
        rows = slice(int(self.starts[at]), int(self.starts[at + 1]))
        return PublishedList(
            self.movie_ids[rows],
            self.scores[rows],
            self.predicted_ratings[rows],
            self.sources[self.source[rows.start]],
            int(self.as_of_ms[rows.start]),
            goes_on(version, rows.stop - rows.start),
        )


def _titles(table: pa.Table) -> dict[int, str | None]:
    movie_ids, first = np.unique(table["movie_id"].to_numpy(), return_index=True)
    return dict(zip(movie_ids.tolist(), table["title"].take(pa.array(first)).to_pylist(), strict=True))
