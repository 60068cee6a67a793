"""Tunes with real Spark, on the ratings of two camps: small enough that a trial takes milliseconds."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from reelstream.als.factors import ModelSettings
from reelstream.als.fit import fit
from reelstream.als.metrics import evaluate
from reelstream.batch.evaluation.evaluate import RatingColumns, matrix_for
from reelstream.batch.evaluation.search_space import MODELS, SETTINGS, parse
from reelstream.batch.evaluation.trials import TRIALS
from reelstream.batch.evaluation.tune import SplitRule, Tuned, fingerprint, tune
from reelstream.errors import DamagedStore, UsageError
from reelstream.settings import load
from tests.batch.small import SMALL
from tests.fixtures.camps import camps

GRID = ("rating_regularization=0.05,0.5", "ranking_alpha0=0.1,0.3,1")
USER_TIME = SplitRule()


def ratings() -> RatingColumns:
    """1,000 or so, each user's in a random order of time."""
    user_id, movie_id, stars = camps()
    return RatingColumns(user_id, movie_id, stars, np.random.default_rng(1).permutation(len(stars)).astype(np.int64))


def tuned(
    out: Path, *words: str, given: RatingColumns | None = None, by: SplitRule = USER_TIME, seen: list[Any] | None = None
) -> Tuned:
    """With the settings SMALL in use; each call of `progress` goes to `seen`."""

    def progress(row: dict[str, Any] | None, done: int, of: int) -> None:
        if seen is not None:
            seen.append((row and row["trial"], done, of))

    settings = load(warehouse=out / "no-warehouse")
    return tune(given or ratings(), parse(words or GRID), SMALL, out, settings, by=by, progress=progress)


def table(out: Path) -> list[dict[str, Any]]:
    return list(pq.read_table(out / "trials", schema=TRIALS).to_pylist())


def figures(train: RatingColumns, test: RatingColumns, settings: ModelSettings) -> dict[str, Any]:
    """What a fit of both models on `train` is worth on `test`, without Spark."""
    matrix = matrix_for(train, test)
    return evaluate(fit(matrix, settings), matrix, test.user_id, test.movie_id, test.rating)


def test_a_tune_compares_on_validation_and_measures_the_winner_on_the_test(spark: SparkSession, tmp_path: Path) -> None:
    seen: list[Any] = []
    found = tuned(tmp_path, seen=seen)

    rows = {row["trial"]: row for row in table(tmp_path)}
    assert len(rows) == len(found.rows) == 6  # (0.07), 0.05, 0.5 and 0.1, 0.3, 1
    assert seen[0] == (None, 0, 6)
    assert {trial for trial, _, _ in seen[1:]} == rows.keys()
    assert [done for _, done, _ in seen] == list(range(7))
    known, test = SplitRule().of(ratings())
    fitted, held_out = SplitRule().of(known)
    for row in rows.values():
        expected = figures(fitted, held_out, replace(SMALL, **{name: row[name] for name in SETTINGS[row["model"]]}))
        assert row["error"] is None
        for name in ("rmse", "mae") if row["model"] == "rating" else ("ndcg_at_10", "recall_at_10"):
            assert row[name] == pytest.approx(expected[name], abs=1e-6)
        for name in SETTINGS["ranking" if row["model"] == "rating" else "rating"]:
            assert row[name] is None
        assert row["fit_seconds"] > 0
        assert row["started_at"].tzinfo is not None
    best = {name: found.best[name] for name in MODELS}
    assert best["rating"]["rmse"] == min(row["rmse"] for row in rows.values() if row["rmse"] is not None)
    assert best["ranking"]["ndcg_at_10"] == max(r["ndcg_at_10"] for r in rows.values() if r["ndcg_at_10"] is not None)
    assert found.winner == replace(
        SMALL,
        rating_regularization=best["rating"]["rating_regularization"],
        ranking_alpha0=best["ranking"]["ranking_alpha0"],
    )
    on_test = figures(known, test, found.winner)
    assert found.test["winner"]["rmse"] == pytest.approx(on_test["rmse"], abs=1e-6)
    assert found.test["popularity"] == on_test["baselines"]["popularity"]
    assert found.test["bias_only"] == on_test["baselines"]["bias_only"]
    assert found.test["defaults"]["rmse"] == pytest.approx(figures(known, test, ModelSettings())["rmse"], abs=1e-6)
    assert found.info["test_ratings"] == len(test)


