"""reelstream: a streaming, incremental movie recommender.

>>> import reelstream
>>> films = reelstream.open("warehouse").recommend(42)  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reelstream.recommender import Recommender, open

__version__ = "0.1.0"
__all__ = ["Recommender", "open"]


def __getattr__(name: str) -> Any:
    """`open` and `Recommender` are imported when first used: a command that needs no model starts faster without."""
    if name in __all__:
        from reelstream import recommender

        return getattr(recommender, name)
    raise AttributeError(f"module 'reelstream' has no attribute {name!r}")
