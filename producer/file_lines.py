"""The lines of a file of ratings as UTF-8, however it is packed and encoded; rows of JSON and Parquet as lines of CSV.

In: a path. Out: chunks of whole lines. Next: `reelstream.producer.ratings_csv` parses them.
Memory stays the same for any size of file.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from reelstream.errors import UsageError

CHUNK_BYTES = 1 << 20
SAMPLE_BYTES = 1 << 17
RATINGS_FILES = ("ratings.csv", "ratings.dat", "u.data")
"""In a directory or an archive of several files, that one."""
_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2", b"\x04\x22\x4d\x18": "lz4"}
_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


@dataclass(frozen=True, slots=True)
class Packing:
    compression: str | None = None
    """A name of Arrow's, or zip."""
    member: str | None = None
    """Of a zip file."""
    encoding: str = "utf-8"
    mark_bytes: int = 0
    """Bytes before the text that only say how it is encoded."""
    parquet: bool = False
    json: bool = False
    columns: tuple[str, ...] = ()
    """Of JSON or Parquet: those that are read, in the order of the lines."""
    double_colons: bool = False

    @property
    def is_plain(self) -> bool:
        return not (self.compression or self.columns or self.double_colons) and self.encoding == "utf-8"

    def of_columns(self, columns: Sequence[str], *, double_colons: bool) -> Packing:
        return replace(
            self, columns=tuple(columns), json=bool(columns) and not self.parquet, double_colons=double_colons
        )

    def __str__(self) -> str:
        packed = f" {self.compression}-compressed" if self.compression else ""
        member = f" ({self.member})" if self.member else ""
        return f"{packed}{member} {self.encoding.upper()}"


class Chunk(NamedTuple):
    """Whole lines, and how much of the file on disk they and those before them take."""

    lines: bytes
    bytes_read: int


def ratings_file(path: Path) -> Path:
    """The path, or the ratings file of that directory."""
    if path.is_dir() and (found := next((path / name for name in RATINGS_FILES if (path / name).is_file()), None)):
        return found
    return path


def packing(path: Path, encoding: str | None) -> Packing:
    """Raises UsageError if there is no such file, or it cannot be unpacked."""
    path = ratings_file(path)
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is not a file; give the path of one.")
    with _readable(path):
        with path.open("rb") as file:
            head = file.read(8)
        if head[:4] == b"PAR1":
            return Packing(parquet=True)
        packed = Packing(next((name for magic, name in _COMPRESSIONS.items() if head.startswith(magic)), None))
        if head.startswith(b"PK\x03\x04"):
            packed = Packing("zip", _member(path))
        with _bytes(path, packed) as (file, _):
            begin = file.read(SAMPLE_BYTES)
    mark = next((mark for mark in _MARKS if begin.startswith(mark)), b"")
    return replace(packed, encoding=encoding or _encoding(begin, mark), mark_bytes=len(mark))


def parquet_schema(path: Path) -> pa.Schema:
    with _readable(path):
        return pq.read_schema(ratings_file(path))


def sample(path: Path, packed: Packing, columns: Sequence[str] = ()) -> tuple[list[bytes], bool]:
    """(the first lines, whether the last one is whole)."""
    if packed.parquet:
        first = next(chunks(path, packed.of_columns(columns, double_colons=False), 0), Chunk(b"", 0))
        return first.lines.split(b"\n"), True
    with opened(path, packed) as (file, _):
        begin = file.read(SAMPLE_BYTES)
    return begin.split(b"\n"), len(begin) < SAMPLE_BYTES


def chunks(path: Path, packed: Packing, lines_before: int) -> Iterator[Chunk]:
    """All lines after so many. Raises UsageError where the file ends in the middle of its compression."""
    if packed.parquet:
        yield from _parquet_lines(path, packed)
        return
    with opened(path, packed) as (file, raw):
        done = packed.mark_bytes + sum(len(file.readline()) for _ in range(lines_before))
        for lines in _whole_lines(file):
            done += len(lines)
            yield Chunk(_as_csv(lines, packed), done if packed.is_plain else raw.tell())


