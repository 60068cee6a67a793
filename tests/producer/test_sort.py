from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from reelstream.errors import MissingRequirement
from reelstream.producer import sort
from reelstream.producer.ratings_csv import ROW, Block, RatingRows
from reelstream.producer.sort import in_time_order


def blocks_of(rows: RatingRows, size: int = 100) -> Iterator[Block]:
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        yield Block(part, range(start, start + len(part)), start + len(part))


def some_rows(count: int, seed: int = 3) -> RatingRows:
    """(count,) of ROW; user_id numbers them, and many share a time."""
    rng = np.random.default_rng(seed)
    rows = np.zeros(count, ROW)
    rows["user_id"] = np.arange(1, count + 1)
    rows["rated_at_ms"] = rng.integers(0, count // 5 + 1, count)
    return rows


def expected(rows: RatingRows) -> list[Any]:
    return sorted(rows.tolist(), key=lambda row: (row[3], row[0]))


@pytest.mark.parametrize("memory_rows", [10**6, 1000, 999, 350, 100, 1])
def test_the_order_is_by_time_then_as_in_the_file_whatever_the_memory(
    tmp_path: Path, memory_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sort, "MERGE_ROWS", 7)
    rows, directory, notices = some_rows(1000), tmp_path / "run" / "sort", list[str]()
    with in_time_order(
        lambda: blocks_of(rows), directory=directory, size_bytes=1000, memory_rows=memory_rows, notice=notices.append
    ) as order:
        assert order.total == 1000
        assert list(order.rows) == expected(rows)
        assert directory.exists() == (memory_rows < 1000)
    assert not directory.exists()
    if memory_rows < 1000:
        (line,) = notices
        assert "about 1,000, are put in time order on disk" in line
        assert str(directory) in line
    else:
        assert notices == []


def test_a_file_in_order_is_streamed_and_never_held(tmp_path: Path) -> None:
    rows = some_rows(1000)
    rows["rated_at_ms"].sort()
    passes = 0

    def read() -> Iterator[Block]:
        nonlocal passes
        passes += 1
        return blocks_of(rows)

    with in_time_order(read, directory=tmp_path / "sort", size_bytes=1000, memory_rows=1, notice=pytest.fail) as order:
        assert order.total == 1000
        assert list(order.rows) == rows.tolist()
    assert passes == 2


def test_no_rows_at_all(tmp_path: Path) -> None:
    with in_time_order(lambda: iter(()), directory=tmp_path / "sort", size_bytes=10, notice=pytest.fail) as order:
        assert (order.total, list(order.rows)) == (0, [])


def test_the_directory_goes_on_ctrl_c_and_what_a_killed_replay_left_goes_first(tmp_path: Path) -> None:
    rows, directory = some_rows(1000), tmp_path / "sort"
    directory.mkdir()
    (directory / "left.rows").write_bytes(b"x")

    def interrupted() -> None:
        with in_time_order(
            lambda: blocks_of(rows), directory=directory, size_bytes=1000, memory_rows=100, notice=lambda _text: None
        ) as order:
            assert not (directory / "left.rows").exists()
            assert any(directory.iterdir())
            next(order.rows)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not directory.exists()


def test_a_full_disk_is_said_before_anything_is_sorted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        total: int
        used: int
        free: int

    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(10**9, 10**9 - 1000, 1000))
    sorting = in_time_order(
        lambda: blocks_of(some_rows(1000)),
        directory=tmp_path / "sort",
        size_bytes=1000,
        memory_rows=100,
        notice=pytest.fail,
    )
    with pytest.raises(MissingRequirement, match="are free; free some space, then replay again"):
        sorting.__enter__()
    assert not (tmp_path / "sort").exists()
