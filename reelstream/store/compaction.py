"""Which small files to compact, so that a table that grows by tiny files stays cheap to read.

A file of level L holds about FAN^L appended files. Whenever FAN files of one level stand side by side they become
one of the next level: a reader opens at most (FAN - 1) files a level, and each row is rewritten once a level.
"""

from __future__ import annotations

from collections.abc import Sequence

FAN = 8


def run_to_merge(levels: Sequence[int]) -> slice | None:
    """The oldest run of files (oldest first, by their levels) to fold into one of the next level, or None.

    The oldest, so that levels never rise from one file to the next: a smaller file before a larger one would never again
    find seven others beside it.

    >>> run_to_merge([1] + [0] * 11)
    slice(1, 9, None)
    """
    for start in range(len(levels) - FAN + 1):
        if len(set(levels[start : start + FAN])) == 1:
            return slice(start, start + FAN)
    return None
