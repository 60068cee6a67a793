"""Dismissed movies: those that a user is not interested in. They are no ratings, and no model learns from them.

In: dismissals of a micro-batch, and those taken back. Out: files of DISMISSED that `dismissed/CURRENT` names. Next: whoever
makes a list for a user, or reads one that was made before, leaves these movies out as it does the rated ones.

A micro-batch with such events writes them here before `ratings/CURRENT` says that its events are in. The pointer has the
offsets up to which they are here, so what comes again after a crash is left out. A micro-batch without costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from reelstream.als.arrays import I64, Mask, latest_rows, rows_of_users
from reelstream.failpoint import failpoint
from reelstream.store import id_texts, pointer
from reelstream.store.id_texts import IdTexts
from reelstream.store.log import Log, read_files
from reelstream.store.rating_rows import next_offsets, not_yet_in, offsets_of_json, with_next
from reelstream.store.schemas import DISMISSED

_ROW = np.dtype(
    [
        ("user_id", "i8"),
        ("movie_id", "i8"),
        ("rated_at", "i8"),
        ("offset", "i8"),
        ("partition", "i4"),
        ("dismissed", "?"),
    ],
    align=True,
)
Rows = np.ndarray
_NONE: Rows = np.empty(0, _ROW)


@dataclass(frozen=True, slots=True)
class DismissedMovies:
    """All dismissals in memory, file by file, each sorted by user."""

    files: dict[Path, tuple[pointer.Stamp, Rows]] = field(default_factory=dict)

    def newer(self, paths: Sequence[Path]) -> DismissedMovies:
        """Those of the files; only files that are new, or were replaced, are read."""
        files = {}
        for path in paths:
            stamp, known = pointer.stamp(path), self.files.get(path)
            files[path] = known if known and known[0] == stamp else (stamp, _sorted(pointer.read_table(path)))
        return DismissedMovies(files)

    def of(self, user_ids: I64) -> tuple[I64, I64]:
        """(row int64[L] ascending, movie_id int64[L]): what each of the users has dismissed; user_ids int64[R] ascending."""
        rows = self._latest(user_ids)
        return np.searchsorted(user_ids, rows["user_id"]), rows["movie_id"].copy()

    def of_user(self, user_id: int) -> Rows:
        """The user's dismissals: fields movie_id, and rated_at in milliseconds since 1970."""
        return self._latest(np.array([user_id], np.int64))

    def covers(self, user_id: I64, movie_id: I64) -> Mask:
        """bool[L]: which of the pairs (user_id int64[L], movie_id int64[L]) are dismissed."""
        covered = np.zeros(len(user_id), np.bool_)
        if not self.files:
            return covered
        everybody = self._latest(np.unique(np.concatenate([rows["user_id"] for _, rows in self.files.values()])))
        at = np.flatnonzero(np.isin(user_id, everybody["user_id"]))
        known = set(zip(everybody["user_id"].tolist(), everybody["movie_id"].tolist(), strict=True))
        pairs = zip(user_id[at].tolist(), movie_id[at].tolist(), strict=True)
        covered[at] = [pair in known for pair in pairs]
        return covered

    def _latest(self, user_ids: I64) -> Rows:
        """The dismissals of the users that hold, by user, then movie."""
        if not self.files:
            return _NONE
        rows = np.concatenate([_NONE, *(rows_of_users(rows, user_ids) for _, rows in self.files.values())])
        return _newest(rows) if len(rows) else rows


