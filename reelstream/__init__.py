"""reelstream: a streaming, incremental movie recommender.

>>> import reelstream
>>> movies = reelstream.open("warehouse").recommend(42)  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reelstream.api.recommender import Recommender, open
    from reelstream.api.sql import connect

__version__ = "0.1.0"
__all__ = ["Recommender", "connect", "open"]


def __getattr__(name: str) -> Any:
    """What __all__ names is imported when first used: a command that needs no model starts faster without."""
    if name in __all__:
        from importlib import import_module

        return getattr(import_module("reelstream.api.sql" if name == "connect" else "reelstream.api.recommender"), name)
    raise AttributeError(f"module 'reelstream' has no attribute {name!r}")
