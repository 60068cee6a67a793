"""Pointers: a few bytes of JSON that say what a reader may see, replaced in one step.

A writer writes its files aside, makes them durable, then moves the pointer. What a pointer names is complete and never
changes, so a reader that read it once sees one consistent state.
"""

from __future__ import annotations

import errno
import json
import os
import threading
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from reelstream.errors import DamagedStore, MissingRequirement
from reelstream.failpoint import failpoint
from reelstream.store.schemas import FORMAT, NUMBERS

T = TypeVar("T")
CHECKED_FROM = 2
"""The first format with a checksum in each pointer."""
Stamp = tuple[int, int, int]
"""(inode, time in ns, bytes) of a file; zeros where there is none."""
RESTORE = "restore the warehouse from a backup (see docs/operations.md)."


def read(path: Path, *, unmarked: int | None = None) -> dict[str, Any] | None:
    """What the pointer says; None where there is none yet. One of an older format is read as it is.

    unmarked: the format of a file that names none, where older ones did not.

    Raises DamagedStore if a byte of it has changed, or if a newer reelstream wrote it.
    """
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DamagedStore(f"{path} is not a pointer ({error}); {RESTORE}") from None
    if isinstance(value, dict) and unmarked:
        value.setdefault("format", unmarked)
    if not isinstance(value, dict) or not isinstance(value.get("format"), int):
        raise DamagedStore(f"{path} is not a pointer; {RESTORE}")
    if value["format"] > FORMAT:
        raise DamagedStore(
            f"{path} has format {value['format']}, newer than the {FORMAT} that this reelstream reads; upgrade reelstream."
        )
    checked = value["format"] >= CHECKED_FROM or "crc32" in value
    if checked and value.pop("crc32", None) != _crc32(value):
        raise DamagedStore(f"{path} is damaged: its checksum does not fit; {RESTORE}")
    return value


def stamp(path: Path) -> Stamp:
    """What changes when a file is replaced. Costs a fraction of reading it."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return 0, 0, 0
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def move(path: Path, value: dict[str, Any]) -> None:
    """Replaces the pointer in one atomic, durable step. One writer at a time: the caller holds its table's lock."""
    write_file(path, _sealed(value))


def create(path: Path, value: dict[str, Any]) -> bool:
    """The same, where there is none yet; of several writers the first one wins. False where there was one."""
    try:
        write_file(path, _sealed(value), new=True)
    except FileExistsError:
        return False
    return True


def write_file(path: Path, content: bytes, *, durable: bool = True, new: bool = False) -> None:
    """Puts a small file in place whole: a reader sees the old content or the new, never a part.

    new: raises FileExistsError where there is one.
    """
    _put(path, lambda file: file.write(content), lambda: failpoint("pointer-aside"), durable=durable, new=new)


def write_table(table: pa.Table, path: Path, *, row_group_rows: int = 128_000, durable: bool = True) -> None:
    """Puts one Parquet file in place whole, synced to disk before it returns; its directory is made if missing."""

    def write(file: BinaryIO) -> None:
        pq.write_table(table, file, row_group_size=row_group_rows, compression="snappy", write_page_checksum=True)
        _seal_footer(file)

    _put(path, write, lambda: failpoint("table-aside"), durable=durable)


def aside_of(path: Path) -> Path:
    """Where this thread writes what it then puts at `path`: no other thread of any process writes there."""
    return path.with_name(f".{path.name}.{threading.get_native_id()}")


def _put(
    path: Path,
    write: Callable[[BinaryIO], object],
    aside_point: Callable[[], None],
    *,
    durable: bool,
    new: bool = False,
) -> None:
    """new: raises FileExistsError where there is one already."""
    aside = aside_of(path)
    with _disk_errors(path, aside), _new(aside) as file:
        write(file)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    if durable:
        aside_point()
    if new:
        try:
            path.hardlink_to(aside)
        finally:
            aside.unlink()
    else:
        aside.replace(path)
    if durable:
        sync_directory(path.parent)


