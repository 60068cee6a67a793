"""What a tune tries: settings by name, the trials that these make, and one trial's run.

In: words such as `rating_rank=31,63` and `ranking_alpha0=0.1..1`. Out: trials, and a row of TRIALS for each that has
run. Next: `batch.tune` runs them over Spark and compares the rows.
A trial fits one of the two models with the settings in question, and the other one as cheaply as can be: the models do
not know of each other, so the trials of both are a sum, not a product.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from reelstream.als.factors import F32, I64, ModelSettings, RatingMatrix
from reelstream.als.fit import fit
from reelstream.als.metrics import evaluate
from reelstream.errors import ReelstreamError, UsageError

MODELS = ("rating", "ranking")
FIGURES = {"rating": ("rmse", "mae"), "ranking": ("ndcg_at_10", "recall_at_10")}
"""What a model is measured by; the first figure decides."""

SETTINGS = {
    model: tuple(
        name
        for name in ModelSettings().to_dict()
        if name.startswith(f"{model}_") and name not in ("rating_min", "rating_max")
    )
    for model in MODELS
}
"""The settings of each model that can be searched."""

_ALL = {name: value for name, value in ModelSettings().to_dict().items() if name in itertools.chain(*SETTINGS.values())}
WHOLE = frozenset(name for name, value in _ALL.items() if isinstance(value, int))
BY_RATIO = frozenset(name for name in _ALL if name.endswith(("_regularization", "_prior_count", "_alpha0")))
"""Settings of which twice as much means the same step everywhere: ranges are drawn, and plotted, by logarithm."""

DEFAULT_GRID = (
    "rating_regularization=0.05,0.07,0.1",
    "rating_prior_count=25,50,100",
    "ranking_regularization=0.003,0.006,0.012",
    "ranking_alpha0=0.15,0.3,0.6",
)
DEFAULT_RANGES = (
    "rating_rank=15,31,63",
    "rating_regularization=0.02..0.2",
    "rating_prior_count=5..200",
    "ranking_rank=32,64,96",
    "ranking_regularization=0.001..0.05",
    "ranking_alpha0=0.05..1",
    "ranking_power=0..4",
    "ranking_nu=0.5..1",
)
MOST_TRIALS = 10_000

_CHEAPEST: dict[str, dict[str, Any]] = {
    "rating": {"rating_rank": 0, "rating_iterations": 1},
    "ranking": {"ranking_rank": 1, "ranking_iterations": 1},
}

TRIALS = pa.schema(
    [
        ("trial", pa.string()),
        ("model", pa.string()),
        ("data", pa.string()),
        ("split", pa.string()),
        *((name, pa.int64() if name in WHOLE else pa.float64()) for name in _ALL),
        *((name, pa.float64()) for model in MODELS for name in FIGURES[model]),
        ("fit_seconds", pa.float64()),
        ("started_at", pa.timestamp("ms", tz="UTC")),
        ("error", pa.string()),
    ]
)


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
        if name not in _ALL:
            raise UsageError(f"{name!r} is no setting to tune; take one of {', '.join(_ALL)}.")
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


@dataclass(frozen=True, slots=True)
class Trial:
    id: str
    """A hash of all that the figures depend on: settings, ratings and split."""
    model: str
    """rating or ranking: the model that is measured."""
    settings: dict[str, Any]
    """All of ModelSettings, by name; not checked yet."""
    data: str
    """Which ratings."""
    split: str
    """How they were split."""


def trials(
    space: Space, base: ModelSettings, *, data: str, split: str, n_random: int | None = None, seed: int = 42
) -> list[Trial]:
    """The trials of each model that has a setting in `space`, `base` first: what is in use is always compared with.

    Without n_random it is the grid of all combinations, else so many random ones a model; the same seed begins with the
    same ones, however many there are. Raises UsageError if a grid has a range in it, or too many trials.
    """
    found: dict[str, Trial] = {}
    for number, model in enumerate(MODELS):
        own = {name: values for name, values in space.items() if name in SETTINGS[model]}
        if not own:
            continue
        combinations = _grid(own) if n_random is None else _random(own, n_random, [seed, number])
        (other,) = set(MODELS) - {model}
        for values in [{}, *combinations]:
            settings = base.to_dict() | values | _CHEAPEST[other]
            settings |= {name: _ALL[name] for name in SETTINGS[other] if name not in _CHEAPEST[other]}
            text = json.dumps([model, settings, data, split], sort_keys=True)
            name = hashlib.sha256(text.encode()).hexdigest()[:16]
            found.setdefault(name, Trial(name, model, settings, data, split))
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Material:
    """What every trial of a tune is fitted on, and T ratings that it is measured on."""

    train: RatingMatrix
    user_id: I64
    movie_id: I64
    rating: F32


def run(trial: Trial, material: Material) -> dict[str, Any]:
    """A row of TRIALS; what goes wrong stands in its `error`. It takes one core and touches no file."""
    started_at = datetime.now(UTC)
    try:
        settings = ModelSettings(**trial.settings)
        since = time.perf_counter()
        factors = fit(material.train, settings, threads=1)
        fit_seconds = time.perf_counter() - since
        figures = evaluate(factors, material.train, material.user_id, material.movie_id, material.rating)
        figures = {name: figures[name] for name in FIGURES[trial.model]}
        if not all(value is not None and math.isfinite(value) for value in figures.values()):
            raise UsageError("it cannot be measured: a factor is not finite, or no held-out rating is relevant.")
    except Exception as error:
        text = str(error) if isinstance(error, ReelstreamError) else f"{type(error).__name__}: {error}"
        return row(trial, started_at, error=text)
    return row(trial, started_at, fit_seconds=fit_seconds, **figures)


def row(trial: Trial, started_at: datetime, **more: Any) -> dict[str, Any]:
    """A row of TRIALS; the settings of the model that is not measured are null."""
    own = {name: (int if name in WHOLE else float)(trial.settings[name]) for name in SETTINGS[trial.model]}
    known = {"trial": trial.id, "model": trial.model, "data": trial.data, "split": trial.split, **own}
    return dict.fromkeys(TRIALS.names) | known | {"started_at": started_at} | more


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


def _random(space: Space, count: int, seed: Sequence[int]) -> list[dict[str, float]]:
    rng = np.random.default_rng(seed)
    return [{name: _draw(name, values, rng) for name, values in space.items()} for _ in range(count)]


def _draw(name: str, values: tuple[float, ...] | Range, rng: np.random.Generator) -> float:
    if not isinstance(values, Range):
        return values[int(rng.integers(len(values)))]
    low, high = values
    if name in WHOLE:
        return int(rng.integers(int(low), int(high) + 1))
    by_ratio = name in BY_RATIO and low > 0
    value = math.exp(rng.uniform(math.log(low), math.log(high))) if by_ratio else rng.uniform(low, high)
    return min(max(float(f"{value:.3g}"), low), high)
