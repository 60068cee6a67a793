"""Exit codes that stand for no error; those of errors are with them, in `reelstream.errors`."""

from __future__ import annotations

BAD_ROWS = 8
"""Done, but some rows of a CSV file were bad."""
