"""A list of one's own, from factors: any number of places, with filters, with or without what was seen.

In: a snapshot, one or several users' ratings, and what is wanted. Out: positions and scores of the movies of the list.
Next: `reelstream.api.lists` makes rows of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reelstream.als.arrays import F32, I32, I64, Csr, Mask
from reelstream.als.factors import Factors
from reelstream.als.fold_in import FoldedUsers
from reelstream.als.list_scores import ListScores
from reelstream.als.top_n import popular, predict, top_n
from reelstream.api.movie_filter import Wanted, id_of
from reelstream.api.snapshot import Snapshot
from reelstream.api.user_ratings import MergedRatings, StarsByMovie, StoredRatings
from reelstream.errors import UsageError
from reelstream.top_lists import known_ratings


@dataclass(frozen=True, slots=True)
class Places:
    """The wanted places of a list: positions in `factors.movie_ids`, int32[L], and scores float32[L], best first."""

    positions: I32
    scores: F32


def history_of(now: Snapshot, ratings: StarsByMovie) -> Csr:
    """The ratings of movies that the version knows, as one row; in ascending order of movie id, with their ages.

    Raises UsageError for a rating off the version's scale that is no user's: those may be on one that was set since.
    """
    scale = now.factors.settings
    for movie_id, stars in () if isinstance(ratings, StoredRatings | MergedRatings) else ratings.items():
        id_of(movie_id)
        if not scale.rating_min <= stars <= scale.rating_max:
            raise UsageError(
                f"{stars} stars for movie {movie_id}: a rating is from {scale.rating_min} to {scale.rating_max}."
            )
    movie_ids = np.array(list(ratings), np.int64)  # [L], the oldest first
    order = np.argsort(movie_ids)  # [L]
    values = np.array(list(ratings.values()), np.float32)  # [L]
    ages = np.arange(len(order), dtype=np.int32)[::-1]  # [L]
    arrays = (np.zeros(len(order), np.int64), movie_ids[order], values[order], ages[order])
    return known_ratings(arrays, now.factors, 1)


def dismissed_by(now: Snapshot, ratings: StarsByMovie) -> I64:
    """The movies that the user with these ratings has dismissed, int64[D]; nobody's where they are no user's."""
    if not isinstance(ratings, StoredRatings | MergedRatings):
        return np.empty(0, np.int64)
    stored: I64 = now.dismissed.of_user(ratings.user_id)["movie_id"]
    if isinstance(ratings, StoredRatings) or not ratings.dismissed:
        return stored
    since = ratings.dismissed
    left = stored[~np.isin(stored, list(since))]
    return np.concatenate([left, np.array([movie_id for movie_id, is_so in since.items() if is_so], np.int64)])


def best_of(now: Snapshot, scores: ListScores, seen: I32, dismissed: I64, wanted: Wanted) -> Places:
    """The places by their scores, of one row. seen: int32[S] positions of the user's own movies; dismissed: int64[D] ids."""
    fits = _fitting(now, seen, dismissed, wanted)
    left_out = np.flatnonzero(~fits).astype(np.int32)
    n = min(wanted.end, len(fits) - len(left_out))
    away = Csr(np.array([0, len(left_out)], np.int64), left_out, np.zeros(len(left_out), np.float32))
    positions, best = top_n(scores.vectors, now.factors.ranking_movie, away, n, extra=scores.extra)  # [1, n]
    return Places(positions[0, wanted.offset :], best[0, wanted.offset :])


def popular_of(now: Snapshot, seen: I32, dismissed: I64, wanted: Wanted) -> Places:
    """The places by the sum of all ratings of a movie: for who has rated nothing that the version knows."""
    fits = _fitting(now, seen, dismissed, wanted)
    positions, scores = popular(now.factors, len(fits))
    kept = np.flatnonzero(fits[positions])[wanted.offset : wanted.end]
    return Places(positions[kept], scores[kept])


def refit_vectors(factors: Factors, user_id: int) -> FoldedUsers | None:
    """The user's vectors as the refit has them, as one row; None where it does not know the user."""
    at = factors.user_index(np.array([user_id], np.int64))
    if at[0] < 0:
        return None
    return FoldedUsers(factors.user_bias[at], factors.rating_user[at], factors.ranking_user[at])


def predicted(now: Snapshot, vectors: FoldedUsers, places: Places) -> list[float]:
    """Predicted stars of one user at the places."""
    length = len(places.positions)
    bias = np.repeat(vectors.user_bias, length)
    stars: list[float] = predict(
        now.factors, bias, np.repeat(vectors.rating, length, axis=0), places.positions
    ).tolist()
    return stars


def _fitting(now: Snapshot, seen: I32, dismissed: I64, wanted: Wanted) -> Mask:
    """bool[M]: the movies that may be on the list."""
    movie_ids = now.factors.movie_ids
    fits = now.movies.fitting(movie_ids, wanted) if wanted.filtered else np.ones(len(movie_ids), np.bool_)
    if not wanted.include_seen:
        fits[seen] = False
    for left_out in (now.hidden, dismissed):
        if (mask := now.factors.movie_mask(left_out)) is not None:
            fits &= ~mask
    return fits
