"""A tune: which settings of both models do best on ratings that they have not seen.

In: ratings and the settings to search. Out: a table with a row a trial, the winner and its figures, in a directory.
Next: `reelstream.store.adopted` makes the winner the settings of the next refits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reelstream.als.factors import ModelSettings
from reelstream.als.fit import fit
from reelstream.als.metrics import evaluate
from reelstream.batch.evaluation.evaluate import RatingColumns, matrix_for, split
from reelstream.batch.evaluation.search_space import MODELS, SETTINGS, Space
from reelstream.batch.evaluation.trial_jobs import over_spark
from reelstream.batch.evaluation.trials import FIGURES, Material, finished, trials, write
from reelstream.errors import UsageError
from reelstream.failpoint import failpoint
from reelstream.settings import Settings
from reelstream.store.locks import exclusive

TrialProgress = Callable[[dict[str, Any] | None, int, int], None]
"""Called with (the row of the trial that has just finished, trials done, trials in all)."""


@dataclass(frozen=True, slots=True)
class SplitRule:
    """How ratings are held out; see `reelstream.batch.evaluation.evaluate.split`."""

    how: str = "user-time"
    test_fraction: float = 0.2
    seed: int = 42

    def __str__(self) -> str:
        return f"{self.how} {self.test_fraction:g}" + (f" seed {self.seed}" if self.how == "random" else "")

    def of(self, ratings: RatingColumns) -> tuple[RatingColumns, RatingColumns]:
        """(the ratings to fit, the held-out ones). Raises UsageError where `reelstream.batch.evaluation.evaluate.split`
        does."""
        return split(ratings, self.how, self.test_fraction, self.seed)


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a tune found. Rows are those of TRIALS, as dictionaries."""

    winner: ModelSettings
    best: dict[str, dict[str, Any]]
    """By model: the row of its best trial."""
    in_use: dict[str, dict[str, Any]]
    """By model: the row of the settings that were in use; missing where that trial failed."""
    rows: list[dict[str, Any]]
    """Of all trials, in the order in which they were made."""
    kept: int
    """So many of them an earlier run had finished."""
    test: dict[str, dict[str, Any]]
    """Figures on the test part: of "winner", "in_use" and "defaults", and of the baselines "popularity" and "bias_only"."""
    info: dict[str, Any]
    """What was tuned on: data, split, ratings, test_ratings."""


def tune(
    ratings: RatingColumns,
    space: Space,
    base: ModelSettings,
    out: Path,
    settings: Settings,
    *,
    by: SplitRule,
    n_random: int | None = None,
    progress: TrialProgress,
) -> Tuned:
    """Tries the settings and measures the winner; the numbers are those in the code.

    1. hold out a test part, and of the rest, in the same way, a validation part
    2. fit each trial without either, in parallel over Spark, and measure it on the validation part
    3. fit the winner and the shipped defaults on all but the test part, and measure them there, once

    ratings: the latest of each (user, movie). base: the settings in use; each trial differs from them in those of `space`
    only. out: the directory of the table `trials`; a trial that stands there is not run again unless it failed.
    Raises UsageError if a part would be empty, or every trial of a model fails; Busy if another tune writes to the directory.
    """
    known, test = by.of(ratings)  # 1
    fitted, held_out = by.of(known)
    data = fingerprint(ratings, by)
    found = trials(space, base, data=data, split=str(by), n_random=n_random, seed=by.seed)
    with exclusive(out / ".lock", "A tune"):  # 2
        rows = {trial.id: old for trial in found if (old := finished(trial, out))}
        kept = len(rows)
        progress(None, kept, len(found))
        missing = [trial for trial in found if trial.id not in rows]
        for new in over_spark(missing, _material(fitted, held_out, base), settings, out) if missing else ():
            write(new, out)
            failpoint("trial-written")
            rows[new["trial"]] = new
            progress(new, len(rows), len(found))
    ordered = [rows[trial.id] for trial in found]
    best: dict[str, dict[str, Any]] = {
        model: best_of(ordered, model) for model in MODELS if any(row["model"] == model for row in ordered)
    }
    winner = base
    for model, row in best.items():
        winner = replace(winner, **{name: row[name] for name in SETTINGS[model]})
    return Tuned(  # 3
        winner,
        best,
        {row["model"]: row for row in ordered if _has(row, base)},
        ordered,
        kept,
        _measure(known, test, {"winner": winner, "in_use": base}),
        {"data": data, "split": str(by), "ratings": len(ratings), "test_ratings": len(test)},
    )


def _material(fitted: RatingColumns, held_out: RatingColumns, base: ModelSettings) -> Material:
    matrix = matrix_for(fitted, held_out)
    return Material(matrix, fit(matrix, base), held_out.user_id, held_out.movie_id, held_out.rating)


def fingerprint(ratings: RatingColumns, by: SplitRule) -> str:
    """Which ratings these are, in 16 hexadecimal digits; their times count where the split looks at them."""
    times = () if by.how == "random" else (ratings.rated_at_ms,)
    digest = hashlib.sha256()
    for array in (ratings.user_id, ratings.movie_id, ratings.rating, *times):
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]


def best_of(rows: Sequence[dict[str, Any]], model: str) -> dict[str, Any]:
    """The best row of a model's trials; the first of equal ones. Raises UsageError if all of them failed."""
    own = [r for r in rows if r["model"] == model]
    good = [r for r in own if not r["error"]]
    if not good:
        raise UsageError(f"every trial of the {model} model failed; the first: {own[0]['error']}")
    figure = FIGURES[model][0]
    return min(good, key=lambda r: r[figure] if model == "rating" else -r[figure])


def _measure(train: RatingColumns, test: RatingColumns, models: dict[str, ModelSettings]) -> dict[str, dict[str, Any]]:
    """Figures on the test part of models fitted on all the rest, of the shipped defaults, and of the baselines."""
    matrix = matrix_for(train, test)
    scale = {name: getattr(models["winner"], name) for name in ("rating_min", "rating_max", "liked_from")}
    models = {**models, "defaults": replace(ModelSettings(), **scale)}
    measured = {
        settings: evaluate(fit(matrix, settings), matrix, test.user_id, test.movie_id, test.rating)
        for settings in set(models.values())
    }
    baselines = measured[models["winner"]]["baselines"]
    figures = {
        name: {key: value for key, value in measured[settings].items() if key != "baselines"}
        for name, settings in models.items()
    }
    return {**figures, **baselines}


def _has(found: dict[str, Any], settings: ModelSettings) -> bool:
    return not found["error"] and all(found[name] == getattr(settings, name) for name in SETTINGS[found["model"]])
