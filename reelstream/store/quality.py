"""The quality table: how well live ratings were predicted, a row for each minute with ratings.

In: rows of QUALITY. Out: files in `quality/` that `quality/CURRENT` names. Next: `reelstream.stream.quality` takes its
totals from them at a start; any Parquet reader adds up the rows of a window. It holds no user's id.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from reelstream.failpoint import failpoint
from reelstream.store import pointer
from reelstream.store.compaction import run_to_merge
from reelstream.store.names import inside
from reelstream.store.schemas import QUALITY

GRACE_S = 60.0
"""How long a file that was folded into another stays on disk, for readers that had read the pointer before."""


class QualityStore:
    """One process writes (the stream), one thread at a time; any number read."""

    def __init__(self, warehouse: Path) -> None:
        self.path = warehouse / "quality"
        self._pointer = self.path / "CURRENT"
        self._superseded: dict[Path, float] = {}

    def append(self, rows: pa.Table) -> None:
        """Adds rows of QUALITY, in one step, and compacts a run of small files (see `compaction`).

        Superseded files, and those that a crash left, are removed GRACE_S later, by a later call.
        """
        if not rows.num_rows:
            return
        value = self._current()
        number, files = value["next"], [*value["files"], [self._write(value["next"], rows.cast(QUALITY)), 0]]
        while run := run_to_merge([level for _, level in files]):
            number += 1
            merged = self._write(number, self._rows([name for name, _ in files[run]]))
            files[run] = [[merged, files[run][-1][1] + 1]]
        failpoint("quality-written")
        pointer.move(self._pointer, {"next": number + 1, "files": files})
        failpoint("quality-stored")
        self._sweep({name for name, _ in files})

    def read(self) -> pa.Table:
        """All rows in the order they were appended; empty where none ever was.

        Raises DamagedStore if a file is missing, cut short or does not fit its checksums.
        """
        return pointer.consistent(lambda: self._rows([name for name, _ in self._current()["files"]]))

    def _current(self) -> dict[str, Any]:
        value = pointer.read(self._pointer) or {"next": 0, "files": []}
        return {**value, "files": [[inside(name), level] for name, level in value["files"]]}

    def _rows(self, names: Sequence[str]) -> pa.Table:
        return pa.concat_tables([QUALITY.empty_table(), *(pointer.read_table(self.path / name) for name in names)])

    def _write(self, number: int, rows: pa.Table) -> str:
        name = f"{number:012d}.parquet"
        pointer.write_table(rows, self.path / name)
        return name

    def _sweep(self, named: set[str]) -> None:
        now = time.monotonic()
        for path in self.path.glob("*.parquet"):
            if path.name not in named and now - self._superseded.setdefault(path, now) > GRACE_S:
                path.unlink(missing_ok=True)
                del self._superseded[path]
