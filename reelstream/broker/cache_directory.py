"""Where the jars and a Java that were fetched are kept: the environment's REELSTREAM_CACHE, else the user's cache."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_directory() -> Path:
    given = os.environ.get("REELSTREAM_CACHE")
    return Path(given).expanduser().absolute() if given else platformdirs.user_cache_path("reelstream")
