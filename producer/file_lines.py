"""The lines of a file of ratings as UTF-8, however it is packed and encoded; rows of JSON and Parquet as lines of CSV.

In: a path. Out: chunks of whole lines. Next: `reelstream.producer.ratings_csv` parses them.
Memory stays the same for any size of file.
"""

from __future__ import annotations

import codecs
import io
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from reelstream.errors import UsageError
from reelstream.producer.as_csv import Sections, json_as_csv

CHUNK_BYTES = 1 << 20
SAMPLE_BYTES = 1 << 17
MAX_WHOLE_BYTES = 1 << 28
"""Of a file that is read whole: a table of movies, or the export of one user."""
WESTERN = "cp1252"
"""Windows-1252, Latin-1 with quotes and dashes: what a file is taken for that is not UTF-8."""
RATINGS_FILES = ("ratings.csv", "ratings.dat", "u.data")
"""In a directory or an archive of several files, that one."""
MOVIES_FILES = ("movies.csv", "movies.dat", "u.item", "movie_titles.csv", "movie_titles.txt")
NETFLIX_FILES = re.compile(r"(combined_data_\d+|mv_\d+)\.txt")
"""Of the Netflix prize: parts of one table, each begins with the line of a movie."""
_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2", b"\x04\x22\x4d\x18": "lz4"}
_PARQUET = b"PAR1"
_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


@dataclass(frozen=True, slots=True)
class Packing:
    compression: str | None = None
    """A name of Arrow's, or zip."""
    members: tuple[str, ...] = ()
    """Of a zip file; several follow on each other."""
    encoding: str = "utf-8"
    mark_bytes: int = 0
    """Bytes before the text that only say how it is encoded."""
    parquet: bool = False
    json: bool = False
    columns: tuple[str, ...] = ()
    """Of JSON or Parquet: those that are read, in the order of the lines."""
    double_colons: bool = False
    sections: bool = False
    """Rows stand below a line of their movie: see `reelstream.producer.as_csv.Sections`."""

    @property
    def is_plain(self) -> bool:
        return not (self.compression or self.columns or self.double_colons) and self.encoding == "utf-8"

    def __str__(self) -> str:
        packed = f" {self.compression}-compressed" if self.compression else ""
        more = f" and {len(self.members) - 1} more" if self.members[1:] else ""
        member = f" ({self.members[0]}{more})" if self.members else ""
        return f"{packed}{member} {self.encoding.upper()}"


class Chunk(NamedTuple):
    """Whole lines, and how much of the file on disk they and those before them take."""

    lines: bytes
    bytes_read: int


def ratings_file(path: Path) -> Path:
    """The path, or the ratings file of that directory."""
    return file_of(path, RATINGS_FILES)


def file_of(path: Path, names: Sequence[str]) -> Path:
    """The path, or the file of one of the names in that directory."""
    if path.is_dir() and (found := next((path / name for name in names if (path / name).is_file()), None)):
        return found
    return path


def named_inside(path: Path, names: Sequence[str]) -> str | None:
    """The file of one of the names in a directory or a zip file; None if there is none, or the path is another file."""
    if path.is_dir():
        found = file_of(path, names)
        return None if found == path else found.name
    if not zipfile.is_zipfile(path):
        return None
    with _readable(path), zipfile.ZipFile(path) as archive:
        named = [name for name in archive.namelist() if PurePosixPath(name).name in names]
    return PurePosixPath(named[0]).name if len(named) == 1 else None


def packing(path: Path, encoding: str | None, names: Sequence[str] = RATINGS_FILES) -> Packing:
    """names: the file that counts in a directory or a zip file of several.
    Raises UsageError if there is no such file, or it cannot be unpacked."""
    path = file_of(path, names)
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is not a file; give the path of one.")
    with _readable(path):
        with path.open("rb") as file:
            head = file.read(8)
        if head[:4] == _PARQUET:
            return Packing(parquet=True)
        packed = Packing(next((name for magic, name in _COMPRESSIONS.items() if head.startswith(magic)), None))
        if head.startswith(b"PK\x03\x04"):
            packed = Packing("zip", _members(path, names))
        with _bytes(path, packed) as (file, _):
            begin = file.read(SAMPLE_BYTES)
    if begin[:4] == _PARQUET:
        raise UsageError(f"{path} is a Parquet file, {packed.compression}-compressed as a whole; unpack it.")
    mark = next((mark for mark in _MARKS if begin.startswith(mark)), b"")
    return replace(packed, encoding=encoding or _encoding(begin, mark), mark_bytes=len(mark))


