"""Lines of other forms as lines of CSV, one for each, so that bad rows keep their numbers.

In: whole lines. Out: lines of CSV. Next: `reelstream.producer.file_lines` gives them to `reelstream.producer.ratings_csv`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence

_MOVIE_LINE = re.compile(rb"^(\d+):[ \t]*$", re.MULTILINE)
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


def json_as_csv(lines: bytes, columns: Sequence[str]) -> bytes:
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
