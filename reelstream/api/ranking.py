"""A list of one's own, from factors: any number of places, with filters, with or without what was seen.

In: a model, one or several users' ratings, and what is wanted. Out: positions and scores of the movies of the list.
Next: `reelstream.api.recommender` makes rows of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from reelstream.als.arrays import F32, I32, I64, Csr
from reelstream.als.factors import Factors
from reelstream.als.fold_in import FoldedUsers, FoldIn
from reelstream.als.top_n import popular, top_n
from reelstream.api.movie_filter import Mask, Wanted
from reelstream.api.movies import Movies
from reelstream.top_lists import known_ratings

StarsByMovie = Mapping[int, float]
"""movie id → stars."""


@dataclass(frozen=True, slots=True)
class Places:
    """The wanted places of a list: positions in `factors.movie_ids`, int32[L], and scores float32[L], best first."""

    positions: I32
    scores: F32


def history_of(ratings: StarsByMovie, factors: Factors) -> Csr:
    """The ratings of movies that the version knows, as one row; in ascending order of movie id."""
    movie_ids = np.array(sorted(ratings), np.int64)  # [L]
    stars = np.array([ratings[movie_id] for movie_id in sorted(ratings)], np.float32)  # [L]
    return known_ratings((np.zeros(len(movie_ids), np.int64), movie_ids, stars), factors, 1)


def best_of(ranking: F32, seen: I64, fold_in: FoldIn, movies: Movies, wanted: Wanted) -> Places:
    """The places by ranking · movie. ranking: float32[K]; seen: int64[S] positions of the user's own movies."""
    factors = fold_in.factors
    hidden = ~_fitting(factors, movies, wanted)
    if not wanted.include_seen:
        hidden[seen] = True
    left_out = np.flatnonzero(hidden).astype(np.int32)
    n = min(wanted.end, len(hidden) - len(left_out))
    away = Csr(np.array([0, len(left_out)], np.int64), left_out, np.zeros(len(left_out), np.float32))
    positions, scores = top_n(ranking[None], factors.ranking_movie, away, n)  # [1, n]
    return Places(positions[0, wanted.offset :], scores[0, wanted.offset :])


def popular_of(seen: I64, fold_in: FoldIn, movies: Movies, wanted: Wanted) -> Places:
    """The places by the sum of all ratings of a movie: for who has rated nothing that the version knows."""
    factors = fold_in.factors
    fits = _fitting(factors, movies, wanted)
    if not wanted.include_seen:
        fits[seen] = False
    positions, scores = popular(factors, len(fits))
    kept = np.flatnonzero(fits[positions])[wanted.offset : wanted.end]
    return Places(positions[kept], scores[kept])


def refit_vectors(factors: Factors, user_id: int) -> FoldedUsers | None:
    """The user's vectors as the refit has them, as one row; None where it does not know the user."""
    at = factors.user_index(np.array([user_id], np.int64))
    if at[0] < 0:
        return None
    return FoldedUsers(factors.user_bias[at], factors.rating_user[at], factors.ranking_user[at])


def _fitting(factors: Factors, movies: Movies, wanted: Wanted) -> Mask:
    if not wanted.filtered:
        return np.ones(len(factors.movie_ids), np.bool_)
    return movies.fitting(factors.movie_ids, wanted)
