"""How good an engine is on ratings of one's own, beside the baselines and the published version.

In: training and test ratings as arrays. Out: `Evaluation`. Next: `reelstream.cli.evaluate` prints it,
`reelstream.batch.evaluation.page` draws it. What is measured, and on which users and movies, is said in
`reelstream.als.metrics`.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reelstream.als.alternate import StepProgress
from reelstream.als.arrays import F32, I32, I64, ages_of, index_of, latest_rows
from reelstream.als.counting_sort import positions
from reelstream.als.factors import Factors, ModelSettings, RatingMatrix
from reelstream.als.held_out import HeldOut
from reelstream.als.metrics import Measured, bias_only, measure, popular_baseline, rating_metrics
from reelstream.als.scale import Scale
from reelstream.als.splits import split_random, split_time, split_user_time
from reelstream.als.transfer import transfer
from reelstream.batch.refit import engine
from reelstream.batch.tuning.folds import Rule
from reelstream.batch.tuning.search import Found, search
from reelstream.errors import UsageError
from reelstream.settings import Settings
from reelstream.store import models
from reelstream.store.adopted import adopted, place
from reelstream.store.pointer import consistent
from reelstream.store.recommendations import RecommendationsStore, Version

SPLITS = ("random", "time", "user-time")
NOTE = "The last published version may have learned from these test rows: its figures may be too good."


@dataclass(frozen=True, slots=True)
class RatingColumns:
    """Columns of L ratings: int64[L], int64[L], float32[L] in stars, int64[L] in milliseconds since 1970."""

    user_id: I64
    movie_id: I64
    rating: F32
    rated_at_ms: I64

    def __len__(self) -> int:
        return len(self.user_id)

    def rows(self, at: I64) -> RatingColumns:
        return RatingColumns(self.user_id[at], self.movie_id[at], self.rating[at], self.rated_at_ms[at])

    def latest(self) -> RatingColumns:
        """The latest rating of each (user, movie), of equal times the last row, as `replay` would send it last; sorted
        by user, then movie."""
        pair = _pairs(self.user_id, self.movie_id)  # [L]
        if (pair[1:] > pair[:-1]).all():  # as MovieLens files are
            return self
        return self.rows(latest_rows(self.user_id, self.movie_id, self.rated_at_ms))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`figures` are JSON-ready; the rest is what a report draws."""

    figures: dict[str, Any]
    held_out: HeldOut
    measured: Measured
    popular_lists: I32
    """int32[R, k]: the popularity baseline's lists."""
    scale: Scale


def split(ratings: RatingColumns, how: str, test_fraction: float, seed: int) -> tuple[RatingColumns, RatingColumns]:
    """(training, test) by one of SPLITS; `ratings` are the latest ones.

    Raises UsageError for another name or fraction, if one part is empty, or if a split by time finds no times.
    """
    if how not in SPLITS:
        raise UsageError(f"--split is {how!r}; choose one of {', '.join(SPLITS)}.")
    if how != "random" and len(ratings) and ratings.rated_at_ms.min() == ratings.rated_at_ms.max():
        raise UsageError(
            f"all ratings have the same time; --split {how} needs a timestamp column. Use --split random, or --test."
        )
    if how == "random":
        train, test = split_random(len(ratings), test_fraction, seed)
    elif how == "time":
        train, test = split_time(ratings.rated_at_ms, test_fraction)
    else:
        train, test = split_user_time(ratings.user_id, ratings.rated_at_ms, test_fraction)
    if not len(train) or not len(test):
        raise UsageError(
            f"{len(ratings)} ratings leave {len(train)} to train and {len(test)} to test; give more, or another "
            "--test-fraction."
        )
    return ratings.rows(train), ratings.rows(test)


def unseen(train: RatingColumns, test: RatingColumns) -> RatingColumns:
    """The test rows whose (user, movie) is not in training: what is measured must not have been learned.

    Raises UsageError if there is none.
    """
    pair = _pairs(np.append(train.user_id, test.user_id), np.append(train.movie_id, test.movie_id))
    rest = np.flatnonzero(~np.isin(pair[len(train) :], pair[: len(train)]))
    if not len(rest):
        raise UsageError("every test rating is one of the training ratings too; give others with --test, or --split.")
    return test.rows(rest)


def matrix_for(train: RatingColumns, test: RatingColumns) -> RatingMatrix:
    """The training ratings; with ages if most of the test ratings are newer than all that their user has in training.

    Else the test does not ask what comes next: what a user rated last would be taken for a hint at what they rated before.
    Of equal times the last row is the newest.
    """
    users, user = positions(train.user_id)  # [U], [L]
    newest = np.full(len(users), np.iinfo(np.int64).min)  # [U]
    np.maximum.at(newest, user, train.rated_at_ms)
    at = index_of(users, test.user_id)  # [T]
    newer = (at >= 0) & (test.rated_at_ms > newest[at])  # [T]
    ages = ages_of(user.astype(np.int64), train.rated_at_ms) if 2 * newer.sum() > (at >= 0).sum() else None
    return RatingMatrix.from_triples(train.user_id, train.movie_id, train.rating, ages)


