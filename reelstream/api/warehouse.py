"""Where the tables are: a directory that is there. Next: the stores read in it."""

from __future__ import annotations

from pathlib import Path

from reelstream.errors import NotReady


def existing(warehouse: str | Path) -> Path:
    """Raises NotReady if there is no warehouse at this path: a mistyped one must not look like an empty one."""
    path = Path(warehouse)
    if not path.is_dir():
        raise NotReady(f"there is no warehouse at {path}; start one with `reelstream up --warehouse {path}`.")
    return path
