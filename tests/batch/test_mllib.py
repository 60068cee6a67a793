"""What only the mllib engine has to show: checkpoints, the session it runs in, executors that are processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from reelstream.als.factors import ModelSettings, RatingMatrix
from reelstream.batch.engines import mllib
from reelstream.errors import UsageError
from reelstream.settings import load, to_env
from tests.fixtures.camps import camps
from tests.fixtures.spark_home import spark_home

MODEL = ModelSettings(rating_iterations=1, ranking_rank=3, ranking_iterations=1)

FIT = """
import sys
import numpy as np
from reelstream.batch.engines import mllib
from reelstream.als.factors import RatingMatrix
from reelstream.settings import load
from tests.fixtures.camps import camps
from tests.batch.test_mllib import MODEL

factors = mllib.fit(RatingMatrix.from_triples(*camps()), MODEL, load())
np.savez(sys.argv[1], *(getattr(factors, name) for name in factors.__slots__ if name not in ("settings", "transitions")))
"""


def test_runs_on_executors_that_are_processes_of_their_own(spark: SparkSession, tmp_path: Path) -> None:
    home = spark_home(tmp_path / "spark")
    settings = load(warehouse=tmp_path / "warehouse", spark_master="local-cluster[2,1,1024]")

    ran = subprocess.run(
        [sys.executable, "-c", FIT, str(tmp_path / "factors.npz")],
        env={**os.environ, **to_env(settings), "SPARK_HOME": str(home)},
        capture_output=True,
        text=True,
    )

    assert ran.returncode == 0, ran.stderr
    assert len(list(home.glob("work/app-*/*/stdout"))) == 2
    assert not list((settings.warehouse / "run").glob("als-*"))
    here = mllib.fit(RatingMatrix.from_triples(*camps()), MODEL, load(warehouse=tmp_path))
    with np.load(tmp_path / "factors.npz") as there:
        names = [name for name in here.__slots__ if name not in ("settings", "transitions")]
        for name, array in zip(names, there.values(), strict=True):
            np.testing.assert_allclose(array, getattr(here, name), rtol=0, atol=1e-3, err_msg=name)


def test_many_iterations_are_cut_by_checkpoints(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []
    remove = shutil.rmtree

    def removed(directory: str, *more: object, **options: bool) -> None:
        written.extend(Path(directory).glob("*/rdd-*/part-*"))
        remove(directory, **options)

    monkeypatch.setattr("reelstream.batch.engines.mllib.shutil.rmtree", removed)
    model = replace(MODEL, rating_iterations=25, ranking_rank=11, ranking_iterations=25)

    factors = mllib.fit(RatingMatrix.from_triples(*camps(20, 30)), model, load(warehouse=tmp_path))

    assert factors.ranking_movie.shape == (30, 11)
    assert all(np.isfinite(array).all() for array in (factors.rating_user, factors.ranking_user))
    assert len({path.parent for path in written}) == 2  # the last one of each model; ALS removes those before
    assert not list((tmp_path / "run").iterdir())


def test_a_session_of_another_thread_is_used_and_left_running(spark: SparkSession, tmp_path: Path) -> None:
    matrix = RatingMatrix.from_triples(*camps(10, 10))
    fitted = []
    thread = threading.Thread(target=lambda: fitted.append(mllib.fit(matrix, MODEL, load(warehouse=tmp_path))))

    thread.start()
    thread.join()

    assert len(fitted) == 1
    assert spark.range(3).count() == 3


def test_a_start_does_not_change_the_fit(spark: SparkSession, tmp_path: Path) -> None:
    matrix, settings = RatingMatrix.from_triples(*camps(10, 10)), load(warehouse=tmp_path)
    cold = mllib.fit(matrix, MODEL, settings)
    np.testing.assert_array_equal(mllib.fit(matrix, MODEL, settings, start=cold).rating_user, cold.rating_user)


def test_no_weight_for_unrated_pairs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ranking_alpha0 above 0"):
        mllib.fit(RatingMatrix.from_triples(*camps()), replace(MODEL, ranking_alpha0=0), load(warehouse=tmp_path))
