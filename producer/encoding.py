"""Which encoding a text has, by its first bytes.

In: the beginning of a file. Out: the name of an encoding. Next: `reelstream.producer.packed_file` decodes the text by it.
"""

from __future__ import annotations

import codecs

WESTERN = "cp1252"
"""Windows-1252, Latin-1 with quotes and dashes: what a file is taken for that is not UTF-8."""
MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # begins as that of UTF-16 does
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


def encoding_of(begin: bytes, mark: bytes) -> str:
    """mark: one of MARKS that it begins with, if any."""
    if mark:
        return MARKS[mark]
    zeros = begin[1::2].count(0), begin[0::2].count(0)
    if len(begin) > 4 and max(zeros) > 0.4 * len(begin) / 2 > 4 * min(zeros):
        return "utf-16-le" if zeros[0] > zeros[1] else "utf-16-be"
    if _is_utf8(begin) or any(not line.isascii() and _is_utf8(line) for line in begin.split(b"\n")):
        return "utf-8"  # in the second case some lines of it are damaged
    return WESTERN


def said(encoding: str, mark: bytes) -> str:
    """The encoding that the user names, of a text whose mark is left out: `utf-16` alone would look for it."""
    name = codecs.lookup(encoding).name
    if name not in ("utf-16", "utf-32"):
        return encoding
    return MARKS.get(mark, f"{name}-le")


def _is_utf8(text: bytes) -> bool:
    """The last letter may be cut off."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(text)
    except UnicodeDecodeError:
        return False
    return True
