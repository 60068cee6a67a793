from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ASK = "from reelstream.als.compiled import solve_rows as kernel; print(type(kernel._cache).__name__)"


@pytest.mark.parametrize(("umask", "cache"), [(0o022, "FunctionCache"), (0o000, "NullCache")])
def test_what_others_could_write_is_not_run(tmp_path: Path, umask: int, cache: str) -> None:
    """numba makes the directory of its cache, and the umask says who may write into it."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", ASK]
    answer = subprocess.run(command, env=environment, umask=umask, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == cache