def evaluate(
    train: RatingColumns,
    test: RatingColumns,
    settings: Settings,
    *,
    k: int = 10,
    relevant_from: float | None = None,
    progress: StepProgress = lambda _what, _done, _of: None,
) -> Evaluation:
    """Fits the engine of `settings` on `train` and measures it on `test`; the numbers are those in the code.

    1. search for the settings on `train` alone, as the second refit of a warehouse does; not if `settings` or adopted
       settings are against it
    2. fit from a cold start
    3. measure it
    4. measure the baselines
    5. measure the published version of the warehouse, if there is one

    train: one rating a (user, movie). test: none of them. relevant_from: in stars; None is what counts as liked. The order
    of the ratings counts where `matrix_for` says so.
    Raises UsageError if no test row has its user and its movie in training, or no rating can be relevant.
    """
    model = adopted(settings.warehouse, **settings.scale.for_models())
    if relevant_from is None:
        relevant_from = model.liked_stars
    if relevant_from > model.rating_max:
        raise UsageError(
            f"no rating is relevant from {relevant_from:g} {settings.scale.unit} on; the scale ends at {model.rating_max:g}."
        )
    matrix = matrix_for(train, test)
    held_out = HeldOut.of(matrix, test.user_id, test.movie_id, test.rating, relevant_from)
    if not held_out.warm().any():
        raise UsageError(
            "no test rating has both its user and its movie in training; are these ratings of the same people and movies?"
        )
    steps = 5
    progress("search for better settings", 0, steps)  # 1
    began = time.perf_counter()
    found = Found(model, [])
    if settings.self_tuning and not place(settings.warehouse).exists():
        rule = Rule(relevant_from=relevant_from)
        ours = settings.engine == "native"
        found = search(
            matrix, model, rule=rule, fits=ours, progress=lambda what, n, _: progress(f"{what}, trial {n}", 0, steps)
        )
    model, tune_seconds = found.settings, time.perf_counter() - began
    progress(f"fit {len(train):,} ratings", 1, steps)  # 2
    began = time.perf_counter()
    factors = _fit(matrix, model, settings)
    fit_seconds = time.perf_counter() - began

    progress(f"measure on {len(test):,} ratings", 2, steps)  # 3
    measured = measure(factors, held_out, k, with_auc=True)

    progress("measure the baselines", 3, steps)  # 4
    popular, popular_lists = popular_baseline(factors, held_out, k, with_auc=True)
    biases = rating_metrics(bias_only(factors, held_out), held_out.rating)

    progress("measure the published version", 4, steps)  # 5
    last = _last_version(settings, factors, held_out, k)
    figures = {
        **measured.figures,
        "test_rows": len(test),
        "ranked_users": len(held_out.users),
        "train_rows": len(train),
        "train_users": len(matrix.user_ids),
        "train_movies": len(matrix.movie_ids),
        "engine": settings.engine,
        "model_settings": model.to_dict(),
        "k": k,
        "relevant_from": relevant_from,
        "tuning": {"tried": found.tried, "seconds": round(tune_seconds, 4)},
        "fit_seconds": round(fit_seconds, 4),
        "top_n_seconds": round(measured.top_n_seconds, 4),
        "baselines": {"bias_only": biases, "popularity": popular, "last_version": last},
    }
    progress("done", steps, steps)
    return Evaluation(figures, held_out, measured, popular_lists, settings.scale)


def _pairs(user_id: I64, movie_id: I64) -> I64:
    """One number for each different (user, movie), ascending by user, then movie: int64 in the length of the ids."""
    _, user = positions(user_id)
    movie_ids, movie = positions(movie_id)
    pairs: I64 = user.astype(np.int64) * len(movie_ids) + movie
    return pairs


def _fit(matrix: RatingMatrix, model: ModelSettings, settings: Settings) -> Factors:
    """By the engine; where there is no warehouse, none is left behind."""
    with tempfile.TemporaryDirectory(prefix="reelstream-") as scratch:
        there = settings.warehouse.is_dir()
        where = settings if there else settings.model_copy(update={"warehouse": Path(scratch)})
        return engine(settings.engine)(matrix, model, where)


def _last_version(settings: Settings, factors: Factors, held_out: HeldOut, k: int) -> dict[str, Any] | None:
    """Figures of the published version: its movies, and the users folded in with their training ratings.

    A movie that it does not know is cold: on no list, and after all others in the AUC. None if there is no version, or
    if it knows none of the movies.
    """
    published = RecommendationsStore(settings.warehouse)

    def look() -> tuple[Version, Factors] | None:
        version = published.current_or_none()
        return (version, models.load(version.model_path)) if version else None

    found = consistent(look)
    if found is None:
        return None
    version, theirs = found
    train = held_out.train
    listable = index_of(theirs.movie_ids, train.movie_ids) >= 0  # [M]
    if not listable.any():
        return None
    carried = transfer(theirs, train)
    measured = measure(carried, held_out, k, listable=listable, vectors=factors.ranking_movie, with_auc=True)
    return {"version": version.name, "as_of": version.as_of.isoformat(), **measured.figures, "note": NOTE}