def read_table(
    path: Path,
    *,
    columns: Sequence[str] | None = None,
    where: tuple[str, Iterable[int]] | None = None,
    as_stored: bool = False,
) -> pa.Table:
    """Reads one Parquet file through one handle, so that a file replaced meanwhile is read as it was.

    where: (column of ids, those whose rows are wanted). as_stored: text ids as such, and not their numbers in their place
    (see `reelstream.store.id_texts`).
    Raises DamagedStore if it is cut short or a byte that is read has changed, FileNotFoundError if there is none.
    """
    with pa.OSFile(str(path)) as file:
        try:
            _check_footer(file)
            names = pq.read_schema(file).names
            numbers = {} if as_stored else {text: number for text, number in NUMBERS.items() if number in names}
            wanted = list(columns) if columns else [name for name in names if name not in numbers.values()]
            read = [numbers.get(name, name) for name in wanted]
            filters = where and pc.field(numbers.get(where[0], where[0])).isin(pa.array(list(where[1]), pa.int64()))
            table = pq.read_table(
                file,
                columns=read if columns or numbers else None,
                filters=filters,
                partitioning=None,
                page_checksum_verification=True,
            )
            return table.rename_columns(wanted) if numbers else table
        except (pa.ArrowException, OSError, ValueError) as error:
            why = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise DamagedStore(f"{path} is damaged ({why}); {RESTORE}") from None


def sync_directory(path: Path) -> None:
    """Makes a rename or a new file in the directory durable."""
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
        raise DamagedStore(f"{error.filename or error} is named by a pointer but is missing; {RESTORE}") from None


def _new(path: Path) -> BinaryIO:
    """Never an old file opened anew: it may have a hard link in a backup."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    return path.open("x+b")


class _disk_errors:  # noqa: N801  reads as a statement
    def __init__(self, path: Path, aside: Path) -> None:
        self.path, self.aside = path, aside

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if error is not None:
            self.aside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise MissingRequirement(
                f"no space left to write {self.path}; free some, nothing that was accepted is lost."
            ) from error


_SEAL = b"RSf1"
"""Stands 16 bytes before a table's end: seal, crc32, then the footer's length and "PAR1" as in every Parquet file."""


def _seal_footer(file: BinaryIO) -> None:
    """Gives the footer a checksum. Parquet has one for pages alone, and a bit flipped in the footer can rename a column,
    hide rows from a filter, or keep the reader busy for ever.

    The seal counts as the footer's last bytes, after the field where a reader stops; so any reader reads the file.
    """
    end = file.seek(-8, os.SEEK_END)
    size = int.from_bytes(file.read(4), "little")
    file.seek(end - size)
    footer = file.read(size)
    tail = (size + 8).to_bytes(4, "little") + b"PAR1"
    file.seek(end)
    file.write(_SEAL + zlib.crc32(footer + tail).to_bytes(4, "little") + tail)


def _check_footer(file: pa.NativeFile) -> None:
    """Raises ValueError if the footer is not as it was sealed; one without a seal (format 1) is taken as it is."""
    end = file.size()
    last = file.read_at(16, max(0, end - 16))
    seal, crc32, tail = last[:4], last[4:8], last[8:]
    if seal == _SEAL:
        size = int.from_bytes(tail[:4], "little")
        footer = file.read_at(max(0, size - 8), max(0, end - 8 - size))
        if zlib.crc32(footer + tail).to_bytes(4, "little") != crc32:
            raise ValueError("its footer does not fit its checksum")


def _sealed(value: dict[str, Any]) -> bytes:
    value = {"format": FORMAT} | {key: item for key, item in value.items() if key != "format"}
    return json.dumps({**value, "crc32": _crc32(value)}).encode()


def _crc32(value: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(value).encode())
