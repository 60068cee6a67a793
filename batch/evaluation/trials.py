"""The trials of a tune, and the run of one.

In: the settings to search. Out: trials, and a row of TRIALS for each that has run. Next:
`reelstream.batch.evaluation.tune` runs them over Spark and compares the rows.
A trial fits one of the two models with the settings in question. The ranking model does not know of the other one, and the
rating model is fitted beside the ranking model in use, so the trials of both are a sum, not a product.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from reelstream.als.arrays import F32, I64
from reelstream.als.factors import Factors, ModelSettings, RatingMatrix
from reelstream.als.fit import Model, fit_one
from reelstream.als.metrics import evaluate
from reelstream.batch.evaluation.search_space import DEFAULTS, MODELS, SETTINGS, WHOLE, Space, combinations
from reelstream.errors import DamagedStore, ReelstreamError, UsageError
from reelstream.store import pointer

FIGURES = {"rating": ("rmse", "mae"), "ranking": ("ndcg_at_10", "recall_at_10")}
"""What a model is measured by; the first figure decides."""
NAMES = {"rmse": "RMSE", "mae": "MAE", "ndcg_at_10": "nDCG@10", "recall_at_10": "recall@10"}

TRIALS = pa.schema(
    [
        ("trial", pa.string()),
        ("model", pa.string()),
        ("data", pa.string()),
        ("split", pa.string()),
        *((name, pa.int64() if name in WHOLE else pa.float64()) for name in DEFAULTS),
        *((name, pa.float64()) for model in MODELS for name in FIGURES[model]),
        ("fit_seconds", pa.float64()),
        ("started_at", pa.timestamp("ms", tz="UTC")),
        ("error", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Trial:
    id: str
    """A hash of all that the figures depend on: settings, ratings and split."""
    model: Model
    """rating or ranking: the model that is measured."""
    settings: dict[str, Any]
    """For ModelSettings, by name; not checked yet."""
    data: str
    """Which ratings."""
    split: str
    """How they were split."""


def trials(
    space: Space, base: ModelSettings, *, data: str, split: str, n_random: int | None = None, seed: int = 42
) -> list[Trial]:
    """The trials of each model that has a setting in `space`, `base` first: what is in use is always compared with.

    n_random and seed: see `combinations`; so many random ones for each model. Raises UsageError where that does.
    """
    found: dict[str, Trial] = {}
    for number, model in enumerate(MODELS):
        own = {name: values for name, values in space.items() if name in SETTINGS[model]}
        if not own:
            continue
        (other,) = set(MODELS) - {model}
        for values in [{}, *combinations(own, n_random, [seed, number])]:
            beside = (
                base if model == "rating" else ModelSettings()
            )  # a ranking model is fitted without a look at the other
            settings = base.to_dict() | {name: getattr(beside, name) for name in SETTINGS[other]} | values
            text = json.dumps([model, settings, data, split], sort_keys=True)
            name = hashlib.sha256(text.encode()).hexdigest()[:16]
            found.setdefault(name, Trial(name, model, settings, data, split))
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Material:
    """What every trial of a tune is fitted on, and T ratings that it is measured on."""

    train: RatingMatrix
    known: Factors
    """Both models fitted with the settings in use; each trial fits one of them anew."""
    user_id: I64
    movie_id: I64
    rating: F32


def run(trial: Trial, material: Material) -> dict[str, Any]:
    """A row of TRIALS; what goes wrong stands in its `error`. It takes one core and touches no file."""
    started_at = datetime.now(UTC)
    try:
        settings = ModelSettings(**trial.settings)
        since = time.perf_counter()
        factors = fit_one(trial.model, material.known, material.train, settings, None, threads=1)
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
    in_ms = started_at.replace(microsecond=started_at.microsecond // 1000 * 1000)
    return dict.fromkeys(TRIALS.names) | known | {"started_at": in_ms} | more


def write(new: dict[str, Any], out: Path) -> None:
    """Adds a row to the table, durably: a file of its own, whole or not there."""
    pointer.write_table(pa.Table.from_pylist([new], TRIALS), _file(out, new["trial"]))


def finished(trial: Trial, out: Path) -> dict[str, Any] | None:
    """The row of a trial that has finished before; None if it has not, or if it failed.

    Raises DamagedStore if its file cannot be read.
    """
    path = _file(out, trial.id)
    try:
        [found] = pq.read_table(path, partitioning=None).cast(TRIALS).to_pylist()
    except FileNotFoundError:
        return None
    except (pa.ArrowException, ValueError) as error:
        raise DamagedStore(f"{path} is no row of a tune ({error}); delete it, and the trial runs again.") from None
    return None if found["error"] else dict(found)


def _file(out: Path, trial_id: str) -> Path:
    return out / "trials" / f"{trial_id}.parquet"
