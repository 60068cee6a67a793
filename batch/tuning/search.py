"""The search for settings that fit the ratings: both models', and then those of fold-in, which need no fit.

In: training ratings and the settings to start from. Out: Found. Next: `reelstream.batch.refit` fits with them.

Random draws first, as nobody knows which setting matters (Bergstra, Bengio, "Random Search for Hyper-Parameter Optimization",
JMLR 2012), then one setting at a time around the best. What is found is taken only if it beats the settings before it by
more than chance, paired over users. Work is counted in ratings times factors, not in seconds, so the same ratings and seed
give the same settings on every machine.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from reelstream.als.alternate import StepProgress
from reelstream.als.arrays import F64
from reelstream.als.factors import ModelSettings, RatingMatrix
from reelstream.als.fit import fit_one
from reelstream.als.fold_in import FoldIn
from reelstream.batch.evaluation.search_space import combinations, parse
from reelstream.batch.tuning.folds import NEWEST_FIFTH, Fold, Rule, folds

LEAST_WORK = 25_000_000 * 64
"""Ratings times factors that the search of each model fits: half a minute or less on two cores."""
REFITS = 1.5
"""Or so many times what fitting all ratings takes, if that is more: both models come to three refits' time."""
MOST_DRAWS = 60
"""Random trials of each model; half of the work at the most."""
FEW_RATINGS, FEW_FOLDS = 30_000, 3
"""Of fewer ratings several folds are made, as one says little; all count alike."""
DRAWN_RATINGS, DRAWN_SHARE = 250_000, 0.1
"""Of more ratings those of some users are searched on: so many, or that share, if it is more."""
FOLDED_USERS = 2_000
"""Users that settings of fold-in are compared on, at the most, in as many folds as that takes, up to FEW_FOLDS."""
BEYOND_CHANCE = 1.64
"""Standard errors by which the mean of what users gain must be above 0: 5 % of settings that are no better would be."""
SECONDS_AT_MOST = 600.0
"""Then a search ends with what it has, however slow the machine."""

Steps = dict[str, tuple[str, float]]
RANGES = {
    "rating": (
        "rating_rank=15,31,63",
        "rating_regularization=0.02..0.2",
        "rating_prior_count=2..200",
        "rating_bias_regularization=0.5..20",
        "rating_recency_span=10..200",
        "rating_recency_floor=0.01..1",
    ),
    "ranking": (
        "ranking_rank=16,32,64",
        "ranking_regularization=0.001..0.05",
        "ranking_alpha0=0.05..2",
        "ranking_power=0..6",
        "ranking_nu=0.4..1.2",
    ),
    "fold-in": (
        "ranking_user_power=0..6",
        "ranking_recency_span=2..50",
        "ranking_recency_floor=0.02..0.5",
        "ranking_recency_boost=0.5..10",
        "ranking_transition_weight=0.1..3",
    ),
}
"""What is drawn at random; where twice as much is the same step everywhere, by logarithm."""
STEPS: dict[str, Steps] = {
    "rating": {
        "rating_regularization": ("×", 1.3),
        "rating_prior_count": ("×", 1.5),
        "rating_bias_regularization": ("×", 1.5),
        "rating_recency_span": ("×", 1.5),
        "rating_recency_floor": ("×", 1.5),
        "rating_recency_boost": ("×", 1.3),
    },
    "ranking": {
        "ranking_regularization": ("×", 1.4),
        "ranking_alpha0": ("×", 1.4),
        "ranking_power": ("+", 0.5),
        "ranking_nu": ("+", 0.05),
    },
    "fold-in": {
        "ranking_user_power": ("+", 0.5),
        "ranking_recency_span": ("×", 1.4),
        "ranking_recency_floor": ("×", 1.5),
        "ranking_recency_boost": ("×", 1.4),
        "ranking_transition_weight": ("×", 1.4),
    },
}
"""How far a neighbour is; those of fold-in need no fit."""
ROUNDS = 3
"""Times that each setting's neighbours are tried, at the most."""


