"""The settings that a tune found best: `models/adopted.json`, which the next refits take.

In: the winner of `reelstream tune --adopt`. Out: one small file, replaced in one step. Next: `reelstream.batch.refit`
fits with it. Without the file the shipped defaults hold, so `forget`, or removing the file by hand, is the way back.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reelstream.als.factors import ModelSettings
from reelstream.errors import DamagedStore, UsageError
from reelstream.store import pointer
from reelstream.store.schemas import FORMAT

_SCALE = ("rating_min", "rating_max", "liked_from")


def adopt(warehouse: Path, settings: ModelSettings, info: dict[str, Any]) -> None:
    """Makes `settings` those of the next refits, durably and in one step; the scale of stars is left out.

    info: where they come from (JSON-ready), kept beside them for the reader of the file.
    """
    values = {name: value for name, value in settings.to_dict().items() if name not in _SCALE}
    content = {"format": FORMAT, "settings": values, **info}
    pointer.write_file(place(warehouse), json.dumps(content, indent=1).encode())


def adopted(warehouse: Path, *, rating_min: float, rating_max: float, liked_from: float | None = None) -> ModelSettings:
    """The adopted settings, or the shipped defaults where nothing was adopted; with the given scale of stars.

    Raises DamagedStore if the file cannot be understood, or if a newer reelstream wrote it.
    """
    scale: dict[str, Any] = {"rating_min": rating_min, "rating_max": rating_max, "liked_from": liked_from}
    path = place(warehouse)
    try:
        content = json.loads(path.read_bytes())
        newer = content["format"] > FORMAT
        if not newer:
            return ModelSettings.from_dict(content["settings"] | scale)
    except FileNotFoundError:
        return ModelSettings(**scale)
    except (ValueError, KeyError, TypeError, UsageError) as error:
        raise DamagedStore(f"{path} holds no settings of the models ({error}); {_WAY_OUT}") from None
    raise DamagedStore(f"{path} was written by a newer reelstream; upgrade this one, or {_WAY_OUT}")


def forget(warehouse: Path) -> bool:
    """Back to the shipped defaults, from the next refit on; False where nothing was adopted."""
    path = place(warehouse)
    if not path.exists():
        return False
    path.unlink()
    pointer.sync_directory(path.parent)
    return True


def place(warehouse: Path) -> Path:
    """The file, whether it is there or not."""
    return warehouse / "models" / "adopted.json"


_WAY_OUT = "delete it to refit with the shipped defaults, or adopt anew with `reelstream tune --adopt`."
