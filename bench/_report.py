"""What every bench prints: one JSON object, with the machine and the versions that the figures belong to.

In: the bench's name, its figures and how long it took. Out: JSON on standard output. Next: README and docs quote it.

    started = time.perf_counter()
    ...
    print_report("replay", {"events_per_s": 31_000}, seconds=time.perf_counter() - started)
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("reelstream", "pyspark", "kafka-python", "pyarrow", "numpy", "numba", "lz4")


def print_report(bench: str, figures: Mapping[str, Any], *, seconds: float) -> None:
    """Prints `figures` (anything that JSON holds) with the machine, the versions and the whole run's `seconds`."""
    print(json.dumps(report(bench, figures, seconds=seconds), indent=2))


def report(bench: str, figures: Mapping[str, Any], *, seconds: float) -> dict[str, Any]:
    """The object that `print_report` prints."""
    return {
        "bench": bench,
        **figures,
        "seconds": round(seconds, 1),
        "machine": machine(),
        "versions": versions(),
    }


def machine() -> dict[str, Any]:
    """CPUs that this process may use, their model, memory in GB, system and Python."""
    return {
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu_model": _cpu_model(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Versions of the installed packages that figures depend on; those not installed are left out."""
    installed = {}
    for package in PACKAGES:
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return installed


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "unknown"
