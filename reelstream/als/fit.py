"""Fits both models by alternating half-steps.

In: a RatingMatrix and ModelSettings. Out: Factors. Next: `top_n` makes lists of them, `fold_in` adds users to them.

Rating model, for predicted stars:
    Σ_observed (r − μ − b_u − b_i − p_u·q_i)² + λ s Σ_rows (n + n₀) ‖·‖² + λ_b (Σ_u b_u² + Σ_i b_i²)
  with s = (r_max − r_min) / 4.5, so that the same tastes on another scale give the same model, and n the number of ratings
  of a user or movie. λ n is that of Zhou, Wilkinson, Schreiber, Pan, "Large-scale Parallel Collaborative Filtering for the
  Netflix Prize", AAIM 2008; n₀ holds rows with few ratings near their bias, which took the RMSE from 0.847 to 0.838. A row's
  bias and factors are solved together: the other side's vector is (q_i, 1) and the target r − μ − b_i.
Ranking model, for the order of a list:
    Σ_observed w (1 − p_u·q_i)² + α₀ Σ_all pairs (p_u·q_i)² + λ Σ_rows (n + α₀ N)^ν ‖·‖²,  w = (r / r_max)^p
  with N the number of rows of the other side (Rendle, Krichene, Zhang, Koren, "Revisiting the Performance of iALS on
  Item Recommendation Benchmarks", RecSys 2022).
Recency. Tastes, and the habit of rating high or low, drift (Koren, "Collaborative Filtering with Temporal Dynamics", KDD
2009), and what to watch next depends on what was rated last. So the last half-step of both models, which gives the users'
vectors, weighs a rating by floor + boost · exp(−age / τ) as well, with age the number of the user's newer ratings; that of
the ranking model has a p of its own, too.
Which movies a user rated. The last half-step of the rating model draws a user's vector not to 0 but to where those who rated
such movies are (`prior`).
Half-steps go on from the rows' last vectors (`kernel`). Both models end with the users' half-step, solved to the end, so
folding in a user's full history gives the very factors that the fit gave.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reelstream.als import prior
from reelstream.als.alternate import Alternation, HalfStep, StepProgress, System
from reelstream.als.arrays import F32, F64, I64, Csr, index_of
from reelstream.als.factors import Factors, ModelSettings, RatingMatrix
from reelstream.als.transitions import Transitions
from reelstream.errors import UsageError

WIDTH = 4.5
"""Stars from the lowest to the highest rating of the scale that λ of the rating model is given for."""
Model = Literal["rating", "ranking"]

WARM_PASSES, RATING_PASSES, RANKING_PASSES = 2, 4, 12
"""Passes before the objective may count as flat: of a warm start, and of a cold one of either model. The first passes turn
a random start towards the ratings. The ranking model's objective is mostly ratings that nothing explains: at 8 million
synthetic ratings, passes 4 to 12 took three thousandths off it and brought nDCG@10 from 0.14 to 0.25."""


def fit(
    matrix: RatingMatrix,
    settings: ModelSettings,
    *,
    start: Factors | None = None,
    threads: int | None = None,
    half_step: HalfStep | None = None,
    progress: StepProgress | None = None,
) -> Factors:
    """Both models of all ratings. The same for the same seed and ratings, bit by bit, whatever the number of threads.

    start: factors to go on from; movies that they do not know start at the mean of the others. Ranks may differ.
    threads: None is one for each CPU. half_step: None is `kernel.half_step`.
    Raises UsageError if there is no rating.
    """
    if half_step is None:
        from reelstream.als import kernel  # importing numba takes a moment, and reading factors needs none

        half_step = kernel.half_step
    if not len(matrix.user_ids):
        raise UsageError("there is no rating to fit; give at least one.")
    counts, sums = matrix.by_movie.counts(), movie_sums(matrix.by_movie)  # [M], [M]
    mean = float(sums.sum() / counts.sum())
    run = Alternation(matrix, settings.tolerance, threads, half_step, progress)
    ranking_user, ranking_movie = _fit_ranking(matrix, settings, start, run)
    rating = _fit_rating(matrix, settings, mean, start, run, ranking_user)
    return Factors(
        user_ids=matrix.user_ids,
        movie_ids=matrix.movie_ids,
        mean=mean,
        ranking_user=ranking_user,
        ranking_movie=ranking_movie,
        movie_counts=counts,
        movie_sums=sums,
        settings=settings,
        transitions=transitions(matrix, threads),
        **rating,
    )


def fit_one(
    model: Model,
    factors: Factors,
    matrix: RatingMatrix,
    settings: ModelSettings,
    start: Factors | None,
    *,
    threads: int | None = None,
) -> Factors:
    """The factors with one model fitted anew, with other settings; those of the other one and the transitions stay.

    factors: of the matrix. start: factors to go on from. threads: as in `fit`.
    """
    from reelstream.als import kernel  # importing numba takes a moment, and reading factors needs none

    run = Alternation(matrix, settings.tolerance, threads, kernel.half_step, None)
    if model == "rating":
        rating = _fit_rating(matrix, settings, factors.mean, start, run, factors.ranking_user)
        return replace(factors, settings=settings, **rating)
    ranking_user, ranking_movie = _fit_ranking(matrix, settings, start, run)
    return replace(factors, ranking_user=ranking_user, ranking_movie=ranking_movie, settings=settings)


def transitions(matrix: RatingMatrix, threads: int | None = None) -> Transitions | None:
    """Those of the matrix; None where it has no ages."""
    if matrix.by_user.ages is None:
        return None
    return Transitions.of(matrix.movie_ids, matrix.by_user, matrix.by_movie, threads=threads)


def movie_sums(by_movie: Csr) -> F64:
    """Sum of the ratings of each movie, float64[M]."""
    row = np.repeat(np.arange(by_movie.n_rows), by_movie.counts())
    return np.bincount(row, weights=by_movie.values, minlength=by_movie.n_rows).astype(np.float64)


def rating_system(
    rows: Csr, mean: float, other_bias: F32, settings: ModelSettings, *, for_users: bool = False
) -> tuple[F32, F32, F32, F32]:
    """The rating model's half-step: (weights float32[nnz], targets [nnz], reg [R], bias reg [R]).

    for_users: the one that gives the users' own vectors and biases: it has recency weights where the rows have ages.
    """
    targets = (rows.values - np.float32(mean)) - other_bias[rows.indices]  # [nnz]
    strength = np.maximum(rows.counts() + settings.rating_prior_count, 1)
    width = min(max((settings.rating_max - settings.rating_min) / WIDTH, 1e-3), 1e3)
    regularization = (settings.rating_regularization * width * strength).astype(np.float32)
    bias = np.full(rows.n_rows, settings.rating_bias_regularization, np.float32)
    weights = np.ones(len(targets), np.float32)
    if for_users and rows.ages is not None:
        recent = np.exp(-rows.ages / np.float32(settings.rating_recency_span))
        weights = (settings.rating_recency_floor + settings.rating_recency_boost * recent).astype(np.float32)
    return weights, targets, regularization, bias


def ranking_system(
    rows: Csr, n_other: int, settings: ModelSettings, *, for_users: bool = False
) -> tuple[F32, F32, F32]:
    """The ranking model's half-step: (weights float32[nnz], targets [nnz], reg [R]).

    for_users: the one that gives the users' vectors: it has a p of its own, and recency weights where the rows have ages.
    """
    power = settings.ranking_user_power if for_users else settings.ranking_power
    with np.errstate(over="ignore"):  # what is no number then is found by the half-step
        weights = liking(rows.values, settings) ** np.float32(power)
    if for_users and rows.ages is not None:
        recent = np.exp(-rows.ages / np.float32(settings.ranking_recency_span))
        weights = weights * (settings.ranking_recency_floor + settings.ranking_recency_boost * recent)
    strength = (rows.counts() + settings.ranking_alpha0 * n_other) ** settings.ranking_nu
    regularization = settings.ranking_regularization * np.maximum(strength, 1e-6)
    return weights.astype(np.float32), np.ones(len(weights), np.float32), regularization.astype(np.float32)


def liking(ratings: F32, settings: ModelSettings) -> F32:
    """float32 in the shape of `ratings`: the share of the highest rating. On a scale that begins below 0 it is the one that the
    same taste has of 0.5 to 5, where the lowest rating is a tenth of the highest."""
    low, high = settings.rating_min, settings.rating_max
    zero = np.float32(low - (high - low) / 9 if low < 0 else 0)
    share: F32 = np.maximum((ratings - zero) / (np.float32(high) - zero), 0)
    return share


def _fit_rating(
    matrix: RatingMatrix,
    settings: ModelSettings,
    mean: float,
    start: Factors | None,
    run: Alternation,
    ranking_user: F32,
) -> dict[str, Any]:
    """The rating model's arrays, by the names that Factors has for them. ranking_user: [U, K], of the ranking model."""
    counts = matrix.by_movie.counts()
    deviation = movie_sums(matrix.by_movie) - counts * mean  # [M]
    bias = (deviation / (counts + settings.rating_bias_regularization)).astype(np.float32)
    if start is not None:
        at = start.movie_index(matrix.movie_ids)  # [M]
        bias[at >= 0] = start.movie_bias[at[at >= 0]]
    known = None if start is None else start.rating_movie
    factors = _first_movies(matrix.movie_ids, start, known, settings.rating_rank, settings.seed)

    def system(rows: Csr, other: F32, *, for_users: bool = False) -> System:
        weighted = rating_system(rows, mean, other[:, -1], settings, for_users=for_users)
        vectors = other.copy()
        vectors[:, -1] = 1
        return System(vectors, *weighted)

    movie = np.column_stack([factors, bias])
    known_users = None if start is None else np.column_stack([start.rating_user, start.user_bias])
    user = _last_users(matrix.user_ids, start, known_users, movie.shape[1])
    passes = (WARM_PASSES if start else RATING_PASSES, settings.rating_iterations)
    user, movie = run.alternate("rating model", passes, system, movie, user)
    prior_map = prior.learned(ranking_user, user[:, :-1])
    drawn_to = prior.expected(ranking_user, prior_map)  # [U, Kr]
    last = system(matrix.by_user, movie, for_users=True)
    left = prior.left_over(last.targets, matrix.by_user, movie[:, :-1], drawn_to)
    user = run.users(replace(last, targets=left))
    plain = np.ascontiguousarray
    return {
        "user_bias": plain(user[:, -1]),
        "rating_user": user[:, :-1] + drawn_to,
        "movie_bias": plain(movie[:, -1]),
        "rating_movie": plain(movie[:, :-1]),
        "rating_prior": prior_map,
    }


