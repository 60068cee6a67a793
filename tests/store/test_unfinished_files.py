"""What a killed process had written aside is removed at the next start, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from reelstream.store import unfinished_files
from reelstream.store.locks import exclusive

OF_THE_STREAM = (
    "ratings/batch=000000000002/.part-0.parquet.4711",
    "ratings/.forgotten-000000000001.parquet.4711",
    "ratings/.CURRENT.4711",
    "rejects/batch=000000000002/.part-0.parquet.1",
    "ids/batch=000000000001/.part-0.parquet.4711",
    "dismissed/.000000000001.parquet.4711",
    "quality/.000000000003.parquet.99999",
)
OF_VERSIONS = (
    "recommendations/version=000001/updates/.000000000007.parquet.4711",
    "recommendations/version=000001/users/.part-0.parquet.4711",
    "models/version=000001/.users.parquet.4711",
    "models/version=000002/measured/.users.parquet.4711",
)
IN_PLACE = (
    "ratings/batch=000000000001/part-0.parquet",
    "ratings/CURRENT",
    "recommendations/version=000001/users/part-0.parquet",
    "recommendations/.latest.4711",
    "models/.adopted.json.4711",
    "models/version=000001/users.parquet",
    "models/version=000001/.hidden",
    "broker/.part-0.parquet.4711",
)


@pytest.fixture
def warehouse(warehouse: Path) -> Path:
    for name in (*OF_THE_STREAM, *OF_VERSIONS, *IN_PLACE):
        (warehouse / name).parent.mkdir(parents=True, exist_ok=True)
        (warehouse / name).write_bytes(b"half")
    return warehouse


def there(warehouse: Path) -> set[str]:
    files = (path for path in warehouse.rglob("*") if path.is_file())
    return {str(path.relative_to(warehouse)) for path in files if path.suffix != ".lock"}


def test_what_was_written_aside_is_gone(warehouse: Path) -> None:
    unfinished_files.remove(warehouse)

    assert there(warehouse) == set(IN_PLACE)


def test_while_a_refit_runs_its_tables_are_left_alone(warehouse: Path) -> None:
    with exclusive(warehouse / "run" / "refit.lock", "A refit"):
        unfinished_files.remove(warehouse)

    assert there(warehouse) == {*IN_PLACE, *OF_VERSIONS}


def test_an_empty_warehouse_stays_empty(tmp_path: Path) -> None:
    unfinished_files.remove(tmp_path / "new")

    assert there(tmp_path / "new") == set()
