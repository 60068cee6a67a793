"""Prequential scores: how well the models predict each rating of a micro-batch from what its user rated before it.

In: a micro-batch's ratings, its users' histories before it, and the current version. Out: Scores. Next:
`reelstream.stream.quality` adds them up.

Every rating is a test before it is training, so no rating is held out and none is scored by a model that has seen it
(Gama, Sebastião, Rodrigues, "On evaluating stream learning algorithms", Machine Learning 90, 2013; for lists Vinagre,
Jorge, Gama, "Evaluation of recommender systems in streaming environments", 2014).
"""

from __future__ import annotations

import operator
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from reelstream.als.arrays import F32, F64, I32, I64, Csr, ages_of, index_of
from reelstream.als.factors import Factors
from reelstream.als.fold_in import FoldedUsers, FoldIn
from reelstream.als.list_scores import list_scores
from reelstream.als.metrics import BIAS_DAMPING
from reelstream.als.top_n import popular, predict, top_n
from reelstream.als.transition_rule import ages_of_row
from reelstream.store.quality_figures import SUMS, figures
from reelstream.stream.recent_popularity import RecentPopularity
from reelstream.top_lists import RatingArrays, known_ratings

SCORED_AT_MOST = 2_000
"""Ratings of a micro-batch that are scored: a bulk replay is not slowed down by more."""
LIST_LENGTH = 10
"""Places of a list that a liked movie may have for a hit."""
_WORTH_USERS = 100
"""Users below whom one thread is faster than several, which take a millisecond to start."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Sums over scored ratings; those of two sets of ratings add up to those of both."""

    ratings: int = 0
    squared_error: float = 0.0
    """Of the rating model, in stars²."""
    squared_error_squares: float = 0.0
    """Σ of its squared errors' squares, in stars⁴: for the interval of the RMSE."""
    bias_only_squared_error: float = 0.0
    """Of mean + user bias + movie bias, in stars²."""
    liked: int = 0
    """Ratings of a movie that counts as liked (`ModelSettings.liked_stars`)."""
    hits: int = 0
    """Liked movies that were among the user's LIST_LENGTH best."""
    gain: float = 0.0
    """Σ of 1 / log2(place + 1) of the hits, with places from 1: the nDCG@10 of a list that should hold one movie."""
    gain_squares: float = 0.0
    """Σ of the same, squared: for its interval."""
    popular_hits: int = 0
    """Liked movies that were among the LIST_LENGTH most popular that the user had not rated."""
    popular_gain: float = 0.0
    recent_hits: int = 0
    """The same of what was popular lately, see `recent_popularity`."""
    recent_gain: float = 0.0

    def __add__(self, other: Scores) -> Scores:
        return Scores(*map(operator.add, _sums(self), _sums(other)))

    def __sub__(self, other: Scores) -> Scores:
        return Scores(*map(operator.sub, _sums(self), _sums(other)))

    def figures(self) -> dict[str, float | None]:
        """See `reelstream.store.quality_figures.figures`."""
        return figures(asdict(self))


_sums = operator.attrgetter(*SUMS)


