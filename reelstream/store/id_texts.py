"""The owners' ids beside the numbers: which text has which number, and tables with both.

In: the ids that came with a micro-batch. Out: tables as they lie on disk and as they are shown. Next: the stores write by
`stored`; `reelstream.api` and `reelstream.serve` answer by `shown` and `own`.

Whether users or movies of a warehouse have text ids is decided by the first ratings, and stands in `ratings/CURRENT` with
the directories of `ids/`, so in the same step as the ratings. Integer ids need none of this: their tables have int64 columns
as they are. In a table of text ids `user_id` is the text, and `user_number` beside it the number.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reelstream.als.arrays import I64
from reelstream.ids import Id, number_of
from reelstream.store import pointer
from reelstream.store.names import inside
from reelstream.store.schemas import IDS, NUMBERS

USER, MOVIE = "user_id", "movie_id"
OF_COLUMN = {"user_id": USER, "movie_id": MOVIE, "similar_movie_id": MOVIE}
NOT_TEXT: Mapping[str, bool] = MappingProxyType({USER: False, MOVIE: False})


class _Run(NamedTuple):
    """numbers int64[R] ascending and unique, and their texts string[R]."""

    numbers: I64
    texts: pa.Array


@dataclass(frozen=True, slots=True)
class IdTexts:
    """`is_text`: whether the ids of users, of movies, are text; without a key it is not decided yet."""

    is_text: Mapping[str, bool] = field(default_factory=dict)
    runs: Mapping[str, tuple[_Run, ...]] = field(default_factory=dict)

    def texts(self, of: str, numbers: I64) -> pa.Array:
        """string[R] of the numbers int64[R]. A number without a text is an integer id, and is written as one."""
        unique, at = np.unique(numbers, return_inverse=True)
        found = pa.array(unique).cast(pa.string())
        for run in self.runs.get(of, ()):
            place = np.searchsorted(run.numbers, unique).clip(max=len(run.numbers) - 1)
            found = pc.if_else(pa.array(run.numbers[place] == unique), run.texts.take(pa.array(place)), found)
        return found.take(pa.array(at))

    def own(self, of: str, number: int) -> Id:
        """The id as its owner writes it."""
        if not self.is_text.get(of):
            return number
        text: str = self.texts(of, np.array([number], np.int64))[0].as_py()
        return text

    def known(self, of: str, numbers: I64) -> np.ndarray:
        """bool[R]: which of the numbers have a text."""
        found = np.zeros(len(numbers), np.bool_)
        for run in self.runs.get(of, ()):
            found |= np.isin(numbers, run.numbers)
        return found

    def shown(self, table: pa.Table) -> pa.Table:
        """The table with the owners' ids."""
        return self._with_texts(table, numbers=False)

    def stored(self, table: pa.Table) -> pa.Table:
        """The table with the owners' ids, and the numbers in columns beside them; `pointer.read_table` gives the numbers."""
        return self._with_texts(table, numbers=True)

    def plus(self, ids: pa.Table) -> IdTexts:
        """With rows of IDS that are new."""
        runs = dict(self.runs)
        for of in (USER, MOVIE):
            rows = ids.filter(pc.equal(ids["of"], of))
            if rows.num_rows:
                runs[of] = _added(runs.get(of, ()), rows)
        return replace(self, runs=runs)

    def plus_own(self, of: str, ids: Iterable[Id]) -> IdTexts:
        """With the texts among these ids."""
        texts = sorted({own for own in ids if isinstance(own, str)})
        rows = {"of": pa.repeat(of, len(texts)), "number": [number_of(own) for own in texts], "text": texts}
        return self.plus(pa.table(rows).cast(IDS)) if texts else self

    def without(self, of: str, numbers: Sequence[int]) -> IdTexts:
        """Without the texts of these numbers."""
        removed = np.array(sorted(numbers), np.int64)
        kept = []
        for run in self.runs.get(of, ()):
            keep = ~np.isin(run.numbers, removed)
            kept.append(_Run(run.numbers[keep], run.texts.filter(pa.array(keep))))
        return replace(self, runs={**self.runs, of: tuple(run for run in kept if len(run.numbers))})

    def _with_texts(self, table: pa.Table, *, numbers: bool) -> pa.Table:
        for column, number in NUMBERS.items():
            at = table.schema.get_field_index(column)
            if at < 0 or not self.is_text.get(OF_COLUMN[column]):
                continue
            values = table[column]
            texts = self.texts(OF_COLUMN[column], values.to_numpy())
            table = table.set_column(at, pa.field(column, pa.string()), texts)
            if numbers:
                table = table.append_column(number, values)
        return table


