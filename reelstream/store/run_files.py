"""`run/NAME.json`: what the processes of a warehouse say of themselves, for `reelstream status`. Nothing depends on
it."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from reelstream.errors import MissingRequirement
from reelstream.store import pointer


def write(warehouse: Path, name: str, status: dict[str, Any]) -> None:
    """Replaces `run/NAME.json`; a full disk is no reason to stop, and the status is to say so."""
    path = warehouse / "run" / f"{name}.json"
    content = json.dumps(status, indent=1).encode()
    try:
        pointer.write_file(path, content, durable=False)
    except (OSError, MissingRequirement):
        with contextlib.suppress(OSError):
            _overwrite(path, content)


def read(warehouse: Path, name: str) -> dict[str, Any] | None:
    """What was written last; None if nothing was. `alive` tells whether the process that wrote it still runs."""
    try:
        status: dict[str, Any] = json.loads((warehouse / "run" / f"{name}.json").read_bytes())
    except (OSError, ValueError):
        return None
    return {**status, "alive": process_lives(status.get("pid"))}


def _overwrite(path: Path, content: bytes) -> None:
    """Writes into the blocks that the file has, if they are enough."""
    with path.open("r+b", buffering=0) as file:
        was = os.fstat(file.fileno())
        if len(content) <= was.st_blocks * 512:
            file.write(content.ljust(was.st_size))


def process_lives(pid: object) -> bool:
    """Whether a process of this id runs on this machine, ours or another's."""
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
