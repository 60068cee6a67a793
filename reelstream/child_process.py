"""How a process starts another `reelstream` command.

In: the words of the command, and settings. Out: a command line, and an environment. Next: `subprocess.Popen` takes both.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reelstream.settings import Settings

_CHECKOUT = Path(__file__).resolve().parents[1]


def command(*words: str) -> list[str]:
    """The command line. By -P the working directory is not searched for modules: a `stream.py` in it is the user's own."""
    return [sys.executable, "-P", "-m", "reelstream", *words]


def environment(settings: Settings) -> dict[str, str]:
    """Ours, with the settings. Where we were found in the working directory alone, a checkout, the child is told of it."""
    from reelstream.settings import to_env

    ours = {**os.environ, **to_env(settings)}
    if Path.cwd() == _CHECKOUT:
        ours["PYTHONPATH"] = os.pathsep.join([str(_CHECKOUT), *filter(None, [ours.get("PYTHONPATH")])])
    return ours