def score(ratings: tuple[I64, I64, F32], history: RatingArrays, fold_in: FoldIn, recent: RecentPopularity) -> Scores:
    """Scores of the ratings of one micro-batch, each of them from what its user had rated before it.

    ratings: (user_id int64[R], movie_id int64[R], rating float32[R] in stars), the latest of each (user, movie), in the order
    in which they were rated; NaN is one taken back, which is not scored. history: what `History.of(np.unique(user_id))` gives
    before these ratings are appended; it counts as older than all of them. recent: as it was then, too.

    - of more than SCORED_AT_MOST ratings so many are scored, evenly spread
    - a movie that the user has rated before is left out: both models may know that rating
    - stars: the mean and the bias of the movie for a user without a history, the mean and the bias of the user for a
      movie that the version does not know; clipped to the scale
    - lists: of a user without a history the popular one. A liked movie that the version does not know is in no list,
      and counts as a miss

    What users rated of movies that the version does not know does not count, neither for the models nor for the baseline.
    Raises UsageError for a history with a rating that is not finite.
    """
    factors = fold_in.factors
    users, user = np.unique(ratings[0], return_inverse=True)  # [U], [R]
    scored = _first_ratings(user, ratings[1], ratings[2], history)  # [R]
    if not scored.any():
        return Scores()
    chosen = np.flatnonzero(scored)  # [S]
    if len(chosen) > SCORED_AT_MOST:
        chosen = chosen[np.linspace(0, len(chosen) - 1, SCORED_AT_MOST).astype(np.int64)]
    position = factors.movie_index(ratings[1])  # [R], -1 where the version does not know the movie
    seen = _before_each(chosen, user, position, ratings[2], known_ratings(history, factors, len(users)))  # S rows
    stars, movie = ratings[2][chosen], position[chosen]  # [S], [S]
    folded = fold_in.solve(seen, threads=_threads(len(chosen)))
    predicted = predict(factors, folded.user_bias, folded.rating, movie)  # [S]
    liked = stars >= factors.settings.liked_stars
    squares = (predicted.astype(np.float64) - stars) ** 2  # [S]
    rows = np.flatnonzero(liked & (movie >= 0))  # [H]
    ours, popular_places = _places(rows, movie[rows], seen, folded, fold_in)
    there = ~np.isnan(ratings[2])  # [R]
    at = np.cumsum(there)[chosen[rows]] - 1  # [H]
    recent_places = recent.places(factors.movie_ids, position[there], at, seen.select(rows))
    gains, popular_gains, recent_gains = (
        _gains(places) for places in (ours, popular_places, recent_places)
    )  # each [H]
    return Scores(
        ratings=len(stars),
        squared_error=float(squares.sum()),
        squared_error_squares=float((squares**2).sum()),
        bias_only_squared_error=_squared_error(_bias_only(movie, seen, factors), stars),
        liked=int(liked.sum()),
        hits=int((gains > 0).sum()),
        gain=float(gains.sum()),
        gain_squares=float((gains**2).sum()),
        popular_hits=int((popular_gains > 0).sum()),
        popular_gain=float(popular_gains.sum()),
        recent_hits=int((recent_gains > 0).sum()),
        recent_gain=float(recent_gains.sum()),
    )


def _gains(places: I64) -> F64:
    """float64[H]: 1 / log2(place + 2) of the first LIST_LENGTH places, which are from 0; 0 of all others."""
    return np.where(places < LIST_LENGTH, 1 / np.log2(places + 2.0), 0.0)


def _first_ratings(user: I64, movie_id: I64, rating: F32, history: RatingArrays) -> NDArray[np.bool_]:
    """bool[R]: all but NaN and the pairs that are in the history."""
    row, rated_id, *_ = history
    movies, movie = np.unique(movie_id, return_inverse=True)  # [B], [R]
    pair = user * len(movies) + movie  # [R]
    rated = index_of(movies, rated_id)  # [L], -1 where no rating is of that movie
    before = (row * len(movies) + rated)[rated >= 0]
    first: NDArray[np.bool_] = ~np.isnan(rating) & ~np.isin(pair, before)
    return first


def _before_each(chosen: I64, user: I64, position: I64, rating: F32, history: Csr) -> Csr:
    """What the user of each chosen rating had rated before it, as a row each; of the movies that the version knows.

    user int64[R], rows of the history; position int64[R], -1 where the version does not know the movie; rating float32[R]: all
    ratings of the micro-batch, in their order.
    """
    earlier: dict[int, dict[int, float]] = {}  # user → position → stars, what was rated last at the end
    rows: dict[int, tuple[I64, F32, I32]] = {}  # rating → (positions, stars, ages)
    wanted = set(chosen.tolist())
    for at, (of, movie, given) in enumerate(zip(user.tolist(), position.tolist(), rating.tolist(), strict=True)):
        mine = earlier.setdefault(of, {})
        if at in wanted:
            rows[at] = _merged(history, of, mine)
        if movie >= 0:
            mine.pop(movie, None)
            mine[movie] = given
    parts = [rows[at] for at in chosen.tolist()]
    row = np.repeat(np.arange(len(parts)), [len(positions) for positions, _, _ in parts])
    positions, stars, ages = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Csr.from_rows(row, positions, stars, len(parts), ages)


