"""`run/NAME.json`: what the processes of a warehouse say of themselves, for `reelstream status`.

No data depends on it: it may be deleted at any time, and each process soon says it again. `rate` and `forget` wait
for what the stream does only while it says here that it runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from reelstream.errors import MissingRequirement
from reelstream.store import pointer

T = TypeVar("T")

POLL_S = 0.01
PROC = Path("/proc")
"""Where Linux tells of its processes."""


def write(warehouse: Path, name: str, status: dict[str, Any]) -> None:
    """Replaces `run/NAME.json`; a full disk is no reason to stop, and the status is to say so."""
    path = warehouse / "run" / f"{name}.json"
    content = json.dumps({**status, "born": _born(status.get("pid"))}, indent=1).encode()
    try:
        pointer.write_file(path, content, durable=False)
    except (OSError, MissingRequirement):
        with contextlib.suppress(OSError):
            _overwrite(path, content)


def read(warehouse: Path, name: str) -> dict[str, Any] | None:
    """What was written last; None if nothing was. `alive` tells whether the process that wrote it still runs, and not
    another one that has its number by now, as after the restart of a container."""
    try:
        status = json.loads((warehouse / "run" / f"{name}.json").read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(status, dict):
        return None
    pid, born = status.get("pid"), status.pop("born", None)
    born_now = _born(pid)
    return {**status, "alive": process_lives(pid) and (born == born_now or None in (born, born_now))}


def wait_for_stream(warehouse: Path, look: Callable[[], T | None], wait_s: float) -> T | None:
    """Waits until `look` finds what it looks for, which the stream is to do, and returns that; None if no stream runs, or
    it takes longer than wait_s."""
    deadline = time.monotonic() + wait_s
    while (found := look()) is None and time.monotonic() < deadline:
        status = read(warehouse, "stream")
        if not (status and status["alive"]) or status.get("state") == "stopped":
            return None
        time.sleep(POLL_S)
    return found


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


def _born(pid: object) -> str | None:
    """When the process started, in ticks of this boot of the machine; None where the system does not tell."""
    try:
        ticks = (PROC / f"{pid}" / "stat").read_bytes().rpartition(b")")[2].split()[19].decode()
        return f"{(PROC / 'sys/kernel/random/boot_id').read_text().strip()} {ticks}"
    except OSError:
        return None