class WarehouseIds:
    """The texts of a warehouse, as they are now. Thread-safe."""

    def __init__(self, warehouse: Path) -> None:
        self._pointer, self._path = warehouse / "ratings" / "CURRENT", warehouse / "ids"
        self._movies = warehouse / "movies"
        self._lock = threading.Lock()
        self._stamp: Any = None
        self._read: tuple[str, ...] = ()
        self._texts = IdTexts()

    def now(self) -> IdTexts:
        """Costs a look at three files while nothing has changed, and none where all ids are integers."""
        with self._lock:
            if self._texts.is_text == NOT_TEXT:
                return self._texts
            stamp = tuple(
                map(pointer.stamp, (self._pointer, self._movies / "CURRENT", self._movies / "hidden.parquet"))
            )
            if stamp != self._stamp:
                pointer.consistent(self._refresh)
                self._stamp = stamp
            return self._texts

    def forget(self, users: Sequence[int]) -> None:
        """Drops texts that are in no file any more."""
        with self._lock:
            self._texts, self._stamp = self._texts.without(USER, users), None

    def _refresh(self) -> None:
        value = pointer.read(self._pointer) or {}
        decided = dict(is_text(value))
        names = tuple(inside(item[0]) for item in value.get("ids", ()))
        texts = self._texts if names[: len(self._read)] == self._read else IdTexts()
        done = self._read if texts is self._texts else ()
        for name in names[len(done) :]:
            texts = texts.plus(pointer.read_table(self._path / name / "part-0.parquet"))
        if decided.get(MOVIE, True):
            current = pointer.read(self._movies / "CURRENT")
            loaded = _ids_in(self._movies / inside(current["file"])) if current else IDS.empty_table()
            if loaded.num_rows:
                decided.setdefault(MOVIE, True)
            for rows in (loaded, self._of_hidden()):
                is_number = pc.equal(rows["text"], rows["number"].cast(pa.string())).to_numpy()
                new = ~is_number & ~texts.known(MOVIE, rows["number"].to_numpy())
                texts = texts.plus(rows.filter(pa.array(new)))
        self._texts, self._read = replace(texts, is_text=decided), names

    def _of_hidden(self) -> pa.Table:
        """Rows of IDS: a movie may be hidden before anybody has rated it."""
        with suppress(FileNotFoundError):
            return _ids_in(self._movies / "hidden.parquet")
        return IDS.empty_table()


def is_text(current: Mapping[str, Any]) -> Mapping[str, bool]:
    """What `ratings/CURRENT` says; before there were text ids, a warehouse with ratings had integers."""
    found: Mapping[str, bool] = current.get("text_ids", NOT_TEXT if current.get("batch") else {})
    return found


def _ids_in(movies: Path) -> pa.Table:
    """Rows of IDS of a table of movies; none where their ids are integers."""
    rows = pointer.read_table(movies, as_stored=True)
    if "movie_number" not in rows.column_names:
        return IDS.empty_table()
    of = pa.repeat(pa.scalar(MOVIE), rows.num_rows)
    return pa.table({"of": of, "number": rows["movie_number"], "text": rows["movie_id"]}).cast(IDS)


_SHARED: WeakValueDictionary[Path, WarehouseIds] = WeakValueDictionary()
_SHARING = threading.Lock()


def of_warehouse(warehouse: Path) -> WarehouseIds:
    """The same for all who ask in this process, as the texts of a million users take some 50 MB."""
    path = warehouse.absolute()
    with _SHARING:
        found = _SHARED.get(path)
        if found is None:
            found = _SHARED[path] = WarehouseIds(path)
        return found


def _added(runs: tuple[_Run, ...], rows: pa.Table) -> tuple[_Run, ...]:
    """Each run has more than twice the rows of the next, else the two become one, so that there are few."""
    grown = [*runs, _run([(rows["number"].to_numpy(), rows["text"].combine_chunks())])]
    while len(grown) > 1 and len(grown[-2].numbers) <= 2 * len(grown[-1].numbers):
        grown[-2:] = [_run(grown[-2:])]
    return tuple(grown)


def _run(parts: Sequence[tuple[I64, pa.Array]]) -> _Run:
    numbers, first = np.unique(np.concatenate([numbers for numbers, _ in parts]), return_index=True)
    return _Run(numbers, pa.chunked_array([texts for _, texts in parts]).take(pa.array(first)).combine_chunks())