def parquet_schema(path: Path) -> pa.Schema:
    with _readable(path):
        return pq.read_schema(ratings_file(path))


def sample(path: Path, packed: Packing) -> tuple[list[bytes], bool]:
    """(the first lines, whether the last one is whole)."""
    if packed.parquet:
        first = next(chunks(path, packed, 0), Chunk(b"", 0))
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
        as_csv = _as_csv(packed)
        for lines in _whole_lines(file):
            done += len(lines)
            yield Chunk(as_csv(lines), done if packed.is_plain else raw.tell())


def whole_text(path: Path, packed: Packing) -> tuple[str, str]:
    """(the text, its encoding)."""
    with opened(path, packed) as (file, _):
        raw = file.read(MAX_WHOLE_BYTES + 1)
    if len(raw) > MAX_WHOLE_BYTES:
        raise UsageError(f"{path} has more than {MAX_WHOLE_BYTES >> 20} MB of text; give a smaller file.")
    try:
        return raw.decode(), packed.encoding
    except UnicodeDecodeError:
        return raw.decode(WESTERN, errors="replace"), WESTERN


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
            if packed.members[1:]:
                yield io.BufferedReader(_Joined(archive, packed.members)), raw
            else:
                yield stack.enter_context(archive.open(packed.members[0])), raw  # type: ignore[misc]
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


def _members(path: Path, wanted: Sequence[str]) -> tuple[str, ...]:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    named = [name for name in names if PurePosixPath(name).name in wanted]
    if not named and wanted == RATINGS_FILES:
        named = sorted(name for name in names if NETFLIX_FILES.fullmatch(PurePosixPath(name).name))
        if named:
            return tuple(named)
    if len(found := named if len(named) == 1 else names) != 1:
        raise UsageError(f"{path} holds {len(names)} files, {', '.join(names)[:200]}; unpack the one that counts.")
    return tuple(found)


def _encoding(begin: bytes, mark: bytes) -> str:
    if mark:
        return _MARKS[mark]
    zeros = begin[1::2].count(0), begin[0::2].count(0)
    if len(begin) > 4 and max(zeros) > 0.4 * len(begin) / 2:
        return "utf-16-le" if zeros[0] > zeros[1] else "utf-16-be"
    if _is_utf8(begin) or any(not line.isascii() and _is_utf8(line) for line in begin.split(b"\n")):
        return "utf-8"  # in the second case some lines of it are damaged
    return WESTERN


def _is_utf8(text: bytes) -> bool:
    """The last letter may be cut off."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(text)
    except UnicodeDecodeError:
        return False
    return True


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


class _Joined(io.RawIOBase):
    """Files of an archive, one after the other."""

    def __init__(self, archive: zipfile.ZipFile, members: Sequence[str]) -> None:
        self._archive, self._members = archive, iter(members)
        self._file: IO[bytes] = io.BytesIO()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        while not (data := self._file.read(len(buffer))):
            member = next(self._members, None)
            if member is None:
                return 0
            self._file = self._archive.open(member)
        buffer[: len(data)] = data
        return len(data)


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


def _as_csv(packed: Packing) -> Callable[[bytes], bytes]:
    if packed.sections:
        return Sections()
    if packed.double_colons:
        return lambda lines: lines.replace(b"::", b"\t")
    return partial(json_as_csv, columns=packed.columns) if packed.json else bytes


def _parquet_lines(path: Path, packed: Packing) -> Iterator[Chunk]:
    path = ratings_file(path)
    size = path.stat().st_size
    with _readable(path), pq.ParquetFile(path) as file:
        done, rows = 0, max(file.metadata.num_rows, 1)
        for batch in file.iter_batches(columns=list(packed.columns)):
            out = io.BytesIO()
            table = pa.table([_plain(batch[name]) for name in packed.columns], list(packed.columns))
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
