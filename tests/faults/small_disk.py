"""A disk of a few megabytes for tests: a tmpfs in a mount namespace of its own, removed with the process that holds it.

The test reads and writes it by the holder's `/proc/PID/root`; a command is started with `SmallDisk.enter` before it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

WAYS = (
    (["unshare", "--mount"], ["nsenter", "--mount"]),  # root
    (
        ["unshare", "--user", "--map-root-user", "--mount"],  # anybody, where the kernel lets them
        ["nsenter", "--user", "--preserve-credentials", "--mount"],
    ),
)
MOUNT = 'mount -t tmpfs -o "size=$2" none "$1" && echo $$ && exec cat'


@dataclass(frozen=True)
class SmallDisk:
    """`path` is good for the test and for a command that `enter` stands before."""

    path: Path
    enter: tuple[str, ...]

    def fill(self) -> Path:
        """Takes all space that is left, to the last block; returns the file that holds it."""
        filler = self.path / "filler"
        with filler.open("ab", buffering=0) as file, suppress(OSError):
            while file.write(bytes(1 << 16)):
                pass
        return filler


@contextmanager
def small_disk(directory: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """An empty disk of so many bytes, mounted on an empty directory. Fails where no way to mount one is allowed."""
    pipe = subprocess.PIPE
    refused = []
    for unshare, nsenter in WAYS:
        command = [*unshare, "sh", "-c", MOUNT, "sh", str(directory), str(size_bytes)]
        try:
            holder = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        except FileNotFoundError:
            pytest.fail("a small disk of its own for this test needs `unshare` and `nsenter`: Linux with util-linux")
        with holder:  # at its end its input is closed: `cat` ends, and with it the disk
            assert holder.stdout is not None
            assert holder.stderr is not None
            if pid := holder.stdout.readline().strip():
                yield SmallDisk(Path(f"/proc/{pid}/root{directory}"), (*nsenter, f"--target={pid}", "--wd"))
                return
            refused.append(f"`{' '.join(unshare)}` says: {holder.stderr.read().strip()}")
    pytest.fail(f"a small disk of its own for this test is not allowed here; {'; '.join(refused)}")