class DismissedStore(Log):
    """One process writes: the stream. Thread-safe."""

    schema = DISMISSED

    def __init__(self, warehouse: Path) -> None:
        super().__init__(warehouse / "dismissed")
        self._ids = id_texts.of_warehouse(warehouse)
        self._known: tuple[object, DismissedMovies] = (None, DismissedMovies())

    def stamp(self) -> tuple[pointer.Stamp, pointer.Stamp]:
        """What changes when the dismissals do; a user is forgotten without a move of the pointer."""
        return pointer.stamp(self.path / "CURRENT"), pointer.stamp(self.path)

    def now(self) -> DismissedMovies:
        """Costs no read while nothing has changed."""

        def look() -> DismissedMovies:
            stamp = self.stamp()
            if self._known[0] != stamp:
                self._known = (stamp, self._known[1].newer(self.files()))
            return self._known[1]

        return pointer.consistent(look)

    def append(self, rows: pa.Table, batch: int, texts: IdTexts | None = None) -> None:
        """Adds rows in the columns of DISMISSED but for `batch`, the micro-batch that brings them; those that are here
        already are left out. texts: with those that the micro-batch brings."""
        offsets = offsets_of_json(self.current().get("offsets", {}))
        rows = not_yet_in(rows, offsets)
        if not rows.num_rows:
            return
        offsets = with_next(offsets, next_offsets(rows))
        rows = rows.append_column("batch", pa.repeat(pa.scalar(batch, pa.int64()), rows.num_rows))
        as_stored = texts.stored if texts else None
        self.append_rows(rows.select(DISMISSED.names), as_stored=as_stored, offsets=offsets)

    def as_stored(self, rows: pa.Table) -> pa.Table:
        return self._ids.now().stored(rows)

    def written(self) -> None:
        failpoint("dismissed-written")

    def stored(self) -> None:
        failpoint("dismissed-stored")

    def users_since(self, batch: int) -> I64:
        """Who dismissed something in a micro-batch after that one, or took it back; int64 ascending."""
        rows = pointer.consistent(lambda: read_files(self.files(), DISMISSED, ["user_id", "batch"]))
        return np.unique(rows["user_id"].to_numpy()[rows["batch"].to_numpy() > batch])

    def table(self) -> pa.Table:
        """What is dismissed now, by user, then movie: user_id, movie_id, dismissed_at."""
        rows = pointer.consistent(lambda: self.merged(self.files()))
        rows = rows.filter(rows["dismissed"]).select(["user_id", "movie_id", "rated_at"])
        return rows.rename_columns(["user_id", "movie_id", "dismissed_at"])

    def changed_at_ms(self, user_id: int) -> dict[int, int]:
        """Movie id → the time of the user's last event about it, in milliseconds since 1970."""
        one = np.array([user_id], np.int64)
        rows = [rows_of_users(rows, one) for _, rows in self.now().files.values()]
        times: dict[int, int] = {}
        for movie_id, at_ms in np.concatenate([_NONE, *rows])[["movie_id", "rated_at"]].tolist():
            times[movie_id] = max(at_ms, times.get(movie_id, at_ms))
        return times

    def merged(self, paths: Sequence[Path]) -> pa.Table:
        """The newest event of each (user, movie)."""
        rows = super().merged(paths)
        user, movie, partition, offset = (
            rows[name].to_numpy() for name in ("user_id", "movie_id", "partition", "offset")
        )
        rated_at = rows["rated_at"].cast(pa.int64()).to_numpy()
        return rows.take(pa.array(latest_rows(user, movie, rated_at, (partition, offset))))


def _sorted(table: pa.Table) -> Rows:
    rows = np.empty(table.num_rows, _ROW)
    for name in ("user_id", "movie_id", "partition", "offset"):
        rows[name] = table[name].to_numpy()
    rows["dismissed"] = table["dismissed"].to_numpy(zero_copy_only=False)
    rows["rated_at"] = table["rated_at"].cast(pa.int64()).to_numpy()
    return rows[np.argsort(rows["user_id"], kind="stable")]


def _newest(rows: Rows) -> Rows:
    place = (rows["partition"], rows["offset"])
    rows = rows[latest_rows(rows["user_id"], rows["movie_id"], rows["rated_at"], place)]
    found: Rows = rows[rows["dismissed"]]
    return found
