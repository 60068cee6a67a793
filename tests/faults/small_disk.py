"""A disk of a few megabytes for tests: a tmpfs in a mount namespace of its own, gone with the process that holds it.

The test reads and writes it by the holder's `/proc/PID/root`; a command is started with `SmallDisk.enter` before it.
"""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

NAMESPACES = (("--mount",), ("--user", "--mount"))
"""Root needs the first alone; anybody may have the second, where the kernel lets them."""

MOUNT = 'mount -t tmpfs -o "size=$2" none "$1" && echo $$ && exec cat'


@dataclass(frozen=True)
class SmallDisk:
    """`path` is good for the test and for a command; `enter` are the words to put before the command."""

    path: Path
    enter: tuple[str, ...]


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """An empty disk that holds `size_bytes`, mounted on an empty folder. Fails, never skips, where no way is allowed."""
    refused = []
    for namespaces in NAMESPACES:
        as_root = ["--map-root-user"] if "--user" in namespaces else []
        command = ["unshare", *namespaces, *as_root, "sh", "-c", MOUNT, "sh", str(folder), str(size_bytes)]
        pipe = subprocess.PIPE
        try:
            holder = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        except FileNotFoundError:
            pytest.fail("this test needs `unshare` and `nsenter` (util-linux, on Linux) for a small disk of its own")
        with holder:  # at the end its input is closed; `cat` ends, and with it the disk
            assert holder.stdout is not None
            assert holder.stderr is not None
            if pid := holder.stdout.readline().strip():
                enter = ("nsenter", f"--target={pid}", *namespaces, *(["--preserve-credentials"] if as_root else []))
                yield SmallDisk(Path(f"/proc/{pid}/root{folder}"), enter)
                return
            refused.append(f"{' '.join(command[:-4])}: {holder.stderr.read().strip()}")
    pytest.fail(f"this test mounts a small tmpfs of its own, which nothing allows here; {'; '.join(refused)}")


def fill(disk: SmallDisk) -> Path:
    """Takes all space that is left, to the last block; returns the file to remove."""
    filler = disk.path / "filler"
    with filler.open("wb", buffering=0) as file:
        while not is_full(lambda: file.write(bytes(1 << 16))):
            pass
    return filler


def is_full(write: Callable[[], int | None]) -> bool:
    try:
        return write() < 1 << 16
    except OSError as error:
        assert error.errno == errno.ENOSPC
        return True
