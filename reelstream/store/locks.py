"""Locks on files, released by the system however their holder ends; a child that inherits the open file holds it too."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from reelstream.errors import Busy


def try_lock(file: IO[str], *, shared: bool = False) -> bool:
    """Locks the open file until it is closed; False if another open file has the lock."""
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def exclusive(path: Path, who: str) -> Iterator[None]:
    """Holds the lock while the block runs. `who` names the holder in the error that a second one gets.

    Raises Busy if another process, or another part of this one, holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        if not try_lock(file):
            raise Busy(f"{who} is already running on this warehouse ({path}); stop it, or wait for it to end.")
        yield


@contextmanager
def one_at_a_time(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Holds the lock while the block runs, after waiting for whoever has it; `on_wait` is called before a wait."""
    with path.open("a") as file:
        if not try_lock(file):
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
