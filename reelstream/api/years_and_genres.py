"""What a movie's row says of it: the year at the end of its title, and its genres.

In: titles and genres as MovieLens writes them. Out: years and names. Next: `reelstream.api.movies`.
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa

from reelstream.als.arrays import I32

_YEAR = re.compile(r"\((\d{4})(?:\s*[-–]\s*(?:\d{4})?)?\)\s*$")
NO_GENRES = "(no genres listed)"


def year(title: str) -> int | None:
    """The year in brackets at the end of a title, the first of a span; None where there is none.

    >>> year("Heat (1995)"), year("Doctor Who (2005–2010)"), year("2012")
    (1995, 2005, None)
    """
    found = _YEAR.search(title)
    return int(found[1]) if found else None


def years(titles: pa.Array) -> I32:
    """The same of string[T] titles: int32[T], -1 where there is none."""
    found = [year(title) if title else None for title in titles.to_pylist()]
    return np.array([-1 if one is None else one for one in found], np.int32)


def genres(text: str) -> list[str]:
    """Names between bars.

    >>> genres("Comedy|Drama"), genres("(no genres listed)")
    (['Comedy', 'Drama'], [])
    """
    return [name for name in text.split("|") if name and name != NO_GENRES]
