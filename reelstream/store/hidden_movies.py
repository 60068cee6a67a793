"""Hidden movies: on no list, while their ratings are still learned from.

In: what is to be hidden or shown again, from a command, the HTTP API or an event. Out: one Parquet file,
`movies/hidden.parquet`, replaced whole in one step. Next: whoever makes a list leaves these movies out, and whoever reads
one that was made before, too.

Of two changes of a movie the one with the later time counts, so a change that comes twice, or late, does no harm; a movie
that is shown again keeps its row for that.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from reelstream.als.arrays import I64
from reelstream.failpoint import failpoint
from reelstream.ids import Id, number_of
from reelstream.store import id_texts, pointer
from reelstream.store.id_texts import MOVIE, IdTexts
from reelstream.store.locks import one_at_a_time
from reelstream.store.schemas import HIDDEN


@dataclass(frozen=True, slots=True)
class HideChange:
    """A movie is hidden, or shown again; `at_ms` is in milliseconds since 1970-01-01 UTC."""

    movie_id: int
    hidden: bool
    at_ms: int


class HiddenMovies:
    """Any number of processes write, one after the other."""

    def __init__(self, warehouse: Path) -> None:
        self.path = warehouse / "movies" / "hidden.parquet"
        self._lock = warehouse / "run" / "hidden.lock"
        self._ids = id_texts.of_warehouse(warehouse)
        self._known: tuple[pointer.Stamp, I64] = ((-1, 0, 0), np.empty(0, np.int64))

    def stamp(self) -> pointer.Stamp:
        """What changes when a movie is hidden or shown."""
        return pointer.stamp(self.path)

    def ids(self) -> I64:
        """The hidden movies, int64[H] ascending. Costs no read while nothing has changed."""
        stamp = self.stamp()
        if self._known[0] != stamp:
            table = self.hidden()
            self._known = (stamp, np.sort(table["movie_id"].to_numpy()))
        return self._known[1]

    def hidden(self) -> pa.Table:
        """The rows of HIDDEN of the movies that are hidden, the newest first."""
        table = self._read()
        return table.filter(table["hidden"]).sort_by([("changed_at", "descending"), ("movie_id", "ascending")])

    def set(self, movie_ids: Iterable[Id], *, hidden: bool) -> None:
        """Hides the movies, or shows them again, from now on: also after a change from a clock that was ahead."""
        own = set(movie_ids)
        ids, texts = set(map(number_of, own)), self._ids.now().plus_own(MOVIE, own)
        with self._alone():
            now_ms, known = time.time_ns() // 1_000_000, self._changes()
            at_ms = {movie_id: max(now_ms, known[movie_id].at_ms + 1 if movie_id in known else 0) for movie_id in ids}
            self._apply(known, [HideChange(movie_id, hidden, at_ms[movie_id]) for movie_id in ids], texts)

    def apply(self, changes: Sequence[HideChange], texts: IdTexts | None = None) -> None:
        """Changes in their order: each counts unless a later one of its movie is there already. texts: with those of the
        movies; without, those that the warehouse knows."""
        with self._alone():
            self._apply(self._changes(), changes, texts or self._ids.now())

    def _apply(self, known: dict[int, HideChange], changes: Sequence[HideChange], texts: IdTexts) -> None:
        before = dict(known)
        for change in changes:
            last = known.get(change.movie_id)
            if last is None or last.at_ms <= change.at_ms:
                known[change.movie_id] = change
        if known != before:
            rows = [known[movie_id] for movie_id in sorted(known)]
            columns = {
                "movie_id": pa.array([row.movie_id for row in rows], pa.int64()),
                "hidden": pa.array([row.hidden for row in rows], pa.bool_()),
                "changed_at": pa.array([row.at_ms for row in rows], HIDDEN.field("changed_at").type),
            }
            pointer.write_table(texts.stored(pa.table(columns, HIDDEN)), self.path)
            failpoint("hidden-stored")

    def _changes(self) -> dict[int, HideChange]:
        table = self._read()
        columns = (table["movie_id"], table["hidden"], table["changed_at"].cast(pa.int64()))
        rows = zip(*(column.to_pylist() for column in columns), strict=True)
        return {movie_id: HideChange(movie_id, hidden, at_ms) for movie_id, hidden, at_ms in rows}

    def _read(self) -> pa.Table:
        with suppress(FileNotFoundError):
            return pointer.read_table(self.path)
        return HIDDEN.empty_table()

    def _alone(self) -> AbstractContextManager[None]:
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        return one_at_a_time(self._lock)
