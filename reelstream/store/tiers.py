"""Which small files to fold together, so that a table that grows by tiny files stays cheap to read.

A file of level L holds about FAN^L appended files. Whenever FAN files of one level stand side by side they become
one of the next level: a reader opens at most (FAN - 1) files a level, and each row is rewritten once a level.
"""

from __future__ import annotations

from collections.abc import Sequence

FAN = 8


def run_to_merge(levels: Sequence[int]) -> slice | None:
    """The run of files (oldest first, by their levels) to fold into one of the next level, or None.

    >>> run_to_merge([1] + [0] * 8)
    slice(1, 9, None)
    """
    end = len(levels)
    while end >= FAN:
        start = end - FAN
        if all(level == levels[end - 1] for level in levels[start:end]):
            return slice(start, end)
        end -= 1
    return None
