"""Reads the text of a Java .properties file, by the rules of java.util.Properties.

In: the text. Out: keys and values. Next: `reelstream.kafka_io.connection` reads a client.properties with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator


def entries(text: str) -> Iterator[tuple[str, str]]:
    """Key and value of each logical line."""
    for line in _logical_lines(text):
        split = re.match(r"((?:\\.|[^\\=:\s])*)\s*[=:]?\s*(.*)", line, re.DOTALL)
        if split:
            yield _unescaped(split[1]), _unescaped(split[2])


def _logical_lines(text: str) -> Iterator[str]:
    pending = ""
    for line in text.splitlines():
        stripped = line.lstrip()
        if not pending and (not stripped or stripped[0] in "#!"):
            continue
        pending += stripped
        if (len(pending) - len(pending.rstrip("\\"))) % 2:
            pending = pending[:-1]
        else:
            yield pending
            pending = ""
    if pending:
        yield pending


def _unescaped(text: str) -> str:
    letters = {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}

    def one(found: re.Match[str]) -> str:
        return chr(int(found[1], 16)) if found[1] else letters.get(found[2], found[2])

    return re.sub(r"\\(?:u([0-9a-fA-F]{4})|(.))", one, text, flags=re.DOTALL)
