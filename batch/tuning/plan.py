"""Which settings a refit fits with, and whether it looks for better ones.

In: the settings of the product, and the version before. Out: Plan. Next: `reelstream.batch.refit`.

What was adopted by `reelstream tune --adopt` wins. Else the first version of a warehouse takes the shipped settings, the next
one searches, and so does one with GROWN times the ratings of the last search; all others try neighbours of what the version
before them had. What was tried stands in the version, under `tuning`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from reelstream.als.factors import ModelSettings
from reelstream.batch.tuning.search import Found
from reelstream.settings import Settings
from reelstream.store.adopted import adopted, place

GROWN = 4
"""Times as many ratings as the last search saw call for another one."""

How = Literal["off", "adopted", "shipped", "search", "neighbours"]


@dataclass(frozen=True, slots=True)
class Plan:
    how: How
    settings: ModelSettings
    """To begin with."""
    turn: int
    searched_ratings: int
    """That the last search saw; 0 without one."""

    def with_ratings(self, n: int) -> Plan:
        """The plan once it is known how many ratings there are."""
        if self.how != "neighbours" or n < GROWN * self.searched_ratings:
            return self
        return replace(self, how="search")

    def record(self, n_ratings: int, found: Found) -> dict[str, Any]:
        """What the version says of it, JSON-ready. search_next: the trigger is to let a refit follow that searches."""
        return {
            "how": self.how,
            "tried": found.tried,
            "settings": found.settings.to_dict(),
            "turn": self.turn,
            "searched_ratings": n_ratings if self.how == "search" else self.searched_ratings,
            "search_next": self.how == "shipped",
        }


def plan(settings: Settings, info: Mapping[str, Any] | None) -> Plan:
    """info: of the current version; None without one. Raises DamagedStore for adopted settings that cannot be read."""
    shipped = adopted(settings.warehouse, **settings.scale.for_models())
    if place(settings.warehouse).exists():
        return Plan("adopted", shipped, 0, 0)
    if not settings.self_tuning:
        return Plan("off", shipped, 0, 0)
    if info is None:
        return Plan("shipped", shipped, 0, 0)
    last = info.get("tuning") or {}
    if last.get("how") not in ("search", "neighbours"):
        return Plan("search", shipped, 0, 0)
    before = replace(ModelSettings.from_dict(last["settings"]), **settings.scale.for_models())
    return Plan("neighbours", before, int(last["turn"]) + 1, int(last["searched_ratings"]))
