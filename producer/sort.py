"""Rows in time order. MovieLens files are sorted by user, but a stream of ratings goes by the time of rating.

In: blocks of rows in the order of the file. Out: the rows by `rated_at`; rows of the same time stay as in the file.
Next: `reelstream.producer.pace` lets them go.

1. A file that is in time order already is streamed straight through, in a second pass.
2. Up to `memory_rows` rows are sorted in memory.
3. More are sorted on disk: sorted runs of `memory_rows` each, merged as they are read back, a few thousand rows of each
   run at a time. The order is the same whatever `memory_rows` is.
"""

from __future__ import annotations

import heapq
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from reelstream.errors import MissingRequirement
from reelstream.producer.ratings_csv import ROW, Block, RatingRows

MEMORY_ROWS = 1_500_000
"""With these a replay stays below 300 MB, whatever the size of the file."""
MERGE_ROWS = 4096

Row = tuple[int, int, float, int]
"""user_id, movie_id, rating, rated_at_ms: the fields of RatingEvent."""


class TimeOrder(NamedTuple):
    """`total` rows, to be taken once."""

    total: int
    rows: Iterator[Row]


@contextmanager
def in_time_order(
    read: Callable[[], Iterable[Block]],
    *,
    directory: Path,
    size_bytes: int,
    memory_rows: int = MEMORY_ROWS,
    notice: Callable[[str], None],
) -> Iterator[TimeOrder]:
    """The good rows of a file by time, while the block runs.

    `read` starts a new pass over the file of `size_bytes`; it is called twice. `directory` is made if the rows have to be
    sorted on disk, and removed when the block ends, however it ends; one that a killed process left is removed first.
    `notice` gets one line of text if rows are sorted on disk.
    Raises MissingRequirement if the disk has no space for that.
    """
    shutil.rmtree(directory, ignore_errors=True)
    count = _count_if_in_order(read())
    if count is not None:  # 1
        yield TimeOrder(count, _tuples(block.rows for block in read()))
        return
    try:
        runs: list[Path] = []
        held: list[RatingRows] = []
        count = held_rows = 0
        for block in read():
            if held_rows + len(block.rows) > memory_rows and held:  # 3
                if not runs:
                    _make_room(directory, (count + len(block.rows)) * size_bytes // block.bytes_read, notice)
                runs.append(_write_run(held, directory / f"{len(runs)}.rows"))
                held_rows = 0
            held.append(block.rows)
            held_rows += len(block.rows)
            count += len(block.rows)
        last = _by_time(held)  # 2
        if runs:
            parts = [*map(_read_run, runs), _slices(last)]
            yield TimeOrder(count, heapq.merge(*map(_tuples, parts), key=itemgetter(3)))
        else:
            yield TimeOrder(count, _tuples(_slices(last)))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _count_if_in_order(blocks: Iterable[Block]) -> int | None:
    """The number of rows; None at the first row that is out of order."""
    count, latest_ms = 0, 0
    for block in blocks:
        times = block.rows["rated_at_ms"]
        if len(times):
            if times[0] < latest_ms or np.any(times[1:] < times[:-1]):
                return None
            latest_ms = int(times[-1])
            count += len(times)
    return count


def _by_time(blocks: list[RatingRows]) -> RatingRows:
    """All rows (n,) of ROW, by time; the sort is stable. `blocks` is emptied, to halve the memory at the peak."""
    rows = np.concatenate(blocks) if blocks else np.empty(0, ROW)
    blocks.clear()
    return rows[np.argsort(rows["rated_at_ms"], kind="stable")]


def _make_room(directory: Path, expected_rows: int, notice: Callable[[str], None]) -> None:
    directory.mkdir(parents=True)
    needed, free = expected_rows * ROW.itemsize, shutil.disk_usage(directory).free
    if needed > free:
        raise _no_space(directory, f"about {needed / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB are free")
    notice(
        f"The file is larger than the memory for sorting: its rows, about {expected_rows:,}, are put in time order "
        f"on disk in {directory} ({needed / 1e6:,.0f} MB, removed at the end)."
    )


def _write_run(blocks: list[RatingRows], path: Path) -> Path:
    rows = _by_time(blocks)
    try:
        with path.open("wb") as file:
            file.write(rows.view(np.uint8).data)
    except OSError as error:
        raise _no_space(path.parent, error.strerror or str(error)) from None
    return path


def _read_run(path: Path) -> Iterator[RatingRows]:
    with path.open("rb") as file:
        while data := file.read(MERGE_ROWS * ROW.itemsize):
            yield np.frombuffer(data, ROW)


def _slices(rows: RatingRows) -> Iterator[RatingRows]:
    return (rows[start : start + MERGE_ROWS] for start in range(0, len(rows), MERGE_ROWS))


def _tuples(parts: Iterable[RatingRows]) -> Iterator[Row]:
    return chain.from_iterable(part.tolist() for part in parts)


def _no_space(directory: Path, why: str) -> MissingRequirement:
    with suppress(OSError):
        directory = directory.resolve()
    return MissingRequirement(
        f"the rows can't be sorted on the disk of {directory}: {why}; free some space, then replay again."
    )
