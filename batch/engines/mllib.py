"""The mllib engine: both models by Spark's distributed ALS, for when one machine is outgrown.

MLlib fits no biases, so the rating model is its explicit ALS on what the biases leave over; the ranking model is its
implicit ALS (Hu, Koren, Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008) on the weights
w = (r / r_max)^p, with α = 1 / α₀: the same balance of rated and unrated pairs as the native engine's. Its
regularisation means something else than the native engine's, hence constants of their own.

In: a RatingMatrix. Out: Factors. Next: `reelstream.batch.refit` measures and publishes them.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.errors import PySparkRuntimeError
from pyspark.ml.recommendation import ALS
from pyspark.sql import SparkSession

from reelstream.als.arrays import F32, Csr
from reelstream.als.factors import Factors, ModelSettings, RatingMatrix
from reelstream.als.fit import WIDTH, liking, movie_sums, transitions
from reelstream.als.fold_in import FoldIn
from reelstream.als.prior import learned
from reelstream.errors import UsageError
from reelstream.settings import Settings
from reelstream.spark_session import open_session

RATING_RANK, RATING_REGULARIZATION = 10, 0.15
RANKING_REGULARIZATION = 0.1
BIAS_PASSES = 5
CHECKPOINT_EACH = 10
"""Iterations between two checkpoints: without any, hundreds of them overflow the JVM's stack."""


def fit(matrix: RatingMatrix, model: ModelSettings, settings: Settings, *, start: Factors | None = None) -> Factors:
    """The contract of every engine: all factors of one matrix; `settings` say where it runs.

    Deterministic by `model.seed` on one machine: the rows go in sorted by user, then movie. MLlib has no warm start and
    no tolerance: `start` is not used, and it makes all iterations.
    Executors elsewhere must share the warehouse's directory `run`, which holds the checkpoints.
    Raises UsageError if there is no rating, or for α₀ = 0.
    """
    if not len(matrix.user_ids):
        raise UsageError("there is no rating to fit; give at least one.")
    if not model.ranking_alpha0:
        raise UsageError("the mllib engine needs ranking_alpha0 above 0; set it, or take the engine native.")
    mean, user_bias, movie_bias = _biases(matrix, model.rating_bias_regularization)
    by_user = matrix.by_user
    user = np.repeat(np.arange(by_user.n_rows), by_user.counts())  # [L]
    residual = by_user.values - mean - user_bias[user] - movie_bias[by_user.indices]  # [L]
    weight = liking(by_user.values, model) ** model.ranking_power  # [L]
    width = (model.rating_max - model.rating_min) / WIDTH
    columns = {"userCol": "user", "itemCol": "movie", "ratingCol": "value"}
    common: dict[str, Any] = {**columns, "seed": model.seed, "checkpointInterval": CHECKPOINT_EACH}
    with _session(settings) as spark:
        rating = ALS(
            rank=RATING_RANK, regParam=RATING_REGULARIZATION * width, maxIter=model.rating_iterations, **common
        )
        ranking = ALS(
            rank=model.ranking_rank,
            regParam=RANKING_REGULARIZATION,
            maxIter=model.ranking_iterations,
            implicitPrefs=True,
            alpha=1 / model.ranking_alpha0,
            **common,
        )
        rating_user, rating_movie = _fit(spark, rating, user, by_user, residual, matrix)
        ranking_user, ranking_movie = _fit(spark, ranking, user, by_user, weight, matrix)
    factors = Factors(
        user_ids=matrix.user_ids,
        movie_ids=matrix.movie_ids,
        mean=mean,
        user_bias=user_bias,
        movie_bias=movie_bias,
        rating_user=rating_user,
        rating_movie=rating_movie,
        ranking_user=ranking_user,
        ranking_movie=ranking_movie,
        movie_counts=matrix.by_movie.counts(),
        movie_sums=movie_sums(matrix.by_movie),
        settings=model,
        rating_prior=learned(ranking_user, rating_user),
        transitions=transitions(matrix),
    )
    users = FoldIn(factors).solve(by_user)  # as every later fold-in has them, by the order of their ratings too
    return replace(factors, user_bias=users.user_bias, rating_user=users.rating, ranking_user=users.ranking)


def _biases(matrix: RatingMatrix, damping: float) -> tuple[float, F32, F32]:
    """(mean, user bias [U], movie bias [M]) by alternating damped means of what the other side leaves over."""
    mean = float(matrix.by_user.values.mean(dtype=np.float64))
    user_bias = np.zeros(len(matrix.user_ids), np.float32)
    movie_bias = np.zeros(len(matrix.movie_ids), np.float32)
    for _ in range(BIAS_PASSES):
        movie_bias = _damped_means(matrix.by_movie, mean, user_bias, damping)
        user_bias = _damped_means(matrix.by_user, mean, movie_bias, damping)
    return mean, user_bias, movie_bias


def _damped_means(rows: Csr, mean: float, other_bias: F32, damping: float) -> F32:
    row = np.repeat(np.arange(rows.n_rows), rows.counts())
    residual = rows.values - mean - other_bias[rows.indices]
    sums = np.bincount(row, weights=residual, minlength=rows.n_rows)
    return (sums / (rows.counts() + damping)).astype(np.float32)


def _fit(
    spark: SparkSession, als: ALS, user: np.ndarray, by_user: Csr, value: np.ndarray, matrix: RatingMatrix
) -> tuple[F32, F32]:
    """One ALS over positions, which fit the 32 bits that MLlib takes: (user factors [U, K], movie factors [M, K])."""
    columns = {"user": user.astype(np.int32), "movie": by_user.indices, "value": value.astype(np.float32)}
    model = als.fit(spark.createDataFrame(pa.table(columns)))
    return (
        _dense(model.userFactors.toArrow(), len(matrix.user_ids), als.getRank()),
        _dense(model.itemFactors.toArrow(), len(matrix.movie_ids), als.getRank()),
    )


def _dense(factors: pa.Table, n_rows: int, rank: int) -> F32:
    dense = np.zeros((n_rows, rank), np.float32)
    flat = factors["features"].combine_chunks().flatten().to_numpy()
    dense[factors["id"].to_numpy()] = flat.reshape(-1, rank)
    return dense


@contextmanager
def _session(settings: Settings) -> Iterator[SparkSession]:
    """The session of this process, or one for the time of a fit; with a checkpoint directory, which cuts ALS's long
    lineage."""
    try:
        spark, ours = SparkSession.active(), False
    except PySparkRuntimeError:  # there is none, in no thread
        spark, ours = open_session(settings), True
    run = settings.warehouse / "run"
    run.mkdir(parents=True, exist_ok=True)
    checkpoints = tempfile.mkdtemp(prefix="als-", dir=run)
    spark.sparkContext.setCheckpointDir(checkpoints)
    try:
        yield spark
    finally:
        if ours:
            spark.stop()
        shutil.rmtree(checkpoints, ignore_errors=True)
