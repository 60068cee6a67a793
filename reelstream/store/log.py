"""An append-only table: numbered Parquet files, compacted by levels, and one pointer that names them.

In: rows of one schema. Out: files that `CURRENT` beside them names. Next: `reelstream.store.updates`, the lists folded in,
and `reelstream.store.quality` are such tables; `reelstream.store.ratings` holds two of them by one pointer of its own.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pyarrow as pa

from reelstream.failpoint import failpoint
from reelstream.store import pointer
from reelstream.store.compaction import run_to_merge
from reelstream.store.names import inside

T = TypeVar("T")

GRACE_S = 60.0
"""How long a file that was merged into another stays on disk, for readers that had read the pointer before."""


class Log:
    """One process writes; inside it, `append` and `compact` may run in two threads. Any number read.

    A subclass gives the schema, its failpoints, and how rows are merged if not one after the other.
    """

    schema: ClassVar[pa.Schema]
    row_group_rows: ClassVar[int] = 128_000

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pointer = path / "CURRENT"
        self._lock = threading.Lock()
        self._superseded = Superseded()

    def files(self) -> list[Path]:
        """The files that the pointer names now, oldest first."""
        return [self.path / name for name, _ in self.current()["files"]]

    def current(self) -> dict[str, Any]:
        """What the pointer says: `next`, the number of the next file; `files`, each its name and level; and what
        `append` was given besides."""
        value = pointer.read(self._pointer) or {"next": 0, "files": []}
        return {**value, "files": [[inside(name), level] for name, level in value["files"]]}

    def append_rows(
        self, rows: pa.Table, *, as_stored: Callable[[pa.Table], pa.Table] | None = None, **beside: Any
    ) -> None:
        """Adds the rows, if there are any, and has the pointer say what is given `beside` them, in one step. as_stored: in the
        place of the method."""
        with self._lock:
            value = self.current()
            number, files = value["next"], value["files"]
            if rows.num_rows:
                rows = (as_stored or self.as_stored)(rows.cast(self.schema))
                files, number = [*files, [self._write(number, rows), 0]], number + 1
            self.written()
            pointer.move(self._pointer, {**value, "next": number, "files": files, **beside})
        self.stored()

    def written(self) -> None:
        """Called when appended rows are on disk, and the pointer does not name them yet; then `stored`, when it does."""

    def stored(self) -> None:
        pass

    def compact(self) -> bool:
        """Merges a run of small files (see `compaction`); True if there was one. Appends go on meanwhile.

        Superseded files are removed GRACE_S later, by a later call.
        """
        files = self.current()["files"]
        run = run_to_merge([level for _, level in files])
        if run:
            old = files[run]
            rows = self.merged([self.path / name for name, _ in old])
            with self._lock:
                value = self.current()
                new = [self._write(value["next"], self.as_stored(rows)), old[-1][1] + 1]
                failpoint("merge-written")
                files = [*replaced(value["files"], old, new)]
                pointer.move(self._pointer, {**value, "next": value["next"] + 1, "files": files})
            failpoint("merge-stored")
        if self._superseded.is_due(GRACE_S):
            self.sweep(GRACE_S)
        return bool(run)

    def merged(self, paths: Sequence[Path]) -> pa.Table:
        """The rows of some files, oldest first, as one file would have them."""
        return read_files(paths, self.schema)

    def sweep(self, grace_s: float) -> None:
        """Removes what the pointer has left behind, grace_s after the first call that finds it so."""
        named = {path.name for path in self.files()}
        newest = max(named, default="")  # a newer one is on its way into the pointer
        on_disk: list[Path] = []
        with contextlib.suppress(FileNotFoundError):  # a refit has removed the version meanwhile
            on_disk = list(self.path.glob("*.parquet"))
        self._superseded.sweep((path for path in on_disk if path.name not in named and path.name < newest), grace_s)

    def _write(self, number: int, rows: pa.Table) -> str:
        name = f"{number:012d}.parquet"
        pointer.write_table(rows, self.path / name, row_group_rows=self.row_group_rows)
        return name

    def as_stored(self, rows: pa.Table) -> pa.Table:
        """The rows as they are written."""
        return rows


class Superseded:
    """Removes files and directories that a pointer no longer names, a while after they were first found so: a reader may
    have read the pointer before."""

    def __init__(self) -> None:
        self._since_s: dict[Path, float] = {}
        self._swept_s = -math.inf

    def is_due(self, grace_s: float) -> bool:
        """Whether to look again: sweeping more often than twenty times in grace_s would only cost time."""
        return time.monotonic() - self._swept_s >= grace_s / 20

    def sweep(self, left_behind: Iterable[Path], grace_s: float) -> None:
        self._swept_s = now = time.monotonic()
        waiting = {path: self._since_s.get(path, now) for path in left_behind}
        for path, since_s in list(waiting.items()):
            if now - since_s >= grace_s:
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
                del waiting[path]
        self._since_s = waiting


def replaced(files: Sequence[T], old: Sequence[T], new: T) -> tuple[T, ...]:
    """`files` with the run `old` of them replaced by `new`; more may have been added behind it since it was read."""
    at = files.index(old[0])
    return (*files[:at], new, *files[at + len(old) :])


def read_files(
    paths: Iterable[Path],
    schema: pa.Schema,
    columns: Sequence[str] | None = None,
    where: tuple[str, Iterable[int]] | None = None,
) -> pa.Table:
    """The rows of the files, one file after the other; with no file an empty table. Raises like `pointer.read_table`."""
    names = list(columns) if columns else schema.names
    empty = pa.schema([schema.field(name) for name in names]).empty_table()
    return pa.concat_tables([empty, *(pointer.read_table(path, columns=names, where=where) for path in paths)])
