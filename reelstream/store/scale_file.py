"""The scale of a warehouse's ratings: `scale.json`, written once, by the first replay.

In: a Scale. Out: one small file that never changes. Next: `reelstream.settings` takes it where nothing else is set.
A warehouse without it is one whose ratings came before it or without a replay: 0.5 to 5 in halves.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from reelstream.als.scale import Scale
from reelstream.errors import DamagedStore, UsageError
from reelstream.store import pointer


def place(warehouse: Path) -> Path:
    """The file, whether it is there or not."""
    return warehouse / "scale.json"


def read(warehouse: Path) -> Scale | None:
    """None where there is none. Raises DamagedStore if it cannot be understood, or a newer reelstream wrote it."""
    path = place(warehouse)
    value = pointer.read(path)
    if value is None:
        return None
    try:
        return Scale(**value["scale"])
    except (KeyError, TypeError, UsageError) as error:
        raise DamagedStore(f"{path} holds no scale of ratings ({error}); {pointer.RESTORE}") from None


def write_once(warehouse: Path, scale: Scale) -> Scale:
    """Stores the scale, durably and in one step, unless there is one; returns the one that is stored now."""
    pointer.create(place(warehouse), {"scale": asdict(scale)})
    return read(warehouse) or scale
