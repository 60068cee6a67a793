"""The lock on a broker's data directory, which the system releases however its holders end.

In: the directory. Out: an open file that holds the lock; or Busy. Next: `reelstream.broker.embedded`.
The JVM inherits the lock, so one that outlives its killed parent for a moment still holds it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import IO

from reelstream.errors import Busy, MissingRequirement
from reelstream.store.locks import try_lock
from reelstream.store.run_files import process_lives

HANDOVER_S = 25.0  # a JVM whose parent was killed has ended by then
_FILE = "lock"
_TRIES_BESIDE_OWNER = 10  # `is_held` holds the lock for an instant when it looks
_TRY_EVERY_S = 0.05


def take(directory: Path) -> IO[str]:
    """Makes the directory if need be and locks it for this process; closing the file lets go.

    Raises Busy if another broker has it, MissingRequirement if the directory cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / _FILE).open("a+", encoding="utf-8")
    except OSError as error:
        raise MissingRequirement(
            f"the broker's data can't be kept in {directory} ({error.strerror}); make it writable, or "
            "use another warehouse."
        ) from None
    deadline = time.monotonic() + HANDOVER_S
    tries = 0
    while not try_lock(lock):
        tries += 1
        owner_lives = process_lives(_owner(lock))
        if (owner_lives and tries > _TRIES_BESIDE_OWNER) or time.monotonic() > deadline:
            lock.close()
            raise Busy(f"another broker runs on {directory}; stop that one, or use another warehouse.")
        time.sleep(_TRY_EVERY_S)
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def is_held(directory: Path) -> bool:
    """Whether a broker, or one that is just ending, has the directory. Raises OSError if there never was one."""
    with (directory / _FILE).open(encoding="utf-8") as lock:
        return not try_lock(lock, shared=True)


def _owner(lock: IO[str]) -> int:
    lock.seek(0)
    text = lock.read().strip()
    return int(text) if text.isdigit() else 0
