"""docs/how-als-works.md: each Python block runs, after those before it, and prints what stands below it."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[1] / "docs" / "how-als-works.md"
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n^```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)


def test_every_block_runs_and_prints_what_is_shown() -> None:
    text = PAGE.read_text("utf-8")
    blocks = list(BLOCK.finditer(text))
    assert len(blocks) == text.count("```python") >= 10
    assert sum(block[2] is not None for block in blocks) == text.count("```text")
    session: dict[str, Any] = {}
    for block in blocks:
        line = text.count("\n", 0, block.start(1))
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile("\n" * line + block[1], str(PAGE), "exec"), session)  # errors name the page's own line
        assert printed.getvalue() == (block[2] or ""), f"the block at line {line + 1} prints something else"
