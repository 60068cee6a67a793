"""The quality gate: what a refit measures, and whether it is fit to be published.

In: training data and an engine. Out: `GateMeasurement` and the reasons to hold the version back. Next:
`reelstream.batch.refit` publishes it, or holds it back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from reelstream.als.factors import Factors, ModelSettings, RatingMatrix
from reelstream.als.metrics import evaluate
from reelstream.als.transfer import transfer
from reelstream.batch.training import TrainingData
from reelstream.settings import Settings

GATE_FROM_USERS = 50
"""With fewer users to rank for, chance decides which model is better: nothing is held back."""


class Engine(Protocol):
    """What an engine is: all ratings → the factors of both models. `start`: factors to go on from, if it can."""

    def __call__(
        self, matrix: RatingMatrix, model: ModelSettings, settings: Settings, *, start: Factors | None = None
    ) -> Factors: ...


@dataclass(frozen=True, slots=True)
class GateMeasurement:
    """A fit without the held-out ratings. `metrics` are those of `reelstream.als.metrics.evaluate` on them, and
    `last` those of the version before: its movies, the same users folded in, the same held-out ratings."""

    factors: Factors
    metrics: dict[str, Any]
    last: dict[str, Any] | None


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
    held_out = (data.user_id[test], data.movie_id[test], data.rating[test])
    factors = fit(train, model, settings, start=last)
    metrics = evaluate(factors, train, *held_out)
    before = evaluate(transfer(last, train), train, *held_out) if last else None
    return GateMeasurement(factors, metrics, before and {k: v for k, v in before.items() if k != "baselines"})


def reasons_against(measured: GateMeasurement | None, margin: float) -> list[str]:
    """Why it should not be published; empty where nothing speaks against it.

    margin: the share by which RMSE or nDCG@10 may be worse than the last version's.
    """
    if measured is None or measured.metrics["ranked_users"] < GATE_FROM_USERS:
        return []
    metrics, last = measured.metrics, measured.last
    ndcg, popularity = metrics["ndcg_at_10"], metrics["baselines"]["popularity"]["ndcg_at_10"]
    reasons = []
    if ndcg < popularity:
        reasons.append(f"nDCG@10 {ndcg:.4f} is below {popularity:.4f} of the popular movies")
    if last and ndcg < last["ndcg_at_10"] * (1 - margin):
        reasons.append(
            f"nDCG@10 {ndcg:.4f} is more than {margin:.0%} below {last['ndcg_at_10']:.4f} of the last version"
        )
    if last and metrics["rmse"] > last["rmse"] * (1 + margin):
        reasons.append(
            f"RMSE {metrics['rmse']:.4f} is more than {margin:.0%} above {last['rmse']:.4f} of the last version"
        )
    return reasons
