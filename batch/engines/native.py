"""The native engine: both models by the numba kernel, on this machine."""

from __future__ import annotations

from reelstream.als import fit as als
from reelstream.als.factors import Factors, ModelSettings, RatingMatrix
from reelstream.settings import Settings


def fit(matrix: RatingMatrix, model: ModelSettings, settings: Settings, *, start: Factors | None = None) -> Factors:
    """The contract of every engine: all factors of one matrix; `settings` say where it runs, `start` from which factors.
    Deterministic by `model.seed`."""
    return als.fit(matrix, model, start=start)
