"""Files that a process had written aside when it was killed: complete or half, never at their place, named by nobody.

In: a warehouse. Out: the same without them. Next: the stream starts. They would only take space, but for one that holds
a user who asks to be forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from reelstream.errors import Busy
from reelstream.store.locks import exclusive


def remove(warehouse: Path) -> None:
    """The caller holds `run/stream.lock` and has written nothing yet. While a refit runs, its tables are left alone."""
    for name in ("ratings", "rejects", "ids", "dismissed", "quality"):
        _remove((warehouse / name).rglob(".*"))
    with suppress(Busy), exclusive(warehouse / "run" / "refit.lock", "A refit"):
        for name in ("recommendations", "models"):
            _remove((warehouse / name).glob("version=*/**/.*"))


def _remove(hidden: Iterable[Path]) -> None:
    for path in list(hidden):
        if re.fullmatch(r"\..+\.\d+", path.name):  # see `pointer`
            path.unlink(missing_ok=True)
