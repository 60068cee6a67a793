"""The settings that a tune searches, as words of a command line.

In: words such as `rating_rank=31,63` and `ranking_alpha0=0.1..1`. Out: combinations of values, by name of the setting.
Next: `reelstream.batch.evaluation.trials` makes trials of them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from reelstream.als.factors import ModelSettings
from reelstream.als.fit import Model
from reelstream.errors import UsageError

MODELS: tuple[Model, ...] = ("rating", "ranking")

SETTINGS: dict[str, tuple[str, ...]] = {
    model: tuple(
        name
        for name in ModelSettings().to_dict()
        if name.startswith(f"{model}_") and name not in ("rating_min", "rating_max")
    )
    for model in MODELS
}
"""The settings of each model that can be searched."""

DEFAULTS = {
    name: value for name, value in ModelSettings().to_dict().items() if name in itertools.chain(*SETTINGS.values())
}
WHOLE = frozenset(name for name, value in DEFAULTS.items() if isinstance(value, int))
BY_RATIO = frozenset(
    name for name in DEFAULTS if name.endswith(("_regularization", "_prior_count", "_alpha0", "_span", "_floor"))
)
"""Settings of which twice as much means the same step everywhere: ranges are drawn, and plotted, by logarithm."""

DEFAULT_GRID = tuple(
    f"{name}={DEFAULTS[name] / factor:.3g},{DEFAULTS[name]:g},{DEFAULTS[name] * factor:.3g}"
    for name, factor in (
        ("rating_regularization", 1.5),
        ("rating_prior_count", 2),
        ("ranking_regularization", 2),
        ("ranking_alpha0", 2),
    )
)
"""Around the shipped defaults; of each model the two settings that depend on each other most."""
DEFAULT_RANGES = (
    "rating_rank=15,31,63",
    "rating_regularization=0.02..0.2",
    "rating_prior_count=5..200",
    "ranking_rank=32,64,96",
    "ranking_regularization=0.001..0.05",
    "ranking_alpha0=0.05..2",
    "ranking_power=0..6",
    "ranking_user_power=0..6",
    "ranking_nu=0.4..1.2",
    "ranking_recency_span=2..50",
    "ranking_recency_boost=0..5",
    "ranking_transition_weight=0..2",
)
SYMBOLS = {
    "rank": "rank",
    "regularization": "λ",
    "prior_count": "n₀",
    "bias_regularization": "λ_b",
    "iterations": "iterations",
    "nu": "ν",
    "alpha0": "α₀",
    "power": "p",
    "user_power": "p of the users",
    "recency_span": "τ",
    "recency_floor": "floor",
    "recency_boost": "boost",
    "transition_weight": "β",
}
"""Short names of the settings, as the formulas in `reelstream.als.fit` have them."""
MOST_TRIALS = 10_000


class Range(NamedTuple):
    """Anything from low to high, both included."""

    low: float
    high: float


Space = dict[str, tuple[float, ...] | Range]
"""The settings to search, by name: a list of values, or a range."""


def parse(words: Sequence[str]) -> Space:
    """`NAME=VALUE,VALUE` and `NAME=LOW..HIGH` as a Space, in the order given.

    Raises UsageError that says what does not fit: an unknown name, one that comes twice, what is not a number.
    """
    space: Space = {}
    for word in words:
        name, equals, text = (part.strip() for part in word.partition("="))
        if name not in DEFAULTS:
            raise UsageError(f"{name!r} is no setting to tune; take one of {', '.join(DEFAULTS)}.")
        if name in space:
            raise UsageError(f"{name} is given twice; put all its values into one list: {name}=VALUE,VALUE.")
        if not equals or not text:
            raise UsageError(f"{name} has no value; give a list, {name}=VALUE,VALUE, or a range, {name}=LOW..HIGH.")
        low, dots, high = text.partition("..")
        if dots:
            space[name] = Range(_number(name, low), _number(name, high))
            if space[name][0] >= space[name][1]:
                raise UsageError(f"{name}={text} is no range; the lower end comes first.")
        else:
            space[name] = tuple(dict.fromkeys(_number(name, value) for value in text.split(",")))
    return space


def combinations(space: Space, n_random: int | None, seed: Sequence[int]) -> list[dict[str, float]]:
    """All combinations, or so many random ones: the same seed begins with the same ones, however many there are.

    A number from a range has three digits. Raises UsageError if a grid has a range in it, or too many combinations.
    """
    if n_random is None:
        return _grid(space)
    rng = np.random.default_rng(seed)
    return [{name: _draw(name, values, rng) for name, values in space.items()} for _ in range(n_random)]


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if name in WHOLE and value.is_integer() and abs(value) < 2**31:
        return int(value)
    if name in WHOLE or not math.isfinite(value):
        raise UsageError(f"{name} takes {'whole ' if name in WHOLE else ''}numbers, not {text.strip()!r}.")
    return value


def _grid(space: Space) -> list[dict[str, float]]:
    for name, values in space.items():
        if isinstance(values, Range):
            raise UsageError(f"{name} is a range; list its values for a grid, or draw from it with --random N.")
    if math.prod(len(values) for values in space.values()) > MOST_TRIALS:
        raise UsageError(f"the grid has more than {MOST_TRIALS:,} trials; list fewer values, or draw with --random N.")
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]


def _draw(name: str, values: tuple[float, ...] | Range, rng: np.random.Generator) -> float:
    if not isinstance(values, Range):
        return values[int(rng.integers(len(values)))]
    low, high = values
    if name in WHOLE:
        return int(rng.integers(int(low), int(high) + 1))
    by_ratio = name in BY_RATIO and low > 0
    value = math.exp(rng.uniform(math.log(low), math.log(high))) if by_ratio else rng.uniform(low, high)
    return min(max(float(f"{value:.3g}"), low), high)
