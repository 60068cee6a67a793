"""A bench as a command, which is the way that README and docs name it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.fixtures.camps import Triples

ROOT = Path(__file__).resolve().parents[2]


def ended(bench: str, *options: object, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`python -m bench.BENCH`, once it has ended."""
    return python(f"bench.{bench}", *options, env=env)


def python(
    module: str, *options: object, said: str = "", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`python -m MODULE`, once it has ended; said: its standard input."""
    command, environment = [sys.executable, "-m", module, *map(str, options)], {**os.environ, **(env or {})}
    return subprocess.run(command, cwd=ROOT, env=environment, input=said, capture_output=True, text=True, check=False)


def figures(bench: str, *options: object, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What it prints; it must end with code 0."""
    done = ended(bench, *options, env=env)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def write_csv(path: Path, triples: Triples) -> Path:
    """A ratings.csv."""
    rows = enumerate(zip(*triples, strict=True))
    lines = [f"{user},{movie},{stars},{10**9 + at}" for at, (user, movie, stars) in rows]
    path.write_text("\n".join(["userId,movieId,rating,timestamp", *lines]) + "\n")
    return path
