"""The scale of ratings: its ends, its step, and from where on a movie counts as liked.

In: what is set, stored with the warehouse or guessed from a file. Out: `Scale`, and what follows from it: whether ratings are
stars, thumbs, likes alone or points. Next: settings, models, metrics and the page go by it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from reelstream.errors import UsageError

Kind = Literal["stars", "thumbs", "likes", "points"]

LIKED_SHARE = 7 / 9
"""Of the way from the lowest to the highest rating: where 4 is from 0.5 to 5."""
_MOST_STARS = 10


@dataclass(frozen=True, slots=True)
class Scale:
    """Raises UsageError where the lowest rating is not below the highest, unless both are 1: likes alone; or where
    `liked_from` lies outside."""

    rating_min: float = 0.5
    rating_max: float = 5.0
    rating_step: float = 0.5
    """Between one rating and the next; 0 where any number may be given. It shapes the page and the words, and rejects
    nothing."""
    liked_from: float | None = None
    """None is that of `liked`."""

    def __post_init__(self) -> None:
        low, high = self.rating_min, self.rating_max
        if not (math.isfinite(low) and math.isfinite(high) and (low < high or low == high == 1)):
            raise UsageError(
                f"rating_min {low} must be below rating_max {high}, or both 1 where ratings are likes alone"
            )
        if not 0 <= self.rating_step <= max(high - low, 1):
            raise UsageError(f"rating_step {self.rating_step} must be from 0 to the {high - low:g} between both ends")
        if self.liked_from is not None and low < high and not low < self.liked_from <= high:
            raise UsageError(
                f"liked_from {self.liked_from} must be above rating_min {low} and not above rating_max {high}"
            )

    @classmethod
    def of(cls, low: float, high: float, step: float | None = None, liked_from: float | None = None) -> Scale:
        """With the step that the ends suggest, if none is given: 1 between whole numbers, 0.5 between halves."""
        if step is None:
            step = 1.0 if _multiples(1, low, high) else 0.5 if _multiples(0.5, low, high) else 0.0
        return cls(low, high, step, liked_from)

    @property
    def kind(self) -> Kind:
        """`likes`: every rating is 1. `thumbs`: one of two values. `stars`: so few that they can be counted, in whole or half
        ones. `points`: all others."""
        if self.rating_min == self.rating_max:
            return "likes"
        if self.rating_step == self.rating_max - self.rating_min:
            return "thumbs"
        few = 0 < self.rating_min <= 1 and self.rating_max <= _MOST_STARS
        return "stars" if few and self.rating_step and _multiples(0.5, self.rating_step, self.rating_max) else "points"

    @property
    def unit(self) -> str:
        """What so many of are given."""
        return "stars" if self.kind == "stars" else "points"

    @property
    def liked(self) -> float:
        """From which rating on a movie counts as liked: `liked_from`, or the share of the scale that 4 is of 0.5 to 5, to the
        nearest half, unless the scale is too narrow for that; the higher one of two values."""
        if self.liked_from is not None:
            return self.liked_from
        if self.kind in ("likes", "thumbs"):
            return self.rating_max
        width = self.rating_max - self.rating_min
        rating = self.rating_min + width * LIKED_SHARE
        return round(2 * rating) / 2 if width >= 2 else rating

    def same_ends(self, other: Scale) -> bool:
        return (self.rating_min, self.rating_max) == (other.rating_min, other.rating_max)

    def for_models(self) -> dict[str, Any]:
        """What both models know of it, by the names that `ModelSettings` has."""
        liked_from = self.liked if self.kind in ("likes", "thumbs") else self.liked_from
        return {"rating_min": self.rating_min, "rating_max": self.rating_max, "liked_from": liked_from}

    def over(self, **given: float | None) -> Scale:
        """This scale with what is given, by field; with other ends, its own step and `liked_from` no longer hold."""
        values = {name: value for name, value in given.items() if value is not None}
        low, high = values.get("rating_min", self.rating_min), values.get("rating_max", self.rating_max)
        if (low, high) == (self.rating_min, self.rating_max):
            return replace(self, **values)
        return Scale.of(low, high, values.get("rating_step"), values.get("liked_from"))

    def __str__(self) -> str:
        """Such as "0 to 100 in whole numbers, liked from 78 on"."""
        low, high = f"{self.rating_min:g}", f"{self.rating_max:g}"
        if self.kind == "likes":
            return "1 alone, for liked"
        if self.kind == "thumbs":
            return f"{low} or {high}, {high} for liked"
        names = {0.0: "any number", 0.5: "in halves", 1.0: "in whole numbers"}
        steps = names.get(self.rating_step, f"in steps of {self.rating_step:g}")
        return f"{low} to {high} {steps}, liked from {self.liked:.3g} on"


def _multiples(step: float, *values: float) -> bool:
    return all((value / step).is_integer() for value in values)