@contextmanager
def opened(path: Path, packed: Packing) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """(the text as UTF-8, the file on disk)."""
    path = ratings_file(path)
    with _readable(path), _bytes(path, packed) as (file, raw):
        file.read(packed.mark_bytes)
        yield (file if packed.encoding == "utf-8" else io.BufferedReader(_Recoded(file, packed.encoding))), raw


@contextmanager
def _bytes(path: Path, packed: Packing) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    with ExitStack() as stack:
        raw = stack.enter_context(path.open("rb"))
        if packed.compression == "zip":
            archive = stack.enter_context(zipfile.ZipFile(raw))
            yield stack.enter_context(archive.open(packed.member or "")), raw  # type: ignore[misc]
        elif packed.compression:
            stream = pa.CompressedInputStream(pa.PythonFile(raw, "r"), packed.compression)
            yield io.BufferedReader(stack.enter_context(stream), CHUNK_BYTES), raw
        else:
            yield raw, raw


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}; give the path of one.") from None
    except (pa.ArrowException, zipfile.BadZipFile, EOFError, NotImplementedError, LookupError) as error:
        raise UsageError(f"{path} can't be read: {error}.") from None
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror or error}.") from None


def _member(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    named = [name for name in names if PurePosixPath(name).name in RATINGS_FILES]
    if len(found := named if len(named) == 1 else names) != 1:
        raise UsageError(f"{path} holds {len(names)} files, {', '.join(names)[:200]}; unpack the one with the ratings.")
    return found[0]


def _encoding(begin: bytes, mark: bytes) -> str:
    if mark:
        return _MARKS[mark]
    zeros = begin[1::2].count(0), begin[0::2].count(0)
    if len(begin) > 4 and max(zeros) > 0.4 * len(begin) / 2:
        return "utf-16-le" if zeros[0] > zeros[1] else "utf-16-be"
    return "utf-8"


class _Recoded(io.RawIOBase):
    """Bytes of another encoding as UTF-8; what cannot be decoded becomes U+FFFD."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        while not self._rest:
            read = self._file.read(CHUNK_BYTES)
            self._rest = self._decoder.decode(read, final=not read).encode(errors="replace")
            if not read:
                break
        n = min(len(buffer), len(self._rest))
        buffer[:n], self._rest = self._rest[:n], self._rest[n:]
        return n


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    """Whole lines, about CHUNK_BYTES at a time. The middle of an endless line is dropped; what is left is oversize."""
    rest = b""
    while data := file.read(CHUNK_BYTES):
        end = data.rfind(b"\n") + 1
        if end:
            yield rest + data[:end]
            rest = data[end:]
        else:
            rest = (rest + data)[: CHUNK_BYTES // 2]
    if rest:
        yield rest


def _as_csv(lines: bytes, packed: Packing) -> bytes:
    if packed.double_colons:
        return lines.replace(b"::", b"\t")
    return _json_as_csv(lines, packed.columns) if packed.json else lines


def _json_as_csv(lines: bytes, columns: Sequence[str]) -> bytes:
    """A line of CSV for each of JSON; one that is no object stays as it is, to be a bad row."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for line in lines.removesuffix(b"\n").split(b"\n"):
        try:
            record = json.loads(line)
            values = [record.get(name) for name in columns]
        except (ValueError, RecursionError, AttributeError):
            out.write(line.decode(errors="replace").strip("\r") + "\n")
            continue
        writer.writerow(["" if value is None else value for value in values])
    return out.getvalue().encode(errors="replace")


def _parquet_lines(path: Path, packed: Packing) -> Iterator[Chunk]:
    path = ratings_file(path)
    size = path.stat().st_size
    with _readable(path), pq.ParquetFile(path) as file:
        done, rows = 0, max(file.metadata.num_rows, 1)
        for batch in file.iter_batches(columns=list(packed.columns)):
            out = io.BytesIO()
            table = pa.table({name: _plain(batch[name]) for name in packed.columns})
            pa.csv.write_csv(table, out, pa.csv.WriteOptions(include_header=False, quoting_style="needed"))
            done += batch.num_rows
            yield Chunk(out.getvalue(), size * done // rows)


def _plain(column: pa.Array) -> pa.Array:
    """Times as milliseconds; dictionaries as what they stand for."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_timestamp(column.type):
        return pc.cast(column.cast(pa.timestamp("ms"), safe=False), pa.int64())
    return column