def _fit_ranking(
    matrix: RatingMatrix, settings: ModelSettings, start: Factors | None, run: Alternation
) -> tuple[F32, F32]:
    """(p [U, K], q [M, K])."""
    by_user = ranking_system(matrix.by_user, len(matrix.movie_ids), settings)
    by_movie = ranking_system(matrix.by_movie, len(matrix.user_ids), settings)
    known = None if start is None else start.ranking_movie
    factors = _first_movies(matrix.movie_ids, start, known, settings.ranking_rank, settings.seed + 1)

    def system(rows: Csr, other: F32) -> System:
        weighted = by_user if rows is matrix.by_user else by_movie
        return System(other, *weighted, alpha0=settings.ranking_alpha0)

    user = _last_users(matrix.user_ids, start, start.ranking_user if start else None, settings.ranking_rank)
    passes = (WARM_PASSES if start else RANKING_PASSES, settings.ranking_iterations)
    _, movie = run.alternate("ranking model", passes, system, factors, user)
    last = ranking_system(matrix.by_user, len(movie), settings, for_users=True)
    return run.users(System(movie, *last, alpha0=settings.ranking_alpha0)), movie


def _first_movies(movie_ids: I64, start: Factors | None, known: F32 | None, rank: int, seed: int) -> F32:
    """Movie factors before the first half-step, float32[M, rank]: small and random by id, or those of `start` with new
    movies at the mean of them."""
    if start is None or known is None or not len(known):
        return _random_by_id(movie_ids, rank, seed)
    shared = min(rank, known.shape[1])
    first = np.empty((len(movie_ids), rank), np.float32) if rank == shared else _random_by_id(movie_ids, rank, seed)
    at = index_of(start.movie_ids, movie_ids)  # [M]
    first[:, :shared] = known[at, :shared]
    first[at < 0, :shared] = known[:, :shared].mean(axis=0)
    return first


def _last_users(user_ids: I64, start: Factors | None, known: F32 | None, rank: int) -> F32 | None:
    """The users' vectors of `start`, float32[U, rank], new users at 0; None where there are none of that rank."""
    if start is None or known is None or not len(known) or known.shape[1] != rank:
        return None
    at = index_of(start.user_ids, user_ids)  # [U]
    return np.where((at >= 0)[:, None], known[at], np.float32(0))


def _random_by_id(ids: I64, rank: int, seed: int) -> F32:
    """float32[len(ids), rank], evenly spread over ±0.5·√3 / √rank: a movie starts the same whichever others there are.

    A hash of (seed, id, column): the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
    """
    with np.errstate(over="ignore"):
        column = np.arange(rank, dtype=np.uint64) * np.uint64(0xD1B54A32D192ED03)
        salt = np.uint64(seed % 2**64) * np.uint64(0x9E3779B97F4A7C15)
        z = _mix(_mix(ids.astype(np.uint64) + salt)[:, None] ^ column)  # [n, rank]
    unit = (z >> np.uint64(40)).astype(np.float32) / np.float32(2**23) - np.float32(1)  # in [-1, 1)
    return unit * np.float32(0.5 * np.sqrt(3) / np.sqrt(max(rank, 1)))


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
