from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from reelstream.errors import DamagedStore
from reelstream.store import log as module
from reelstream.store.quality import QualityStore
from reelstream.store.schemas import QUALITY

START = datetime(2026, 1, 1, tzinfo=UTC)


def row(number: int) -> pa.Table:
    """The row of one minute; its number of ratings tells which."""
    started_at = START + timedelta(minutes=number)
    values = {
        "started_at": started_at,
        "ended_at": started_at + timedelta(seconds=59),
        "version": "000001",
        "ratings": number + 1,
        "squared_error": 0.5,
        "bias_only_squared_error": 1.0,
        "liked": 0,
        "hits": 0,
        "popular_hits": 0,
        "rmse": (0.5 / (number + 1)) ** 0.5,
        "bias_only_rmse": (1 / (number + 1)) ** 0.5,
    }
    return pa.Table.from_pylist([values], schema=QUALITY)


def numbers(store: QualityStore) -> list[int]:
    return [ratings - 1 for ratings in store.read()["ratings"].to_pylist()]


def on_disk(store: QualityStore) -> set[str]:
    return {path.name for path in store.path.glob("*.parquet")}


def named(store: QualityStore) -> set[str]:
    return {path.name for path in store.files()}


def test_there_is_nothing_at_first_and_no_rows_make_no_file(tmp_path: Path) -> None:
    store = QualityStore(tmp_path)

    store.append(QUALITY.empty_table())

    assert store.read() == QUALITY.empty_table()
    assert not store.path.exists()


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    rows = pa.concat_tables([row(0), row(1)])
    QualityStore(tmp_path).append(rows)

    assert QualityStore(tmp_path).read() == rows
    assert rows["hit_rate"].to_pylist() == [None, None]


def test_many_rows_stay_in_order_and_in_few_files(tmp_path: Path) -> None:
    store = QualityStore(tmp_path)
    for number in range(80):
        store.append(row(number))

    assert numbers(store) == list(range(80))
    assert len(named(store)) == 1 + 2  # 64 in one, two of eight


def test_what_was_folded_stays_for_readers_and_is_removed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = QualityStore(tmp_path)
    for number in range(7):
        store.append(row(number))
    before = named(store)

    store.append(row(7))

    assert len(named(store)) == 1
    assert before < on_disk(store)
    monkeypatch.setattr(module, "GRACE_S", -1.0)
    store.append(row(8))
    assert on_disk(store) == named(store)
    assert numbers(store) == list(range(9))


def test_files_that_no_pointer_names_are_removed_after_a_restart_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        QualityStore(tmp_path).append(row(number))
    monkeypatch.setattr(module, "GRACE_S", -1.0)

    store = QualityStore(tmp_path)
    store.append(row(8))

    assert on_disk(store) == named(store)
    assert numbers(store) == list(range(9))


@pytest.mark.parametrize(("point", "after"), [("quality-written", 7), ("quality-stored", 8)])
def test_killed_between_two_durable_steps_it_has_all_of_a_row_or_none(tmp_path: Path, point: str, after: int) -> None:
    store = QualityStore(tmp_path)
    for number in range(7):
        store.append(row(number))
    append = (
        "from pathlib import Path; from reelstream.store.quality import QualityStore; from tests.store.test_quality import"
        f" row; QualityStore(Path({str(tmp_path)!r})).append(row(7))"  # the eighth: files are folded too
    )

    ended = subprocess.run(
        [sys.executable, "-c", append],
        env={**os.environ, "REELSTREAM_FAILPOINT": point},
        cwd=Path(__file__).resolve().parents[2],
        check=False,
    )

    assert ended.returncode == -signal.SIGKILL
    assert numbers(QualityStore(tmp_path)) == list(range(after))
    store.append(row(after))
    assert numbers(QualityStore(tmp_path)) == list(range(after + 1))


def test_a_flipped_bit_and_a_lost_file_are_errors(tmp_path: Path) -> None:
    store = QualityStore(tmp_path)
    store.append(row(0))
    file = store.path / named(store).pop()
    whole = file.read_bytes()

    file.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    with pytest.raises(DamagedStore, match=file.name):
        store.read()
    file.unlink()
    with pytest.raises(DamagedStore, match="is missing"):
        store.read()


def test_a_window_is_added_up_in_sql_beside_files_that_were_replaced(tmp_path: Path) -> None:
    store = QualityStore(tmp_path)
    for number in range(10):
        store.append(row(number))
    assert on_disk(store) > named(store)

    found = duckdb.sql(
        f"""
        SELECT sum(ratings), sqrt(sum(squared_error) / sum(ratings)), sum(hits) / nullif(sum(liked), 0)
        FROM (SELECT DISTINCT * FROM '{store.path}/*.parquet')
        WHERE started_at >= TIMESTAMPTZ '2026-01-01 00:05:00Z'
        """
    ).fetchall()

    assert found == [(6 + 7 + 8 + 9 + 10, pytest.approx((2.5 / 40) ** 0.5), None)]
