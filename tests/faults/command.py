"""A command that answers and ends."""

from __future__ import annotations

import os
import subprocess
import sys

from reelstream.settings import Settings, to_env


def command(settings: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *words],
        env={**os.environ, **to_env(settings)},
        capture_output=True,
        text=True,
        timeout=120,
    )
