"""Pointers: a few bytes of JSON that say what a reader may see, replaced in one step.

A writer writes its files aside, makes them durable, then moves the pointer. What a pointer names is complete and never
changes, so a reader that read it once sees one consistent state.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from reelstream.errors import DamagedStore, MissingRequirement
from reelstream.store.schemas import FORMAT

T = TypeVar("T")


def read(path: Path) -> dict[str, Any] | None:
    """What the pointer says; None where there is none yet.

    Raises DamagedStore if it is not JSON, or if a newer reelstream wrote it.
    """
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DamagedStore(f"{path} is not a pointer ({error}); restore the warehouse from a backup.") from None
    if not isinstance(value, dict) or not isinstance(value.get("format"), int):
        raise DamagedStore(f"{path} is not a pointer; restore the warehouse from a backup.")
    if value["format"] > FORMAT:
        raise DamagedStore(
            f"{path} has format {value['format']}, newer than the {FORMAT} that this reelstream reads; upgrade reelstream."
        )
    return value


def move(path: Path, value: dict[str, Any]) -> None:
    """Replaces the pointer in one atomic, durable step. One writer at a time: the caller holds its table's lock."""
    write_file(path, json.dumps({"format": FORMAT, **value}).encode())


def write_file(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Puts a small file in place whole: a reader sees the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with _disk_errors(path), aside.open("wb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    aside.replace(path)
    if durable:
        sync_folder(path.parent)


def write_table(table: pa.Table, path: Path, *, row_group_rows: int = 128_000, durable: bool = True) -> None:
    """Puts one Parquet file in place whole, synced to disk before it returns; its folder is made if missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with _disk_errors(path), aside.open("wb") as file:
        pq.write_table(table, file, row_group_size=row_group_rows, compression="snappy")
        if durable:
            file.flush()
            os.fsync(file.fileno())
    aside.replace(path)
    if durable:
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Makes a rename or a new file in the folder durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def consistent(look: Callable[[], T], *, tries: int = 20) -> T:
    """Calls `look`, which reads a pointer and then the files it names, again whenever a file was replaced meanwhile.

    Raises DamagedStore if a named file is still missing at the last try: then it is lost, not replaced.
    """
    for _ in range(tries - 1):
        try:
            return look()
        except FileNotFoundError:
            continue
    try:
        return look()
    except FileNotFoundError as error:
        raise DamagedStore(
            f"{error.filename or error} is named by a pointer but is missing; restore it from a backup."
        ) from None


class _disk_errors:  # noqa: N801  reads as a statement
    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, OSError) and error.errno in (28, 122):  # ENOSPC, EDQUOT
            raise MissingRequirement(
                f"no space left to write {self.path}; free some, nothing that was accepted is lost."
            ) from error
