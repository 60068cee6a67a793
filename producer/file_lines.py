"""The lines of a file of ratings as UTF-8; rows of JSON, Parquet and Arrow as lines of CSV.

In: a path, and how it is packed. Out: chunks of whole lines. Next: `reelstream.producer.ratings_csv` parses them.
Memory stays the same for any size of file.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from reelstream.errors import UsageError
from reelstream.producer.as_csv import Sections, json_as_csv
from reelstream.producer.encoding import WESTERN
from reelstream.producer.packed_file import (
    CHUNK_BYTES,
    SAMPLE_BYTES,
    Packing,
    opened,
    ratings_file,
    readable,
    size_of,
)

MAX_WHOLE_BYTES = 1 << 28
"""Of a file that is read whole: a table of movies, or the export of one user."""
_BLANKS = re.compile(rb"[ \t]+")
_AT_ENDS = re.compile(rb"^\t|\t(?=\r?$)", re.MULTILINE)


class Chunk(NamedTuple):
    """Whole lines, and how much of the file on disk they and those before them take."""

    lines: bytes
    bytes_read: int


def table_schema(path: Path, packed: Packing) -> pa.Schema:
    with readable(path), _table(_parts(path, packed)[0], packed) as table:
        return table.schema_arrow if packed.table == "Parquet" else table.schema


def sample(path: Path, packed: Packing) -> tuple[list[bytes], bool]:
    """(the first lines, whether the last one is whole)."""
    if packed.table:
        first = next(chunks(path, packed, 0), Chunk(b"", 0))
        return first.lines.split(b"\n"), True
    with opened(path, packed) as (file, _):
        begin = file.read(SAMPLE_BYTES)
    return begin.split(b"\n"), len(begin) < SAMPLE_BYTES


def chunks(path: Path, packed: Packing, lines_before: int) -> Iterator[Chunk]:
    """All lines after so many. Raises UsageError where the file ends in the middle of its compression."""
    if packed.table:
        yield from _table_lines(path, packed)
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
    if packed.delimiter == "::":
        return lambda lines: lines.replace(b"::", b"\t")
    if packed.delimiter == " ":
        return lambda lines: _AT_ENDS.sub(b"", _BLANKS.sub(b"\t", lines))
    return partial(json_as_csv, columns=packed.columns) if packed.json else bytes


def _table_lines(path: Path, packed: Packing) -> Iterator[Chunk]:
    """Of Parquet and Arrow."""
    path = ratings_file(path)
    size, _ = size_of(path)
    parts, columns = _parts(path, packed), list(packed.columns)
    for number, part in enumerate(parts):
        with readable(path), _table(part, packed) as table:
            for batch, share in _batches(table, packed):
                out = io.BytesIO()
                rows = pa.table([_plain(batch[name]) for name in columns], columns)
                pa.csv.write_csv(rows, out, pa.csv.WriteOptions(include_header=False, quoting_style="needed"))
                yield Chunk(out.getvalue(), int(size * (number + share) / len(parts)))


def _parts(path: Path, packed: Packing) -> list[Path]:
    path = ratings_file(path)
    return [path / name for name in packed.members] if path.is_dir() else [path]


def _table(part: Path, packed: Packing) -> pq.ParquetFile | pa.ipc.RecordBatchFileReader:
    return pq.ParquetFile(part) if packed.table == "Parquet" else pa.ipc.open_file(part)


def _batches(
    table: pq.ParquetFile | pa.ipc.RecordBatchFileReader, packed: Packing
) -> Iterator[tuple[pa.RecordBatch, float]]:
    """Each with the share of the rows that are read by then."""
    if packed.table == "Parquet":
        done, rows = 0, max(table.metadata.num_rows, 1)
        for batch in table.iter_batches(columns=list(packed.columns)):
            done += batch.num_rows
            yield batch, done / rows
    else:
        for i in range(n := table.num_record_batches):
            yield table.get_batch(i), (i + 1) / n


def _plain(column: pa.Array) -> pa.Array:
    """Times as milliseconds; dictionaries as what they stand for."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_timestamp(column.type):
        return pc.cast(column.cast(pa.timestamp("ms"), safe=False), pa.int64())
    return column
