"""Takes hidden movies off the published lists, in every file that has them.

In: the hidden movies and a version. Out: the same files without these movies, ranks from 1 on, each replaced in one step.
Next: whoever reads the Parquet files by themselves; readers by the Python API leave these movies out in any case.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np

from reelstream.als.arrays import I64
from reelstream.failpoint import failpoint
from reelstream.store import id_texts, pointer
from reelstream.store.recommendations import Version
from reelstream.store.schemas import LIST_ROWS
from reelstream.top_lists import renumbered_rows

LISTS: dict[str, tuple[str, str | None]] = {
    "users": ("movie_id", "user_id"),
    "updates": ("movie_id", "user_id"),
    "similar": ("similar_movie_id", "movie_id"),
    "popular": ("movie_id", None),
}
"""Directory → its column of recommended movies, and the column that tells whose list a row is in."""


def take_off_lists(version: Version, hidden: I64) -> bool:
    """True if a file had one of the movies, int64[H] ids. The caller holds `run/stream.lock`: nobody else rewrites these."""
    texts = id_texts.of_warehouse(version.path.parent.parent).now()
    found = False
    for directory, (movie, owner) in LISTS.items():
        for path in sorted(version.path.glob(f"{directory}/*.parquet")):
            with suppress(FileNotFoundError):  # compacted, or its version was removed
                found |= _take_off(path, movie, owner, hidden, texts)
    return found


def _take_off(path: Path, movie: str, owner: str | None, hidden: I64, texts: id_texts.IdTexts) -> bool:
    if not pointer.read_table(path, columns=[movie], where=(movie, hidden.tolist())).num_rows:
        return False
    rows = pointer.read_table(path)
    shown = renumbered_rows(rows, ~np.isin(rows[movie].to_numpy(), hidden), of=owner)
    pointer.write_table(texts.stored(shown), path, row_group_rows=LIST_ROWS)
    failpoint("hidden-taken-off")
    return True
