"""On which scale the ratings of a file are.

In: a file, and the settings. Out: a Scale, and a sentence that says where it comes from. Next: the commands print the
sentence, `reelstream.producer.ratings_csv` rejects what is off the scale, and a replay stores it with the warehouse.

What is set wins, then what is stored with the warehouse. A warehouse that has ratings and no stored scale is one of 0.5 to 5.
Only then the file is read for its values, or the first MOST_ROWS of it: a few do not tell, where it is sorted by rating.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from reelstream.als.scale import Scale
from reelstream.errors import UsageError
from reelstream.producer.file_form import Form
from reelstream.producer.ratings_csv import read_blocks
from reelstream.settings import Settings
from reelstream.store import scale_file
from reelstream.store.ratings import RatingsStore

HIGHEST = 100
"""Of the scales that are guessed: beyond it numbers are more likely counts or ids."""
ENOUGH = 10
"""Ratings that tell a scale."""
ENOUGH_WITHOUT_HALVES = 50
"""Whole ratings that tell that no half ones are given."""
MANY = 100
"""Ratings that tell that nothing above 7 is given."""
ABOVE, BELOW = 0.05, 0.002
"""Shares of the ratings that may lie above or below a usual scale, as errors: nobody uses a scale of 10 and stays below 6 so
often, but a 0 of 0 to 10 may be rare."""
MOST_ROWS = 2_000_000
MOST_VALUES = 100_000
"""Different ones."""
_USUAL: tuple[tuple[float, float], ...] = ((1, 5), (0.5, 5), (0, 5), (1, 10), (0, 10), (-10, 10), (0, 100), (-100, 100))
"""Ends of scales, the narrow ones first."""


def scale_of(settings: Settings, path: Path, form: Form) -> tuple[Scale, str]:
    """Raises UsageError where what is set does not fit the rest, or the file cannot be read."""
    stored = scale_file.read(settings.warehouse)
    if settings.sets_scale:
        scale = settings.scale
        other = f", though the warehouse was begun on {stored}" if stored and not stored.same_ends(scale) else ""
        return scale, f"Scale of ratings, as set: {scale}{other}."
    if stored:
        return settings.scale, f"Scale of ratings, as stored with the warehouse: {settings.scale}."
    if RatingsStore(settings.warehouse).state().accepted:
        return settings.scale, f"Scale of ratings, as of those in the warehouse: {settings.scale}."
    values = values_of(path, form)
    if sum(values.values()) >= ENOUGH and guess(values).rating_max > HIGHEST:
        raise UsageError(
            f"the ratings of {path} go from {min(values):g} to {max(values):g}: if they count plays or views, say --column "
            f"rating=none, and each row is a like; if they are ratings, set rating_min and rating_max. {form}"
        )
    found = settings.scale_over(guess(values))
    if sum(values.values()) < ENOUGH:
        return found, f"Scale of ratings, assumed as there are so few: {found}."
    return found, (
        f"Scale of ratings, guessed from {min(values):g} to {max(values):g}: {found}. "
        "Set rating_min, rating_max or liked_from where that is wrong."
    )


def values_of(path: Path, form: Form) -> dict[float, int]:
    """How often each rating is given in the file, as far as MOST_ROWS and MOST_VALUES."""
    counts: dict[float, int] = {}
    n_rows = 0
    everything = {"rating_min": -np.inf, "rating_max": np.inf, "now_ms": time.time_ns() // 1_000_000}
    for block in read_blocks(path, **everything, on_bad=lambda _row: None, form=form):  # type: ignore[arg-type]
        for value, n in zip(*np.unique(block.rows["rating"], return_counts=True), strict=True):
            counts[float(value)] = counts.get(float(value), 0) + int(n)
        n_rows += len(block.rows)
        if n_rows > MOST_ROWS or len(counts) > MOST_VALUES:
            break
    return counts


def guess(counts: Mapping[float, int]) -> Scale:
    """The usual scale that the ratings fit, or else one from the lowest to the highest. counts: how often each is given.

    Only 1: likes alone. 0 and 1, or -1 and 1: thumbs. Fewer than ENOUGH ratings are taken to be stars of 0.5 to 5.
    """
    values, n = np.array(sorted(counts), np.float64), sum(counts.values())  # [V]
    if n < ENOUGH:
        return Scale()
    share = np.array([counts[value] for value in values]) / n  # [V]
    if values[0] == -1 and values[-1] > 1 and (values[1:] >= 0).all():
        values, share = values[1:], share[1:]  # a mark for a movie that is not rated
    low, high = float(values[0]), float(values[-1])
    if (low, high) == (1, 1):
        return Scale(1, 1, 1)
    if low >= -1 and high <= 1:
        lowest = 0.0 if low >= 0 else -1.0
        return Scale(lowest, 1, 1 - lowest if {*values} <= {lowest, 1} else _step(values))
    for least, most in _USUAL:
        inside = (values >= least) & (values <= most)
        step = _step(values[inside])
        above, below = float(share[values > most].sum()), float(share[values < least].sum())
        whole_stars = (least, most) != (1, 5) or (step == 1 and n >= ENOUGH_WITHOUT_HALVES)
        if above <= ABOVE and below <= BELOW and whole_stars and _reaches(values[inside], most, n):
            return Scale(least, most, 0.5 if (least, most) == (0.5, 5) and step else step)
    return Scale(float(np.floor(low if low <= 1 else 0)), float(np.ceil(high)), _step(values))


def _reaches(values: np.ndarray, most: float, n: int) -> bool:
    """A scale of 1 to 7 is none of 1 to 10, and one of 0 to 20 none of 0 to 100."""
    highest = float(np.abs(values).max(initial=0))
    return highest > most / 2 if most > 10 else most <= 5 or n < MANY or highest > 7


def _step(values: np.ndarray) -> float:
    return next((step for step in (1.0, 0.5) if (values % step == 0).all()), 0.0)
