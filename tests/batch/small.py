"""Settings that a trial is quick with."""

from __future__ import annotations

from reelstream.als.factors import ModelSettings

SMALL = ModelSettings(
    rating_rank=3,
    rating_regularization=0.07,
    rating_prior_count=50.0,
    rating_iterations=2,
    ranking_rank=4,
    ranking_regularization=0.006,
    ranking_nu=1.0,
    ranking_alpha0=0.3,
    ranking_power=2.0,
    ranking_iterations=2,
)
"""All that the trials here depend on, whatever the shipped defaults are."""