def test_a_second_tune_runs_only_what_is_new(spark: SparkSession, tmp_path: Path) -> None:
    before = {row["trial"]: row for row in tuned(tmp_path, "rating_rank=1,2").rows}
    seen: list[Any] = []

    found = tuned(tmp_path, "rating_rank=1,2,5", seen=seen)

    assert seen[0] == (None, 3, 4)
    assert len(seen) == 2
    assert found.kept == 3
    after = {row["trial"]: row for row in table(tmp_path)}
    assert len(after) == 4
    assert {name: after[name] for name in before} == before
    assert tuned(tmp_path, "rating_rank=1,2,5").kept == 4


def test_other_ratings_or_another_split_are_other_trials(spark: SparkSession, tmp_path: Path) -> None:
    tuned(tmp_path, "rating_rank=1")

    fewer = ratings().rows(np.arange(1, len(ratings())))
    assert tuned(tmp_path, "rating_rank=1", given=fewer).kept == 0
    assert tuned(tmp_path, "rating_rank=1", by=SplitRule("time")).kept == 0
    assert tuned(tmp_path, "rating_rank=1", by=SplitRule("random", seed=1)).kept == 0
    assert tuned(tmp_path, "rating_rank=1", by=SplitRule("random", seed=2)).kept == 0
    assert len(table(tmp_path)) == 10


def test_times_count_only_where_the_split_looks_at_them() -> None:
    mine = ratings()
    later = replace(mine, rated_at_ms=mine.rated_at_ms + 1)

    assert fingerprint(mine, SplitRule("random")) == fingerprint(later, SplitRule("random"))
    assert fingerprint(mine, SplitRule("time")) != fingerprint(later, SplitRule("time"))


def test_a_trial_that_fails_is_a_row_with_its_error_and_runs_again(spark: SparkSession, tmp_path: Path) -> None:
    found = tuned(tmp_path, "rating_regularization=0,0.05", "ranking_rank=-1")

    errors = {row["error"]: row for row in table(tmp_path) if row["error"]}
    assert set(errors) == {
        "rating_regularization is 0.0; set it to a number above 0.",
        "ranking_rank is -1; set it to 1 or more.",
    }
    assert all(row["rmse"] is None and row["fit_seconds"] is None for row in errors.values())
    assert len(table(tmp_path)) == 5
    assert found.winner.ranking_rank == SMALL.ranking_rank
    assert tuned(tmp_path, "rating_regularization=0,0.05", "ranking_rank=-1").kept == 3


def test_a_tune_of_which_every_trial_fails_says_so(spark: SparkSession, tmp_path: Path) -> None:
    disliked = replace(ratings(), rating=np.minimum(ratings().rating, np.float32(3)))

    with pytest.raises(UsageError, match="every trial of the ranking model failed; the first: it cannot be measured"):
        tuned(tmp_path, "ranking_rank=2", given=disliked)


def test_a_row_that_cannot_be_read_is_said_to_be(spark: SparkSession, tmp_path: Path) -> None:
    name = tuned(tmp_path, "rating_rank=1").rows[0]["trial"]
    (tmp_path / "trials" / f"{name}.parquet").write_bytes(b"PAR1")

    with pytest.raises(DamagedStore, match=rf"{name}\.parquet .* delete it"):
        tuned(tmp_path, "rating_rank=1")


@pytest.mark.parametrize(
    ("by", "says"),
    [
        (SplitRule("newest"), "'newest'"),
        (SplitRule(test_fraction=1.5), "1.5"),
        (SplitRule("time", test_fraction=1e-9), "ratings leave"),
    ],
)
def test_a_split_that_does_not_fit_is_refused(tmp_path: Path, by: SplitRule, says: str) -> None:
    with pytest.raises(UsageError, match=re.escape(says)):
        tuned(tmp_path, by=by)
