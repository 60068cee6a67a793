"""Why: what each rating of a user adds to a score, and which ratings the model did not expect.

In: factors and one user's history. Out: parts of a score that add up to it; what each rating was expected to be
without it. Next: `reelstream.api.recommender` gives them titles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reelstream.als.arrays import F32, F64, Csr
from reelstream.als.factors import Factors
from reelstream.als.fit import ranking_system, rating_system
from reelstream.als.list_scores import list_scores
from reelstream.errors import UsageError


def gram(factors: Factors) -> F64:
    """VᵀV of the movies' ranking factors, float64[K, K]: what every `score_parts` of a version needs."""
    V = factors.ranking_movie.astype(np.float64)  # [M, K]
    product: F64 = V.T @ V
    return product


@dataclass(frozen=True, slots=True)
class ScoreParts:
    """What each of L ratings adds to a movie's score in the user's list; all of both arrays add up to it."""

    taste: F64
    """float64[L]: by the ranking model."""
    next: F64
    """float64[L]: by the transitions; above 0 only for the newest ratings."""


def score_parts(factors: Factors, history: Csr, position: int, movies_gram: F64) -> ScoreParts:
    """Of the score of the movie at a position, see `reelstream.als.list_scores`.

    history: one row over the positions in `factors.movie_ids`. The folded-in user is x = A⁻¹ Σ wᵢ vᵢ with
    A = Σ wᵢ vᵢvᵢᵀ + α₀ VᵀV + λ' I, so the product v·x is the sum of wᵢ v·A⁻¹vᵢ: Hu, Koren, Volinsky, "Collaborative
    Filtering for Implicit Feedback Datasets", ICDM 2008, section 5. λ' is the row's regularisation of `reelstream.als.fit`.
    What the transitions add is a sum over the newest ratings as it is.
    Raises UsageError if the history is not one row.
    """
    v, w, A = _ranking(factors, history, movies_gram)
    target = factors.ranking_movie[position].astype(np.float64)  # [K]
    taste: F64 = w * (v @ np.linalg.solve(A, target))  # [L]
    scores = list_scores((np.linalg.solve(A, v.T @ w)).astype(np.float32)[None], history, factors)
    if factors.transitions is None or scores.extra is None:
        return ScoreParts(taste, np.zeros_like(taste))
    positions, extra = scores.extra.row(0)
    parts = factors.transitions.parts(history, factors.movie_ids, position)  # [L]
    share = parts / parts.sum() if parts.any() else parts
    return ScoreParts(taste / scores.scale[0], share * float(extra[positions == position].sum()))


def expected_without(factors: Factors, history: Csr, drawn_to: F32 | None = None) -> F64:
    """The stars that the rating model expects of each rating of the history had it not been given, float64[L], clipped.

    history: one row over the positions in `factors.movie_ids`. drawn_to: what `FoldIn.drawn_to` says, float32[1, Kr]. The user
    is solved from all other ratings by the leave-one-out identity of ridge regression, y − (y − ŷ) / (1 − h), with the
    regularisation of the whole history, and drawn to where that is:
    Allen, "The Relationship between Variable Selection and Data Augmentation and a Method for Prediction", Technometrics
    16 (1974). Raises UsageError if the history is not one row.
    """
    _check_one(history)
    settings = factors.settings
    system = rating_system(history, factors.mean, factors.movie_bias, settings, for_users=True)
    w, targets, regularization, bias = (array.astype(np.float64) for array in system)
    q = factors.rating_movie[history.indices].astype(np.float64)  # [L, Kr]
    if drawn_to is not None:
        targets = targets - q @ drawn_to[0].astype(np.float64)
    z = np.column_stack([q, np.ones(len(q))])  # [L, Kr + 1]
    penalty = np.full(z.shape[1], float(regularization[0]))  # [Kr + 1]
    penalty[-1] = float(bias[0])
    solved = np.linalg.solve((z * w[:, None]).T @ z + np.diag(penalty), z.T * w)  # [Kr + 1, L]
    leverage = np.einsum("lk,kl->l", z, solved)  # [L], the h of each rating
    left_out = (targets - z @ (solved @ targets)) / (1 - leverage)  # [L]
    expected: F64 = np.clip(history.values - left_out, settings.rating_min, settings.rating_max)
    return expected


def _ranking(factors: Factors, history: Csr, movies_gram: F64) -> tuple[F64, F64, F64]:
    """(v float64[L, K], w float64[L], A float64[K, K]) of the user's normal equations."""
    _check_one(history)
    settings = factors.settings
    weights, _, regularization = ranking_system(history, len(factors.movie_ids), settings, for_users=True)
    v = factors.ranking_movie[history.indices].astype(np.float64)
    w = weights.astype(np.float64)
    A = (v * w[:, None]).T @ v + settings.ranking_alpha0 * movies_gram + float(regularization[0]) * np.eye(v.shape[1])
    return v, w, A


def _check_one(history: Csr) -> None:
    if history.n_rows != 1:
        raise UsageError(f"{history.n_rows} histories came where one is explained; give one row.")
