"""What a refit tries beside its own settings: one neighbour that needs a fit, and two of fold-in, which need none.

In: the fit that the refit measures, and the ratings that it is measured on. Out: the same or better settings, and factors
to go on from. Next: `reelstream.batch.refit` fits all ratings with them.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, zip_longest
from typing import Any

from reelstream.als.arrays import F64
from reelstream.als.factors import Factors, ModelSettings
from reelstream.als.fit import Model, fit_one
from reelstream.als.fold_in import FoldIn
from reelstream.batch.tuning.folds import Fold
from reelstream.batch.tuning.search import (
    STEPS,
    Found,
    beyond_chance,
    ndcg_of,
    neighbours,
    rmse_of,
)

PASSES = 3
"""Of a neighbour's fit, and of the one that it is compared with; both go on from the measured one."""
FOLDED_USERS = 600
"""Users that neighbours of fold-in are compared on, at the most."""


def try_neighbours(fold: Fold, measured: Factors, turn: int, *, fits: bool) -> tuple[Found, Factors]:
    """(the measured settings, or those of what won by more than chance; factors to go on from).

    fold: what `measured` was fitted on and is compared on. turn: a number that grows by one each refit; it says whose turn it
    is. fits: False for an engine that is not this one.
    """
    rows: list[dict[str, Any]] = []
    factors = measured
    if fits:
        model, settings = _in_turn(measured.settings, turn)
        losses = fold.rating_losses if model == "rating" else fold.ranking_losses
        further, fitted = (_further(model, measured, fold, one) for one in (measured.settings, settings))
        row, won = _compared(f"{model} model", measured.settings, settings, losses(further), losses(fitted), fold)
        rows.append(row)
        if won:
            factors = replace(fitted, settings=settings)
    return _fold_in_neighbours(fold, factors, turn, rows)


def _further(model: Model, measured: Factors, fold: Fold, settings: ModelSettings) -> Factors:
    """A few passes more: both sides of a comparison have made as many."""
    passes: dict[str, Any] = {f"{model}_iterations": PASSES}
    return fit_one(model, measured, fold.train, replace(settings, **passes), measured)


def _in_turn(base: ModelSettings, turn: int) -> tuple[Model, ModelSettings]:
    of_rating = [("rating", one) for one in neighbours(base, STEPS["rating"])]
    of_ranking = [("ranking", one) for one in neighbours(base, STEPS["ranking"])]
    found = [one for one in chain(*zip_longest(of_ranking, of_rating)) if one]
    model, settings = found[turn % len(found)]
    return ("rating" if model == "rating" else "ranking"), settings


def _fold_in_neighbours(fold: Fold, factors: Factors, turn: int, rows: list[dict[str, Any]]) -> tuple[Found, Factors]:
    few = fold.of_users(FOLDED_USERS)
    if len(few.held_out.users):
        fold_in = FoldIn(factors)
        names = [*STEPS["fold-in"]]
        name = names[turn % len(names)]
        base = factors.settings
        before = _folded(few, fold_in, base)
        for settings in neighbours(base, {name: STEPS["fold-in"][name]}):
            row, won = _compared("fold-in", base, settings, before, _folded(few, fold_in, settings), few)
            rows.append(row)
            if won:
                factors = replace(factors, settings=settings)
                break
    return Found(factors.settings, rows), factors


def _folded(fold: Fold, fold_in: FoldIn, settings: ModelSettings) -> F64:
    vectors = fold_in.ranking(fold.held_out.seen, settings)
    return fold.ranking_losses(replace(fold_in.factors, settings=settings), vectors)


def _compared(
    of: str, base: ModelSettings, settings: ModelSettings, before: F64, after: F64, fold: Fold
) -> tuple[dict[str, Any], bool]:
    """(a row of `Found.tried`, whether the neighbour has won)."""
    figure, value = ("rmse", rmse_of) if of == "rating model" else ("ndcg_at_10", ndcg_of)
    won = beyond_chance(before, after)
    n = len(fold.held_out.rating)
    changed = base.changed_in(settings)
    tried = {"of": of, "trials": 1, "tried": changed, "figure": figure}
    measured = {"before": value(before, n), "after": value(after, n)}
    return {**tried, **measured, "adopted": changed if won else {}}, won
