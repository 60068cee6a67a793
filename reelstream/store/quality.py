"""The quality table: how well live ratings were predicted, a row for each minute with ratings.

In: rows of QUALITY. Out: files in `quality/` that `quality/CURRENT` names. Next: `reelstream.stream.quality` takes its
totals from them at a start; any Parquet reader adds up the rows of a window. It holds no user's id.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from reelstream.failpoint import failpoint
from reelstream.store import pointer
from reelstream.store.log import Log
from reelstream.store.schemas import QUALITY


class QualityStore(Log):
    """One process writes (the stream), one thread at a time; any number read."""

    schema = QUALITY

    def __init__(self, warehouse: Path) -> None:
        super().__init__(warehouse / "quality")

    def append(self, rows: pa.Table) -> None:
        """Adds rows of QUALITY, in one step, and merges small files."""
        if rows.num_rows:
            self.append_rows(rows)
            self.compact()

    def written(self) -> None:
        failpoint("quality-written")

    def stored(self) -> None:
        failpoint("quality-stored")

    def merged(self, paths: Sequence[Path]) -> pa.Table:
        """Columns that a file of an older reelstream lacks are null."""
        parts = (pointer.read_table(path) for path in paths)
        return pa.concat_tables([QUALITY.empty_table(), *parts], promote_options="default").select(QUALITY.names)

    def read(self) -> pa.Table:
        """All rows in the order they were appended; empty where none ever was.

        Raises DamagedStore if a file is missing, cut short or does not fit its checksums.
        """
        return pointer.consistent(lambda: self.merged(self.files()))