@dataclass(frozen=True, slots=True)
class Found:
    settings: ModelSettings
    tried: list[dict[str, Any]]
    """JSON-ready, a row each for the rating model, the ranking model and the fold-in, as `of`: trials, figure (rmse or
    ndcg_at_10), before and after on the ratings that were searched on, and adopted, the settings that are new by name."""


def search(
    matrix: RatingMatrix,
    base: ModelSettings,
    *,
    rule: Rule = NEWEST_FIFTH,
    fits: bool = True,
    progress: StepProgress = lambda _what, _done, _of: None,
) -> Found:
    """The settings that do best on held-out parts of the matrix; `base` where none is better by more than chance.

    fits: False for an engine that is not this one: then only what needs no fit is searched, on movies that ours has fitted.
    """
    n = len(matrix.by_user.values)
    drawn = max(DRAWN_RATINGS, int(n * DRAWN_SHARE))
    parts = folds(matrix, base, rule, ratings=drawn, n=FEW_FOLDS)
    if not parts:
        return Found(base, [])
    few = parts if n <= FEW_RATINGS else parts[:1]
    work = max(LEAST_WORK, REFITS * n * (base.rating_rank + base.ranking_rank))
    run = _Search(work, matrix.by_user.ages is not None, progress)
    settings = base
    if fits:
        settings = run.best("rating model", _Ratings(few, settings), settings, "rating")
    if all(len(part.held_out.users) for part in parts):  # else there is nobody to compare lists for
        if fits:
            settings = run.best("ranking model", _Rankings(few), settings, "ranking")
        settings = run.best("fold-in", _FoldIns(parts, settings), settings, "fold-in")
    return Found(settings, run.rows)


def beyond_chance(before: F64, after: F64) -> bool:
    """Whether the users' losses float64[R] fell, by more than their differences say that chance could do."""
    gain = before - after
    return len(gain) > 1 and bool(gain.mean() > BEYOND_CHANCE * gain.std(ddof=1) / np.sqrt(len(gain)))


def neighbours(settings: ModelSettings, steps: Steps) -> Iterator[ModelSettings]:
    """One step up and one down of each setting, as the settings are when it is asked for."""
    for name, (how, step) in steps.items():
        value = getattr(settings, name)
        for moved in (value * step, value / step) if how == "×" else (value + step, max(value - step, 0.0)):
            if moved != value:
                changed: dict[str, Any] = {name: float(f"{moved:.3g}")}
                yield replace(settings, **changed)


def rmse_of(losses: F64, n: int) -> float:
    """In stars, of users' sums of squared errors over n ratings."""
    return float(np.sqrt(losses.sum() / n))


def ndcg_of(losses: F64, _n: int) -> float:
    return float(1 - losses.mean())


class _Comparison(Protocol):
    """How settings are measured: what each user loses, the figure that these come to, and what that took."""

    figure: str

    def losses(self, settings: ModelSettings) -> F64: ...
    def value(self, losses: F64) -> float: ...
    def work(self, settings: ModelSettings) -> float: ...


class _Ratings:
    figure = "rmse"

    """Each beside the same ranking model."""

    def __init__(self, parts: list[Fold], settings: ModelSettings) -> None:
        self._parts = parts
        self._ranked = [fit_one("ranking", part.unfitted, part.train, settings, None) for part in parts]
        self._n = sum(len(part.held_out.rating) for part in parts)

    def losses(self, settings: ModelSettings) -> F64:
        known = zip(self._parts, self._ranked, strict=True)
        fitted = ((part, fit_one("rating", factors, part.train, settings, None)) for part, factors in known)
        return np.concatenate([part.rating_losses(factors) for part, factors in fitted])

    def value(self, losses: F64) -> float:
        return rmse_of(losses, self._n)

    def work(self, settings: ModelSettings) -> float:
        return sum(len(part.train.by_user.values) for part in self._parts) * (settings.rating_rank + 1)


