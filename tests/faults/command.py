"""A command that answers and ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from reelstream.settings import Settings, to_env


def command(settings: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "reelstream", *words],
        env={**os.environ, **to_env(settings)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def stream_status(settings: Settings) -> dict[str, Any]:
    """What `reelstream status` says of the stream."""
    answer = command(settings, "status", "--json")
    assert answer.returncode == 0, answer.stderr
    stream: dict[str, Any] = json.loads(answer.stdout)["stream"]
    return stream
