"""A file or a directory as one text in UTF-8, however it is packed and encoded.

In: a path. Out: its Packing, and the text as a stream of bytes. Next: `reelstream.producer.file_lines` makes lines of it.
Memory stays the same for any size of file.
"""

from __future__ import annotations

import codecs
import io
import lzma
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO

import pyarrow as pa

from reelstream.errors import UsageError
from reelstream.producer.as_csv import lines_of_objects
from reelstream.producer.encoding import MARKS, encoding_of, said
from reelstream.producer.foreign_forms import what_it_is, what_the_archive_is

CHUNK_BYTES = 1 << 20
SAMPLE_BYTES = 1 << 17
RATINGS_FILES = ("ratings.csv", "ratings.dat", "u.data")
"""In a directory or an archive of several files, that one."""
MOVIES_FILES = ("movies.csv", "movies.dat", "u.item", "movie_titles.csv", "movie_titles.txt")
NETFLIX_FILES = re.compile(r"(combined_data_\d+|mv_\d+)\.txt")
"""Of the Netflix prize: parts of one table, each begins with the line of a movie."""
_COMPRESSIONS = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bz2",
    b"\x04\x22\x4d\x18": "lz4",
    b"\xfd7zXZ\0": "xz",
}
_UNREADABLE = (
    *(pa.ArrowException, zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, EOFError, LookupError),
    NotImplementedError,  # by which zipfile refuses a compression
)
_TABLES = {b"PAR1": "Parquet", b"ARROW1": "Arrow"}


@dataclass(frozen=True, slots=True)
class Packing:
    compression: str | None = None
    """A name of Arrow's, or zip, tar or xz."""
    members: tuple[str, ...] = ()
    """Of an archive or a directory; several follow on each other."""
    encoding: str = "utf-8"
    mark_bytes: int = 0
    """Bytes before the text that only say how it is encoded."""
    returns: bool = False
    """Lines end with a carriage return alone."""
    table: str = ""
    """Parquet or Arrow."""
    json: bool = False
    array: bool = False
    """JSON is one list of objects."""
    columns: tuple[str, ...] = ()
    """Of JSON or a table: those that are read, in the order of the lines."""
    delimiter: str = ""
    """Two colons or blanks, which become a tab."""
    sections: bool = False
    """Rows stand below a line of their movie: see `reelstream.producer.as_csv.Sections`."""

    @property
    def is_text(self) -> bool:
        """Whether the file on disk is the text as it is read."""
        return self.encoding == "utf-8" and not self.returns and not self.array

    @property
    def is_plain(self) -> bool:
        return self.is_text and not (self.compression or self.members or self.columns or self.delimiter)

    def __str__(self) -> str:
        packed = f" {self.compression}-compressed" if self.compression else ""
        more = f" and {len(self.members) - 1} more" if self.members[1:] else ""
        member = f" ({self.members[0]}{more})" if self.members else ""
        return f"{packed}{member} {self.encoding.upper()}"


def ratings_file(path: Path) -> Path:
    """The path, or the ratings file of that directory."""
    return file_of(path, RATINGS_FILES)


def file_of(path: Path, names: Sequence[str]) -> Path:
    """The path, or the file of that directory that counts: one of the names, or for ratings the only one that it can be."""
    if not path.is_dir():
        return path
    if found := next((path / name for name in names if (path / name).is_file()), None):
        return found
    found_names = _chosen(_files_in(path), names) if names == RATINGS_FILES else ()
    return path / found_names[0] if len(found_names) == 1 else path


def named_inside(path: Path, names: Sequence[str]) -> str | None:
    """The file of one of the names in a directory or an archive; None if there is none, or the path is another file."""
    if path.is_dir():
        found = file_of(path, names)
        return None if found == path else found.name
    if not path.is_file():
        return None
    with readable(path):
        kind, _ = _kind(path)
        if not kind:
            return None
        with path.open("rb") as raw, _archive(raw, kind) as (members, _):
            named = [name for name in members if PurePosixPath(name).name in names]
    return PurePosixPath(named[0]).name if len(named) == 1 else None