class _Rankings:
    figure = "ndcg_at_10"

    def __init__(self, parts: list[Fold]) -> None:
        self._parts = parts

    def losses(self, settings: ModelSettings) -> F64:
        fitted = ((part, fit_one("ranking", part.unfitted, part.train, settings, None)) for part in self._parts)
        return np.concatenate([part.ranking_losses(factors) for part, factors in fitted])

    def value(self, losses: F64) -> float:
        return ndcg_of(losses, 0)

    def work(self, settings: ModelSettings) -> float:
        return sum(len(part.train.by_user.values) for part in self._parts) * settings.ranking_rank


class _FoldIns(_Rankings):
    """With the movies as one fit leaves them."""

    def __init__(self, parts: list[Fold], settings: ModelSettings) -> None:
        some, users = [], 0
        for part in parts:
            if users < FOLDED_USERS:
                some.append(part.of_users(FOLDED_USERS - users))
                users += len(some[-1].held_out.users)
        super().__init__(some)
        self._fitted = [FoldIn(fit_one("ranking", part.unfitted, part.train, settings, None)) for part in self._parts]

    def losses(self, settings: ModelSettings) -> F64:
        found = []
        for part, fold_in in zip(self._parts, self._fitted, strict=True):
            vectors = fold_in.ranking(part.held_out.seen, settings)
            found.append(part.ranking_losses(replace(fold_in.factors, settings=settings), vectors))
        return np.concatenate(found)

    def work(self, settings: ModelSettings) -> float:
        return 0


class _Search:
    def __init__(self, work: float, with_ages: bool, progress: StepProgress) -> None:
        """with_ages: without, settings that weigh by the order of the ratings do nothing, and are left alone."""
        self.rows: list[dict[str, Any]] = []
        self._with_ages = with_ages
        self._work = work
        self._ends_s = time.monotonic() + SECONDS_AT_MOST
        self._progress = progress

    def _counts(self, setting: str) -> bool:
        return self._with_ages or not any(word in setting for word in ("_recency_", "_transition_"))

    def best(self, name: str, by: _Comparison, base: ModelSettings, of: str) -> ModelSettings:
        """of: a key of RANGES and STEPS."""
        steps = {setting: step for setting, step in STEPS[of].items() if self._counts(setting)}
        ranges = [words for words in RANGES[of] if self._counts(words)]
        before = by.losses(base)
        best, least, trials, left = base, before, 0, self._work

        def is_better(one: ModelSettings) -> bool:
            nonlocal best, least, trials, left
            losses = by.losses(one)
            trials, left = trials + 1, left - by.work(one)
            self._progress(f"tune the {name}", trials, 0)
            better = bool(losses.sum() < least.sum())
            if better:
                best, least = one, losses
            return better

        for draw in _draws(ranges, [base.seed, [*RANGES].index(of)], base):
            if left > self._work / 2 and time.monotonic() < self._ends_s:
                is_better(draw)
        for _ in range(ROUNDS):
            since = best
            for setting, step in steps.items():
                for one in neighbours(best, {setting: step}):
                    if left <= 0 or time.monotonic() > self._ends_s or is_better(one):
                        break
            if best == since:
                break
        found = best if beyond_chance(before, least) else base
        self.rows.append(
            {
                "of": name,
                "trials": trials,
                "figure": by.figure,
                "before": by.value(before),
                "after": by.value(least if found is best else before),
                "adopted": base.changed_in(found),
            }
        )
        return found


def _draws(ranges: list[str], seed: list[int], base: ModelSettings) -> Iterator[ModelSettings]:
    for drawn in combinations(parse(ranges), MOST_DRAWS, seed):
        values: dict[str, Any] = dict(drawn)
        if "ranking_power" in values:
            values["ranking_user_power"] = values["ranking_power"]
        yield replace(base, **values)
