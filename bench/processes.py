"""What a process takes of the machine, read from `/proc`: these figures need Linux."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def open_files(pid: int) -> int:
    """Files, sockets and pipes that the process has open; 0 once it has ended."""
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return 0


def resident_mb(pid: int) -> float:
    """Memory in MB (10^6 bytes), shared pages included; 0 once it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES / 1e6
    except OSError:
        return 0.0


def cpu_s(pid: int) -> float:
    """Seconds of CPU time so far, without those of its children; 0 once it has ended."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S if fields else 0.0


def command(pid: int) -> str:
    """The command line, its words parted by spaces; empty once it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def family(pid: int) -> set[int]:
    """The process, its children, and theirs."""
    parents = {int(path.name): _stat(int(path.name)) for path in Path("/proc").glob("[0-9]*")}
    found = {pid}
    while more := {child for child, fields in parents.items() if fields and int(fields[1]) in found} - found:
        found |= more
    return found


def _stat(pid: int) -> list[str]:
    """The fields of `/proc/PID/stat` after the name, the state first; empty once the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
