"""The values that the ALS rooms pass on: ratings as sparse rows, the settings of both models, their factors.

In: ratings as (user_id, movie_id, rating) triples. Out: `RatingMatrix`, `ModelSettings`, `Factors`.
Next: `reelstream.als.fit` turns a RatingMatrix into Factors; `fold_in`, `top_n` and `metrics` use those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reelstream.als.arrays import F32, F64, I32, I64, Csr, Mask, index_of
from reelstream.als.scale import Scale
from reelstream.als.transitions import Transitions
from reelstream.errors import UsageError


@dataclass(frozen=True, slots=True)
class RatingMatrix:
    """All ratings, by user and by movie. Positions in the id arrays are the rows and columns of both Csr."""

    user_ids: I64
    """int64[U], ascending: the users with at least one rating."""
    movie_ids: I64
    """int64[M], ascending: the movies with at least one rating."""
    by_user: Csr
    """U rows over M columns, with ages where the order of the ratings is known."""
    by_movie: Csr
    """M rows over U columns: the same ratings."""

    @classmethod
    def from_triples(cls, user_id: I64, movie_id: I64, rating: F32, ages: I32 | None = None) -> RatingMatrix:
        """Sorts ratings into rows; the order of the triples does not matter.

        user_id, movie_id: integers [L]; rating: a real number of stars [L]; one rating a (user, movie). ages: of these
        ratings, or of more of which these are some, int32[L] (`reelstream.als.arrays.ages_of`).
        Raises UsageError if the shapes or dtypes differ from that, a rating is not finite or a pair comes twice.
        """
        from reelstream.als import counting_sort  # importing numba takes a moment, and reading factors needs none

        _check_triples(user_id, movie_id, rating)
        user_ids, user = counting_sort.positions(user_id)  # [U], [L]
        movie_ids, movie = counting_sort.positions(movie_id)  # [M], [L]
        stars = rating.astype(np.float32)
        # Sorting by movie and then, stably, by user leaves the movies of each user ascending; and the other way round.
        by_movie = Csr(*counting_sort.by_key(user, movie, stars, len(user_ids)))  # M rows
        by_user = Csr(*counting_sort.by_key(movie, user, stars, len(movie_ids)))  # U rows
        if ages is not None:
            indptr, _, of_row = counting_sort.by_key(movie, user, ages, len(movie_ids))
            by_user = replace(by_user, ages=counting_sort.ranks(indptr, of_row))
        _check_once(by_user)
        return cls(user_ids, movie_ids, by_user, by_movie)


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """What both models are fitted with. The formulas that these stand in are in `reelstream.als.fit`.

    The defaults are among the best on time-ordered validation of three MovieLens samples of 100,000 ratings each: fitted
    on the older 80 % of each user's ratings and compared on the next ones, with the newest fifth left untouched.
    Raises UsageError for a value outside its range.
    """

    rating_rank: int = 63
    """Kr, factors of the rating model; 0 leaves mean and biases only. With the bias, a multiple of 16 is fastest."""
    rating_regularization: float = 0.07
    """λ of the rating model, for a scale of 4.5 stars' width; on another one it is scaled along. Above 0."""
    rating_prior_count: float = 50.0
    """n₀ of the rating model: each row is regularised as if it had so many ratings more; 0 or more."""
    rating_bias_regularization: float = 2.0
    """λ_b: ratings' worth of "no bias" that each bias is drawn to; above 0."""
    rating_recency_span: float = 60.0
    """τ of the rating model: a user's own factors and bias count the newest ratings more, by floor + boost · exp(−age / τ);
    above 0."""
    rating_recency_floor: float = 0.03
    """What an old rating counts there; above 0."""
    rating_recency_boost: float = 2.0
    """How much more the newest one counts there; 0 counts all alike."""
    rating_iterations: int = 10
    """Passes over users and movies of the rating model, at the most."""
    ranking_rank: int = 64
    """K, factors of the ranking model; at least 1."""
    ranking_regularization: float = 0.004
    """λ of the ranking model; above 0."""
    ranking_nu: float = 1.0
    """ν: how much more a row with many ratings is regularised; 0 is the same for all."""
    ranking_alpha0: float = 0.5
    """α₀: weight of each (user, movie) pair as one that is not rated; 0 or more."""
    ranking_power: float = 3.5
    """p: a rating r weighs (r / rating_max)^p, see `fit.liking` for scales that begin below 0; 0 or more."""
    ranking_user_power: float = 3.5
    """p of the half-step that gives the users' vectors, the last one, and of fold-ins; 0 or more."""
    ranking_recency_span: float = 10.0
    """τ: a user's vector counts the newest ratings more, by floor + boost · exp(−age / τ), in ratings; above 0."""
    ranking_recency_floor: float = 0.2
    """What an old rating counts; above 0."""
    ranking_recency_boost: float = 2.0
    """How much more the newest one counts; 0 counts all alike."""
    ranking_transition_weight: float = 0.5
    """β: what is often watched next counts so much, beside the ranking model; 0 or more."""
    ranking_iterations: int = 16
    """Passes over users and movies of the ranking model, at the most."""
    tolerance: float = 5e-4
    """A model is done before its iterations are, once all further ones would lower the objective by less than this share,
    as estimated from the last two; 0 makes all iterations."""
    seed: int = 42
    """Of the random start. The same seed and ratings give the same factors."""
    rating_min: float = 0.5
    """Lowest rating; predictions are clipped to it."""
    rating_max: float = 5.0
    """Highest rating; predictions are clipped to it."""
    liked_from: float | None = None
    """From where on a movie counts as liked; None is that of `liked_stars`."""

    def __post_init__(self) -> None:
        at_least = {
            "rating_rank": 0,
            "rating_prior_count": 0,
            "rating_iterations": 1,
            "rating_recency_boost": 0,
            "ranking_rank": 1,
            "ranking_iterations": 1,
            "ranking_nu": 0,
            "ranking_alpha0": 0,
            "ranking_power": 0,
            "ranking_user_power": 0,
            "ranking_recency_boost": 0,
            "ranking_transition_weight": 0,
            "tolerance": 0,
        }
        above_zero = (
            "rating_regularization",
            "rating_bias_regularization",
            "rating_recency_span",
            "rating_recency_floor",
            "ranking_regularization",
            "ranking_recency_span",
            "ranking_recency_floor",
            "rating_max",
        )
        for name, least in at_least.items():
            if not least <= getattr(self, name) < np.inf:
                raise UsageError(f"{name} is {getattr(self, name)}; set it to {least} or more.")
        for name in above_zero:
            if not 0 < getattr(self, name) < np.inf:
                raise UsageError(f"{name} is {getattr(self, name)}; set it to a number above 0.")
        Scale(self.rating_min, self.rating_max, 0)  # raises UsageError

    @property
    def liked_stars(self) -> float:
        """See `Scale.liked`."""
        return Scale(self.rating_min, self.rating_max, 0, self.liked_from).liked

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return asdict(self)

    def changed_in(self, other: ModelSettings) -> dict[str, Any]:
        """What the other has another value for, by name."""
        return {name: value for name, value in other.to_dict().items() if value != getattr(self, name)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelSettings:
        """The inverse of `to_dict`; a missing key takes its default. Settings of an older version have the p of all half-steps
        for the users' last one, and no recency in the rating model. Raises UsageError for an unknown key."""
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise UsageError(f"unknown model settings {', '.join(unknown)}; a newer reelstream may have written them.")
        if "ranking_user_power" not in values and "ranking_power" in values:
            once = {
                "ranking_user_power": values["ranking_power"],
                "rating_recency_floor": 1.0,
                "rating_recency_boost": 0.0,
            }
            values = {**once, **values}
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Factors:
    """Both fitted models. Row i of each user array belongs to user_ids[i], row j of each movie array to movie_ids[j].

    Predicted stars: mean + user_bias + movie_bias + rating_user · rating_movie. Order of a list: ranking_user ·
    ranking_movie and what the transitions add, see `reelstream.als.list_scores`.
    """

    user_ids: I64
    """int64[U], ascending."""
    movie_ids: I64
    """int64[M], ascending."""
    mean: float
    """Mean of all ratings, in stars."""
    user_bias: F32
    """float32[U], in stars."""
    movie_bias: F32
    """float32[M], in stars."""
    rating_user: F32
    """float32[U, Kr]."""
    rating_movie: F32
    """float32[M, Kr]."""
    ranking_user: F32
    """float32[U, K]."""
    ranking_movie: F32
    """float32[M, K]."""
    movie_counts: I64
    """int64[M]: ratings of each movie in training."""
    movie_sums: F64
    """float64[M]: sum of those ratings, in stars."""
    settings: ModelSettings
    rating_prior: F32 | None = None
    """float32[K, Kr]: where a user's rating vector is expected by their ranking vector, see `reelstream.als.prior`; None where
    it is drawn to 0."""
    transitions: Transitions | None = None
    """Over movies of its own, in its own order; None where the order of the ratings is not known."""

    def user_index(self, ids: I64) -> I64:
        """Positions in user_ids, int64 in the shape of `ids`; -1 where unknown."""
        return index_of(self.user_ids, ids)

    def movie_index(self, ids: I64) -> I64:
        """Positions in movie_ids, int64 in the shape of `ids`; -1 where unknown."""
        return index_of(self.movie_ids, ids)

    def movie_mask(self, ids: I64) -> Mask | None:
        """bool[M]: the movies with these ids; None where there is none of them."""
        at = self.movie_index(ids)
        if not (at >= 0).any():
            return None
        mask = np.zeros(len(self.movie_ids), np.bool_)
        mask[at[at >= 0]] = True
        return mask


def _check_triples(user_id: NDArray[Any], movie_id: NDArray[Any], rating: NDArray[Any]) -> None:
    shapes = {np.shape(user_id), np.shape(movie_id), np.shape(rating)}
    if len(shapes) != 1 or len(shapes.pop()) != 1:
        raise UsageError(
            f"user_id {np.shape(user_id)}, movie_id {np.shape(movie_id)} and rating {np.shape(rating)} must be"
            " one-dimensional and equally long."
        )
    for name, ids in (("user_id", user_id), ("movie_id", movie_id)):
        if not np.issubdtype(ids.dtype, np.integer):
            raise UsageError(f"{name} is {ids.dtype}; ids must be integers.")
    if not (np.issubdtype(rating.dtype, np.floating) or np.issubdtype(rating.dtype, np.integer)):
        raise UsageError(f"rating is {rating.dtype}; ratings must be numbers.")
    finite = np.abs(rating) <= np.finfo(np.float32).max  # in the 32 bits that it is kept in
    if not finite.all():
        at = int(np.flatnonzero(~finite)[0])
        raise UsageError(f"rating of user {user_id[at]} and movie {movie_id[at]} is {rating[at]}; leave such rows out.")


def _check_once(by_user: Csr) -> None:
    same = by_user.indices[1:] == by_user.indices[:-1]  # [L - 1]
    if not same.any():
        return
    same_row = np.ones(len(same), np.bool_)
    same_row[by_user.indptr[1:-1] - 1] = False
    if (same & same_row).any():
        raise UsageError("a (user, movie) pair comes more than once; keep the latest rating of each.")