def _merged(history: Csr, user: int, earlier: dict[int, float]) -> tuple[I64, F32, I32]:
    """(positions, stars, ages) of a row of the history with what came after it."""
    entries = slice(history.indptr[user], history.indptr[user + 1])
    positions, stars = history.indices[entries].astype(np.int64), history.values[entries]
    ages = ages_of_row(history)[entries]
    if not earlier:
        return positions, stars, ages
    new, given = np.array([*earlier], np.int64), np.array([*earlier.values()], np.float32)
    kept, there = ~np.isin(positions, new), ~np.isnan(given)
    positions = np.concatenate([positions[kept], new[there]])
    stars = np.concatenate([stars[kept], given[there]])
    place = np.concatenate([-ages[kept].astype(np.int64) - 1, np.flatnonzero(there)])  # ascending: the newest last
    return positions, stars, ages_of(np.zeros(len(place), np.int64), place)


def _bias_only(movie: I64, seen: Csr, factors: Factors) -> F32:
    """float32[S]: mean + damped user bias + damped movie bias, as `metrics.bias_only` in one pass instead of ten turns.

    The bias of a movie is that of its ratings in the version; the bias of a user that of the history, less the movies'.
    """
    left = factors.movie_sums - factors.movie_counts * factors.mean  # [M]
    movie_bias: F64 = left / (factors.movie_counts + BIAS_DAMPING)
    counts = seen.counts()  # [U]
    row = np.repeat(np.arange(seen.n_rows), counts)  # [nnz]
    of_rating = seen.values - factors.mean - movie_bias[seen.indices]
    user_bias = np.bincount(row, weights=of_rating, minlength=seen.n_rows) / (counts + BIAS_DAMPING)
    stars = factors.mean + user_bias + np.where(movie >= 0, movie_bias[movie], 0)
    return np.clip(stars, factors.settings.rating_min, factors.settings.rating_max).astype(np.float32)


def _places(rows: I64, movie: I64, seen: Csr, folded: FoldedUsers, fold_in: FoldIn) -> tuple[I64, I64]:
    """(places of liked movies on their users' lists int64[H], places in the popular list without what they have rated), from 0,
    LIST_LENGTH and more where they are not on it. rows int64[H] of seen and folded, movie int64[H] positions."""
    if not len(rows):
        return rows, rows
    seen, threads = seen.select(rows), _threads(len(rows))  # H rows
    by = list_scores(folded.ranking[rows], seen, fold_in.factors, threads=threads)
    lists, _ = top_n(by.vectors, fold_in.factors.ranking_movie, seen, LIST_LENGTH, extra=by.extra, threads=threads)
    found = lists == movie[:, None]  # [H, LIST_LENGTH]
    listed = np.where(found.any(axis=1), found.argmax(axis=1), LIST_LENGTH)  # [H]
    popular_places = _more_popular(np.arange(len(rows)), movie, seen, _popularity(fold_in))  # [H]
    return np.where(seen.counts() > 0, listed, popular_places), popular_places


def _more_popular(row: I64, movie: I64, seen: Csr, place: I64) -> I64:
    """int64[H]: how many movies that are not in the row of `seen` are more popular."""
    n_movies = len(place)
    of_entry = np.repeat(np.arange(seen.n_rows), seen.counts())
    rated = np.sort(of_entry * n_movies + place[seen.indices])  # [nnz], by row, then the most popular first
    more_popular = np.searchsorted(rated, row * n_movies + place[movie]) - seen.indptr[row]  # [H], among those rated
    places: I64 = place[movie] - more_popular
    return places


@lru_cache(maxsize=1)
def _popularity(fold_in: FoldIn) -> I64:
    """int64[M]: place of each movie in the popular list, from 0; made once a version."""
    order, _ = popular(fold_in.factors, len(fold_in.factors.movie_ids))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return place


def _threads(n_users: int) -> int | None:
    return 1 if n_users < _WORTH_USERS else None


def _squared_error(predicted: F32, stars: F32) -> float:
    return float(np.sum((predicted.astype(np.float64) - stars) ** 2))