def size_of(path: Path) -> tuple[int, int]:
    """(bytes, time of the last change in ns) of a file, or of all files of a directory."""
    stats = [(path / name).stat() for name in _files_in(path)] if path.is_dir() else [path.stat()]
    return sum(one.st_size for one in stats), max((one.st_mtime_ns for one in stats), default=0)


def packing(path: Path, encoding: str | None, names: Sequence[str] = RATINGS_FILES) -> Packing:
    """names: the file that counts in a directory or an archive of several.
    Raises UsageError if there is no such file, it cannot be unpacked, or it is of a form that is known and not read."""
    path = file_of(path, names)
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UsageError(f"{path} is not a file; give the path of one.")
    with readable(path):
        packed = _unpacked(path, names)
        with bytes_of(path, packed) as (file, _):
            begin = file.read(SAMPLE_BYTES)
    if table := next((name for magic, name in _TABLES.items() if begin.startswith(magic)), None):
        if packed.compression:
            kind = "a Parquet" if table == "Parquet" else "an Arrow"
            raise UsageError(f"{path} is {kind} file, {packed.compression}-compressed as a whole; unpack it.")
        return replace(packed, table=table)
    if what := what_it_is(begin):
        raise UsageError(f"{path} is {what}.")
    if twice := next((name for magic, name in _COMPRESSIONS.items() if begin.startswith(magic)), None):
        raise UsageError(
            f"{path} holds {packed.members[0] if packed.members else 'a file'}, {twice}-compressed again; unpack it."
        )
    mark = next((mark for mark in MARKS if begin.startswith(mark)), b"")
    encoding = said(encoding, mark) if encoding else encoding_of(begin, mark)
    text = begin[len(mark) :].decode(encoding, errors="replace")
    returns, array = "\r" in text and "\n" not in text, bool(re.match(r"\s*\[\s*\{", text))
    return replace(packed, encoding=encoding, mark_bytes=len(mark), returns=returns, json=array, array=array)


@contextmanager
def opened(path: Path, packed: Packing) -> Iterator[tuple[BinaryIO, Any]]:
    """(the text as UTF-8, what tells by `tell` how many bytes of the file on disk are read)."""
    path = ratings_file(path)
    with readable(path), bytes_of(path, packed) as (file, raw):
        file.read(packed.mark_bytes)
        yield (file if packed.is_text else io.BufferedReader(_Stream(_recoded(file, packed)))), raw


@contextmanager
def bytes_of(path: Path, packed: Packing) -> Iterator[tuple[BinaryIO, Any]]:
    with ExitStack() as stack:
        if path.is_dir():
            stream = _Stream(_joined(lambda name: (path / name).open("rb"), packed.members))
            yield io.BufferedReader(stream), stream
            return
        raw = stack.enter_context(path.open("rb"))
        if packed.compression in ("zip", "tar"):
            _, open_member = stack.enter_context(_archive(raw, packed.compression))
            if packed.members[1:]:
                yield io.BufferedReader(_Stream(_joined(open_member, packed.members))), raw
            else:
                yield stack.enter_context(open_member(packed.members[0])), raw  # type: ignore[misc]
        elif packed.compression == "xz":
            yield stack.enter_context(lzma.LZMAFile(raw)), raw  # type: ignore[misc]
        elif packed.compression:
            whole = pa.CompressedInputStream(pa.PythonFile(raw, "r"), packed.compression)
            yield io.BufferedReader(stack.enter_context(whole), CHUNK_BYTES), raw
        else:
            yield raw, raw


def _unpacked(path: Path, names: Sequence[str]) -> Packing:
    """How the file or directory is packed, and which of its members count."""
    if path.is_dir():
        return Packing(members=_members(path, _files_in(path), names))
    kind, compression = _kind(path)
    if not kind:
        return Packing(compression)
    with path.open("rb") as raw, _archive(raw, kind) as (members, _):
        if what := what_the_archive_is(members):
            raise UsageError(f"{path} is {what}.")
        return Packing(kind, _members(path, members, names))


