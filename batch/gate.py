"""The quality gate: what a refit measures, and whether it is fit to be published.

In: training data and an engine. Out: `GateMeasurement` and the reasons to hold the version back. Next:
`reelstream.batch.refit` publishes it, or holds it back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

from reelstream.als import metrics
from reelstream.als.factors import Factors, ModelSettings, RatingMatrix
from reelstream.als.held_out import HeldOut
from reelstream.als.transfer import transfer
from reelstream.batch.training import TrainingData
from reelstream.settings import Settings

GATE_FROM_USERS = 50
"""With fewer users to rank for, chance decides which model is better: nothing is held back."""

SAME_RATING = 1e-6
"""An RMSE up to this is none: where every rating is the same, as of likes alone, only rounding tells two models apart."""


class Engine(Protocol):
    """What an engine is: all ratings → the factors of both models. `start`: factors to go on from, if it can."""

    def __call__(
        self, matrix: RatingMatrix, model: ModelSettings, settings: Settings, *, start: Factors | None = None
    ) -> Factors: ...


@dataclass(frozen=True, slots=True)
class GateMeasurement:
    """A fit without the held-out ratings. `metrics` are those of `reelstream.als.metrics.evaluate` on them, and
    `last` those of the version before: its movies, the same users folded in, the same transitions and held-out ratings."""

    factors: Factors
    metrics: dict[str, Any]
    last: dict[str, Any] | None
    held_out: HeldOut


def measure(
    data: TrainingData, fit: Engine, model: ModelSettings, settings: Settings, last: Factors | None
) -> GateMeasurement | None:
    """None where there are too few ratings to hold some out.

    last: what was measured in the last version. It had not seen what is held out now, since the training part of a user
    only grows (see `TrainingData.held_out`): the new fit may start from it, and the two are compared fairly.
    """
    test = data.held_out()
    if not test.any():
        return None
    train = data.matrix(~test)
    rows = data.user_id[test], data.movie_id[test], data.rating[test]
    held_out = HeldOut.of(train, *rows, model.liked_stars)
    factors = fit(train, model, settings, start=last)
    found = metrics.with_baselines(factors, held_out)
    before = None
    if last:
        before = {
            **metrics.measure(_today(last, factors, train), held_out, 10).figures,
            "test_rows": found["test_rows"],
        }
    return GateMeasurement(factors, found, before, held_out)


def _today(last: Factors, factors: Factors, train: RatingMatrix) -> Factors:
    return replace(transfer(last, train), transitions=factors.transitions)


def reasons_against(measured: GateMeasurement | None, margin: float) -> list[str]:
    """Why it should not be published; empty where nothing speaks against it.

    margin: the share by which RMSE or nDCG@10 may be worse than the last version's.
    """
    if measured is None or measured.metrics["ranked_users"] < GATE_FROM_USERS:
        return []
    found, last = measured.metrics, measured.last
    ndcg, popularity = found["ndcg_at_10"], found["baselines"]["popularity"]["ndcg_at_10"]
    reasons = []
    if ndcg < popularity:
        reasons.append(f"nDCG@10 {ndcg:.4f} is below {popularity:.4f} of the popular movies")
    if last and ndcg < last["ndcg_at_10"] * (1 - margin):
        reasons.append(
            f"nDCG@10 {ndcg:.4f} is more than {margin:.0%} below {last['ndcg_at_10']:.4f} of the last version"
        )
    if last and found["rmse"] > max(last["rmse"] * (1 + margin), SAME_RATING):
        reasons.append(
            f"RMSE {found['rmse']:.4f} is more than {margin:.0%} above {last['rmse']:.4f} of the last version"
        )
    return reasons
