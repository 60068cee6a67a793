"""The published lists in memory, so that a known user's list costs no file.

In: a version's `users/`, `popular/` and `updates/`. Out: a user's newest list. Next: `reelstream.api.snapshot` holds them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from reelstream.als.arrays import F32, I32, I64, Mask
from reelstream.store import pointer
from reelstream.store.pointer import Stamp
from reelstream.store.recommendations import Version
from reelstream.store.updates import Updates


@dataclass(frozen=True, slots=True)
class PublishedList:
    """One user's list: movie_ids int64[L], scores and predicted_ratings float32[L], from the first place on."""

    movie_ids: I64
    scores: F32
    predicted_ratings: F32
    source: str
    as_of_ms: int

    def only(self, shown: Mask) -> PublishedList:
        """The places where shown bool[L] is true."""
        if shown.all():
            return self
        ids, scores, stars = self.movie_ids[shown], self.scores[shown], self.predicted_ratings[shown]
        return PublishedList(ids, scores, stars, self.source, self.as_of_ms)

    @property
    def as_of(self) -> datetime:
        return datetime.fromtimestamp(self.as_of_ms / 1000, UTC)


POPULAR_ROWS = 100
"""Rows of the popular list, or `top_n` if that is more."""


@dataclass(frozen=True, slots=True)
class PublishedLists:
    """All lists of a version: those of its refit, and those folded in since, file by file."""

    version: Version
    popular: pa.Table
    """Rows of POPULAR."""
    titles: dict[int, str | None]
    """The titles that movies had when the version was published."""
    of_refit: _Columns
    updates: dict[Path, tuple[Stamp, _Columns]]
    """In the order in which they were written."""

    @classmethod
    def read(cls, version: Version) -> PublishedLists:
        """Raises FileNotFoundError where the version was removed."""
        users, popular = (pointer.read_table(version.path / kind / "part-0.parquet") for kind in ("users", "popular"))
        return cls(version, popular, _titles(users) | _titles(popular), _Columns.of(users), {}).newer()

    def newer(self) -> PublishedLists:
        """The same with the updates as they are now; only files that are new, or were replaced, are read."""
        updates = {}
        for path in Updates(self.version.path).files():
            stamp = pointer.stamp(path)
            known = self.updates.get(path)
            updates[path] = known if known and known[0] == stamp else (stamp, _Columns.of(pointer.read_table(path)))
        return replace(self, updates=updates)

    def of(self, user_id: int) -> PublishedList | None:
        """The user's newest list: the one in the last file that has any."""
        for _, columns in reversed(self.updates.values()):
            if found := columns.list_of(user_id):
                return found
        return self.of_refit.list_of(user_id)


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

    def list_of(self, user_id: int) -> PublishedList | None:
        at = int(self.user_ids.searchsorted(user_id))
        if at == len(self.user_ids) or self.user_ids[at] != user_id:
            return None
        rows = slice(int(self.starts[at]), int(self.starts[at + 1]))
        return PublishedList(
            self.movie_ids[rows],
            self.scores[rows],
            self.predicted_ratings[rows],
            self.sources[self.source[rows.start]],
            int(self.as_of_ms[rows.start]),
        )


def _titles(table: pa.Table) -> dict[int, str | None]:
    movie_ids, first = np.unique(table["movie_id"].to_numpy(), return_index=True)
    return dict(zip(movie_ids.tolist(), table["title"].take(pa.array(first)).to_pylist(), strict=True))
