"""One writer a table: a lock on a file of the warehouse, released by the system even when its holder is killed."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reelstream.errors import Busy


@contextmanager
def exclusive(path: Path, who: str) -> Iterator[None]:
    """Holds the lock while the block runs. `who` names the holder in the error that a second one gets.

    Raises Busy if another process, or another part of this one, holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(
                f"{who} is already running on this warehouse ({path}); stop it, or wait for it to end."
            ) from None
        yield