def _kind(path: Path) -> tuple[str | None, str | None]:
    """(zip, tar or None; how else it is compressed)."""
    with path.open("rb") as raw:
        head = raw.read(8)
    if head.startswith(b"PK\x03\x04"):
        return "zip", None
    compression = next((name for magic, name in _COMPRESSIONS.items() if head.startswith(magic)), None)
    with bytes_of(path, Packing(compression)) as (file, _):
        is_tar = file.read(262)[257:] == b"ustar"
    if is_tar and compression in ("zstd", "lz4"):
        raise UsageError(f"{path} is a tar archive, {compression}-compressed; unpack it.")
    return ("tar" if is_tar else None), compression


@contextmanager
def _archive(raw: BinaryIO, kind: str) -> Iterator[tuple[list[str], Callable[[str], IO[bytes]]]]:
    """(the names of its files, what opens one of them)."""
    if kind == "zip":
        with zipfile.ZipFile(raw) as archive:
            yield [one.filename for one in archive.infolist() if not one.is_dir()], archive.open
    else:
        with tarfile.open(fileobj=raw) as archive:
            yield [one.name for one in archive if one.isfile()], archive.extractfile  # type: ignore[misc]


def _files_in(directory: Path) -> list[str]:
    """Of it and the directories in it."""
    found = [path for pattern in ("*", "*/*") for path in directory.glob(pattern) if path.is_file()]
    return sorted(path.relative_to(directory).as_posix() for path in found)


def _members(path: Path, names: list[str], wanted: Sequence[str]) -> tuple[str, ...]:
    if found := _chosen(names, wanted):
        return found
    if not names:
        raise UsageError(f"{path} holds no file; give the path of one.")
    listed = ", ".join(names[:20])[:200]
    raise UsageError(
        f"{path} holds {len(names)} files, {listed}; {'give' if path.is_dir() else 'unpack'} the one that counts."
    )


def _chosen(names: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """The file that counts; several only where they are parts of one table; none where that is not clear."""
    names = [
        name
        for name in names
        if not name.startswith("__MACOSX/") and not PurePosixPath(name).name.startswith((".", "_"))
    ]
    base = {name: PurePosixPath(name).name.lower() for name in names}
    if len(named := [name for name in names if base[name] in wanted]) == 1:
        return (named[0],)
    if wanted == RATINGS_FILES and not named:
        if parts := [name for name in names if NETFLIX_FILES.fullmatch(base[name])]:
            return tuple(sorted(parts))
        if names and all(name.endswith(".parquet") for name in base.values()):
            return tuple(names)
        named = [name for name in names if "rating" in base[name]]
    found = named if len(named) == 1 else names
    return (found[0],) if len(found) == 1 else ()


@contextmanager
def readable(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}; give the path of one.") from None
    except _UNREADABLE as error:
        raise UsageError(f"{path} can't be read: {error}.") from None
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror or error}.") from None


def _recoded(file: BinaryIO, packed: Packing) -> Iterator[bytes]:
    """What cannot be decoded becomes U+FFFD."""
    decoder: Any = codecs.getincrementaldecoder(packed.encoding)(errors="replace")
    if packed.returns:
        decoder = io.IncrementalNewlineDecoder(decoder, translate=True)
    texts = (decoder.decode(read, final=not read) for read in chain(iter(lambda: file.read(CHUNK_BYTES), b""), [b""]))
    for text in lines_of_objects(texts) if packed.array else texts:
        yield text.encode(errors="replace")


def _joined(open_member: Callable[[str], IO[bytes]], members: Sequence[str]) -> Iterator[bytes]:
    """Files one after the other, each with an end to its last line."""
    last = b"\n"
    for name in members:
        if not last.endswith(b"\n"):
            yield b"\n"
        with open_member(name) as file:
            while last_read := file.read(CHUNK_BYTES):
                yield (last := last_read)


class _Stream(io.RawIOBase):
    """Pieces, of which none is empty but the last ones, as one stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest, self._done = pieces, b"", 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._done

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        n = min(len(buffer), len(self._rest))
        buffer[:n], self._rest = self._rest[:n], self._rest[n:]
        self._done += n
        return n
