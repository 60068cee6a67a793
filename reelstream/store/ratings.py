"""The ratings store: accepted ratings and rejected events, a directory a micro-batch, and one pointer over both.

In: the rows of a micro-batch. Out: Parquet directories that `ratings/CURRENT` names. Next: `reelstream.batch.training` reads
them for a refit, `reelstream.stream.history` for the fold-in.

The pointer also holds the Kafka offsets up to which events are in, so data and progress move in the same atomic step:
an event that Kafka delivers again is known by its offset and left out. One process writes (it holds
`run/stream.lock`); inside it, `append` and `compact` may run in two threads.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from reelstream.errors import DamagedStore
from reelstream.failpoint import failpoint
from reelstream.store import forgotten, id_texts, pointer
from reelstream.store.compaction import run_to_merge
from reelstream.store.forgotten import Forgotten, Removed
from reelstream.store.log import Superseded, read_files, replaced
from reelstream.store.rating_rows import Offsets, latest, with_next
from reelstream.store.ratings_state import Gap, RatingsState, StoredDirectory, from_json, to_json
from reelstream.store.schemas import IDS, RATINGS, REJECTS

SNAPSHOT_FROM_ROWS = 50_000
"""Rows that must have come since the last snapshot before another one pays for itself."""

GRACE_S = 120.0
"""How long a directory that was folded into another stays on disk, for readers that had read the pointer before."""


class RatingsStore:
    """Reads and writes `ratings/`, `rejects/` and `ids/` below a warehouse."""

    def __init__(self, warehouse: Path) -> None:
        self.path = warehouse / "ratings"
        self.rejects_path = warehouse / "rejects"
        self.ids_path = warehouse / "ids"
        self.ids = id_texts.of_warehouse(warehouse)
        self._pointer = self.path / "CURRENT"
        self._lock = threading.Lock()
        self._superseded = Superseded()
        self._forgotten: tuple[str | None, dict[int, Forgotten]] = (None, {})

    def state(self) -> RatingsState:
        """Raises DamagedStore if the pointer cannot be read."""
        value = pointer.read(self._pointer)
        return RatingsState() if value is None else from_json(value)

    def append(
        self,
        ratings: pa.Table,
        rejects: pa.Table,
        offsets: Offsets,
        forget: Sequence[tuple[int, int]] = (),
        *,
        others: int = 0,
        lost: Sequence[Gap] = (),
        text_ids: Mapping[str, bool] = MappingProxyType({}),
        ids: pa.Table | None = None,
        tombstones: int = 0,
    ) -> RatingsState:
        """Takes in the rows of one micro-batch whose events lie at or after `state().offsets`, durably, in one step.

        ratings and rejects have the schemas RATINGS and REJECTS; `offsets` are the next ones, of the partitions that
        moved; `forget` are requests, (user_id, milliseconds up to which it is to be forgotten), which `ratings` keep to;
        `others` is how many more events were taken in, which are stored elsewhere; `lost` are gaps that `offsets` leave behind;
        `text_ids` is what these rows decide, integers if they say nothing, and `ids` are the rows of IDS that `self.ids` does
        not have yet; `tombstones` counts the records that are no events.
        A crash before the pointer moves leaves a directory that the next append replaces.
        Raises MissingRequirement if the disk is full; nothing has changed then.
        """
        with self._lock:
            state = self.state()
            batch = state.batch + 1
            name = f"batch={batch:012d}"
            added: list[StoredDirectory] = []
            new_rejects: list[StoredDirectory] = []
            new_ids: list[StoredDirectory] = []
            ids = IDS.empty_table() if ids is None else ids
            decided = {**(id_texts.NOT_TEXT if ratings.num_rows else {}), **state.text_ids, **text_ids}
            known = self.ids.now()
            texts = replace(known, is_text={**known.is_text, **decided}).plus(ids)
            for table, root, directories in (
                (ids, self.ids_path, new_ids),
                (texts.stored(ratings.cast(RATINGS)), self.path, added),
                (rejects.cast(REJECTS), self.rejects_path, new_rejects),
            ):
                shutil.rmtree(root / name, ignore_errors=True)
                if table.num_rows:
                    pointer.write_table(table, root / name / "part-0.parquet")
                    pointer.sync_directory(root)
                    directories.append(StoredDirectory(name, batch, 0, table.num_rows))
                    failpoint("directory-written")
            asked = forgotten.merged(self.forgotten(state), forget, batch)
            forgotten_name = self._write_forgotten(state, asked) if forget else state.forgotten
            failpoint("batch-written")
            state = replace(
                state,
                batch=batch,
                ratings=(*state.ratings, *added),
                rejects=(*state.rejects, *new_rejects),
                offsets=with_next(state.offsets, offsets),
                accepted=state.accepted + ratings.num_rows + len(forget) + others,
                rejected=state.rejected + rejects.num_rows,
                tombstones=state.tombstones + tombstones,
                forgotten=forgotten_name,
                forgetting={**state.forgetting, **{user: asked[user].until_ms for user, _ in forget}},
                lost=(*state.lost, *lost),
                text_ids=decided,
                ids=(*state.ids, *new_ids),
            )
            pointer.move(self._pointer, to_json(state))
            failpoint("batch-stored")
            return state

    def read(
        self,
        state: RatingsState | None = None,
        *,
        columns: Sequence[str] | None = None,
        user_ids: Sequence[int] | None = None,
        after_batch: int = 0,
    ) -> pa.Table:
        """Stored ratings in the order they came, doubles included (see `latest`).

        With `user_ids`, only these users'; with `after_batch`, only directories that hold something newer than that batch.
        A given `state` is read as it is and may be deleted by then (FileNotFoundError); without one the newest is read.
        """
        if state is None:
            return pointer.consistent(
                lambda: self.read(self.state(), columns=columns, user_ids=user_ids, after_batch=after_batch)
            )
        where = None if user_ids is None else ("user_id", user_ids)
        directories = [directory for directory in state.directories if directory.last > after_batch]
        if not state.forgetting:
            return _read(self.path, directories, RATINGS, columns, where)
        rows = forgotten.without(_read(self.path, directories, RATINGS, None, where), state.forgetting)
        return rows.select(list(columns)) if columns else rows

    def forgotten(self, state: RatingsState | None = None) -> dict[int, Forgotten]:
        """Every request to be forgotten, by user id."""
        if state is None:
            return pointer.consistent(lambda: self.forgotten(self.state()))
        if state.forgotten is None:
            return {}
        if self._forgotten[0] != state.forgotten:
            self._forgotten = (state.forgotten, forgotten.read(self.path / state.forgotten))
        return self._forgotten[1]

    def finish_forgetting(self, removed: Mapping[int, Removed], asked: Mapping[int, int]) -> None:
        """Writes down what was removed of each user; a user who has `asked` again meanwhile stays to be forgotten."""
        with self._lock:
            state = self.state()
            done = {user: counts for user, counts in removed.items() if state.forgetting.get(user) == asked[user]}
            name = self._write_forgotten(state, forgotten.finished(self.forgotten(state), done))
            left = {user: until for user, until in state.forgetting.items() if user not in done}
            failpoint("forget-removed")
            pointer.move(self._pointer, to_json(replace(state, forgotten=name, forgetting=left)))
        failpoint("forget-stored")

    def forget_texts(self, users: Iterable[int]) -> None:
        """Removes the text ids of these users, but of those who have rated again."""
        with self._lock:
            state = self.state()
            if not state.ids:
                return
            rows = forgotten.without(self.read(state, user_ids=list(users)), state.forgetting)
            forgotten_now = pa.array(sorted(set(users) - set(rows["user_id"].to_pylist())), pa.int64())
            for directory in state.ids:
                path = self.ids_path / directory.name / "part-0.parquet"
                ids = pointer.read_table(path)
                is_theirs = pc.and_(pc.equal(ids["of"], id_texts.USER), pc.is_in(ids["number"], forgotten_now))
                if pc.any(is_theirs).as_py():
                    pointer.write_table(ids.filter(pc.invert(is_theirs)), path)
            self.ids.forget(forgotten_now.to_pylist())

    def _write_forgotten(self, state: RatingsState, requests: Mapping[int, Forgotten]) -> str:
        number = int(state.forgotten.removeprefix("forgotten-").removesuffix(".parquet")) if state.forgotten else 0
        name = f"forgotten-{number + 1:012d}.parquet"
        forgotten.write(self.path / name, requests)
        return name

    def rated_at_ms(self, user_id: int) -> dict[int, int]:
        """Movie id → the latest time that a stored event of the user has for it, in milliseconds since 1970."""
        rows = self.read(columns=["user_id", "movie_id", "rated_at"], user_ids=[user_id])
        newest = rows.group_by("movie_id").aggregate([("rated_at", "max")])
        times = newest["rated_at_max"].cast(pa.int64()).to_pylist()
        return dict(zip(newest["movie_id"].to_pylist(), times, strict=True))

    def read_rejects(self, state: RatingsState | None = None) -> pa.Table:
        """All rejected events, oldest first; for `state` see `read`."""
        if state is None:
            return pointer.consistent(lambda: self.read_rejects(self.state()))
        return _read_rejects(self.rejects_path, state.rejects)

    def compact(self) -> bool:
        """Compacts small directories: a new snapshot once the rows since the last one have doubled the table, else
        a run of small directories (see `compaction`). True if there was something to do.

        Appends go on meanwhile. Superseded directories are removed GRACE_S later, by a later call.
        """
        state = self.state()
        done = False
        since = sum(directory.rows for directory in state.ratings)
        if since >= max(SNAPSHOT_FROM_ROWS, state.snapshot.rows if state.snapshot else 0):
            self._snapshot(state)
            done = True
        elif run := run_to_merge([directory.level for directory in state.ratings]):
            self._merge(state, "ratings", run)
            done = True
        for kind in ("rejects", "ids"):
            if run := run_to_merge([directory.level for directory in getattr(state, kind)]):
                self._merge(state, kind, run)
                done = True
        if self._superseded.is_due(GRACE_S):
            self.sweep(GRACE_S)
        return done

    def _snapshot(self, state: RatingsState) -> None:
        table = latest(_read(self.path, state.directories, RATINGS), taken_back=True)
        last = state.directories[-1].last
        directory = StoredDirectory(f"snapshot={last:012d}", last, 0, table.num_rows)
        self._write_aside(table, self.path, directory.name)
        failpoint("snapshot-written")
        self._replace("snapshot", state.directories, directory)
        failpoint("snapshot-stored")

    def _merge(self, state: RatingsState, kind: str, run: slice) -> None:
        tables = {
            "ratings": (self.path, RATINGS),
            "rejects": (self.rejects_path, REJECTS),
            "ids": (self.ids_path, IDS),
        }
        root, schema = tables[kind]
        old: tuple[StoredDirectory, ...] = getattr(state, kind)[run]
        table = _read_rejects(root, old) if kind == "rejects" else _read(root, old, schema)
        first = old[0].name.removeprefix("batch=").split("-")[0]
        directory = StoredDirectory(
            f"batch={first}-{old[-1].last:012d}", old[-1].last, old[-1].level + 1, table.num_rows
        )
        self._write_aside(table, root, directory.name)
        failpoint("compaction-written")
        self._replace(kind, old, directory)
        failpoint("compaction-stored")

    def _write_aside(self, table: pa.Table, root: Path, name: str) -> None:
        shutil.rmtree(root / name, ignore_errors=True)
        pointer.write_table(self.ids.now().stored(table), root / name / "part-0.parquet")
        pointer.sync_directory(root)

    def _replace(self, kind: str, old: Sequence[StoredDirectory], new: StoredDirectory) -> None:
        with self._lock:
            state = self.state()
            if kind == "snapshot":
                _, *since = replaced(state.directories, old, new)
                changed = replace(state, snapshot=new, ratings=tuple(since))
            else:
                table: Any = {kind: replaced(getattr(state, kind), old, new)}
                changed = replace(state, **table)
            pointer.move(self._pointer, to_json(changed))

    def sweep(self, grace_s: float) -> None:
        """Removes what the pointer has left behind, grace_s after the first call that finds it so."""
        self._superseded.sweep(self._replaced(), grace_s)

    def _replaced(self) -> Iterator[Path]:
        state = self.state()
        tables = (
            (self.path, state.directories),
            (self.rejects_path, state.rejects),
            (self.ids_path, state.ids),
        )
        for root, directories in tables:
            named = {directory.name for directory in directories}
            for path in root.glob("*=*"):
                if path.name not in named and int(path.name.split("=")[1].split("-")[-1]) <= state.batch:
                    yield path
        yield from (path for path in self.path.glob("forgotten-*.parquet") if path.name < (state.forgotten or ""))


def _read(
    root: Path,
    directories: Sequence[StoredDirectory],
    schema: pa.Schema,
    columns: Sequence[str] | None = None,
    where: tuple[str, Iterable[int]] | None = None,
) -> pa.Table:
    return read_files((root / directory.name / "part-0.parquet" for directory in directories), schema, columns, where)


def _read_rejects(root: Path, directories: Sequence[StoredDirectory]) -> pa.Table:
    """Rows of REJECTS; `detail` is null where a file is from before it."""
    tables = [REJECTS.empty_table()]
    for directory in directories:
        path = root / directory.name / "part-0.parquet"
        table = pointer.read_table(path)
        if "detail" not in table.column_names:
            table = table.append_column("detail", pa.nulls(table.num_rows, pa.string()))
        if not set(REJECTS.names) <= set(table.column_names):
            raise DamagedStore(f"{path} is damaged (it lacks columns); {pointer.RESTORE}")
        tables.append(table.select(REJECTS.names))
    return pa.concat_tables(tables)
