"""Lines of other forms as lines of CSV, one for each, so that bad rows keep their numbers.

In: whole lines. Out: lines of CSV. Next: `reelstream.producer.packed_file` and `reelstream.producer.file_lines` give them
to `reelstream.producer.ratings_csv`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

_MOVIE_LINE = re.compile(rb"^(\d+):[ \t]*$", re.MULTILINE)
_BEGIN, _BETWEEN = re.compile(r"\s*\["), re.compile(r"[\s,]*")
MAX_OBJECT_CHARACTERS = 1 << 22
_ROW_END = re.compile(rb"(?<=[^\n])$", re.MULTILINE)


class Sections:
    """Rows below a line with their movie and a colon, as rows that end in the movie; that line becomes a blank one.

    1:                               →
    1488844,3,2005-09-06             → 1488844,3,2005-09-06,1
    """

    def __init__(self) -> None:
        self._movie = b""

    def __call__(self, lines: bytes) -> bytes:
        parts = _MOVIE_LINE.split(lines.replace(b"\r", b""))
        out = [self._rows(parts[0])]
        for self._movie, rows in zip(parts[1::2], parts[2::2], strict=True):
            out.append(self._rows(rows))
        return b"".join(out)

    def _rows(self, rows: bytes) -> bytes:
        return _ROW_END.sub(b"," + self._movie, rows)


def flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """With the fields of nested objects as `user.id`; MongoDB's `{"$oid": …}` is the value in it."""
    found: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, dict):
            found |= {name if key.startswith("$") else f"{name}.{key}": inner for key, inner in flat(value).items()}
        else:
            found[name] = value
    return found


def json_as_csv(lines: bytes, columns: Sequence[str]) -> bytes:
    """A line of CSV for each of JSON; one that is no object, or has a list for a value, stays as it is, to be a bad row."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for line in lines.removesuffix(b"\n").split(b"\n"):
        try:
            record = json.loads(line)
            if any(isinstance(value, dict) for value in record.values()):
                record = flat(record)
            values = [record.get(name) for name in columns]
            if any(isinstance(value, (list, dict)) for value in values):
                raise ValueError("a list")
        except (ValueError, RecursionError, AttributeError):
            out.write(line.decode(errors="replace").strip("\r") + "\n")
            continue
        writer.writerow(["" if value is None else value for value in values])
    return out.getvalue().encode(errors="replace")


def lines_of_objects(texts: Iterable[str]) -> Iterator[str]:
    """A list of objects as lines, an object each. What is no object ends the list, as one line."""
    decode, rest, begun = json.JSONDecoder().raw_decode, "", False
    for text in texts:
        rest, out, at = rest + text, [], 0
        while found := (_BETWEEN if begun else _BEGIN).match(rest, at):
            begun, at = True, found.end()
            if not rest.startswith("{", at):
                break
            try:
                value, at = decode(rest, at)
            except ValueError:
                break
            out.append(json.dumps(value, ensure_ascii=False) + "\n")
        rest = rest[at:]
        if len(rest) > MAX_OBJECT_CHARACTERS:
            break
        yield "".join(out)
    if rest.strip() != "]":
        yield " ".join(rest[:MAX_OBJECT_CHARACTERS].split()) + "\n"
