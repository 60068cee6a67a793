"""`--version` and `--help` answer without importing what they do not need."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("numpy", "numba", "pyarrow", "pydantic", "duckdb", "pyspark", "kafka", "fastapi", "matplotlib")


@pytest.mark.parametrize("words", ["--version", "--help"])
def test_it_imports_nothing_heavy(words: str) -> None:
    code = (
        "import sys\nfrom reelstream.cli.main import run\n"
        f"sys.argv = ['reelstream', *{words.split()!r}]\n"
        "try:\n    run()\nexcept SystemExit:\n    pass\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert ran.stdout.strip()
    assert ran.stderr.strip() == "[]"
