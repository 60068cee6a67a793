"""`updates/` of one version: the lists of users folded in since its refit, newest wins.

In: fresh lists. Out: files that `updates/CURRENT` names, and the micro-batch up to which all ratings are folded in. Next:
`reelstream.api.published_lists` and `reelstream.store.recommendations` read them with the version's own lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reelstream.failpoint import failpoint
from reelstream.store import id_texts, pointer
from reelstream.store.log import Log, read_files
from reelstream.store.schemas import LIST_ROWS, USERS


class Updates(Log):
    """One process writes: the stream; before publication, the refit."""

    schema = USERS
    row_group_rows = LIST_ROWS

    def __init__(self, version_path: Path) -> None:
        super().__init__(version_path / "updates")
        self._ids = id_texts.of_warehouse(version_path.parent.parent)

    def batch(self) -> int:
        """All ratings up to this micro-batch are folded in; 0 if nothing ever was."""
        return int(self.current().get("batch", 0))

    def as_of(self) -> datetime | None:
        """The `as_of` of the newest list; None where there is none."""

        def look() -> datetime | None:
            newest: datetime | None = pc.max(read_files(self.files(), USERS, ["as_of"])["as_of"]).as_py()
            return newest

        return pointer.consistent(look)

    def append(self, lists: pa.Table, batch: int) -> None:
        """Adds fresh lists (schema USERS, whole lists by user); all ratings up to `batch` are folded in then."""
        self.append_rows(lists, batch=batch)

    def as_stored(self, rows: pa.Table) -> pa.Table:
        return self._ids.now().stored(rows)

    def written(self) -> None:
        failpoint("lists-written")

    def stored(self) -> None:
        failpoint("lists-stored")

    def read(self, user_ids: Sequence[int] | None = None) -> pa.Table:
        """The newest list of each updated user."""
        return pointer.consistent(
            lambda: self.merged(self.files()) if user_ids is None else self._newest_of(self.files(), user_ids)
        )

    def _newest_of(self, paths: Sequence[Path], user_ids: Sequence[int]) -> pa.Table:
        """The same for some users. The files are in the order in which they were written, so each user's list is in the
        last one that has any of it: whoever has just rated is found in the first file that is opened."""
        missing, tables = set(user_ids), [USERS.empty_table()]
        for path in reversed(paths):
            if not missing:
                break
            tables.append(pointer.read_table(path, where=("user_id", sorted(missing))))
            missing -= set(pc.unique(tables[-1]["user_id"]).to_pylist())
        return pa.concat_tables(tables).sort_by([("user_id", "ascending"), ("rank", "ascending")])

    def merged(self, paths: Sequence[Path]) -> pa.Table:
        """Each user's newest list, sorted by user, then rank."""
        lists = super().merged(paths)
        users, of_user = np.unique(lists["user_id"].to_numpy(), return_inverse=True)
        as_of = lists["as_of"].cast(pa.int64()).to_numpy()
        newest = np.zeros(len(users), np.int64)
        np.maximum.at(newest, of_user, as_of)
        kept = lists.filter(pa.array(as_of == newest[of_user]))
        return kept.sort_by([("user_id", "ascending"), ("rank", "ascending")])
