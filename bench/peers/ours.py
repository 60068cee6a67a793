"""What runs in reelstream's own environment: ours, and Spark MLlib.

In: a job. Out: the library as a Contestant. Next: `worker` has it take its turns.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.ml.recommendation import ALS

from bench.peers.protocol import Contestant, Job, Split
from reelstream.als import top_n
from reelstream.als.__main__ import compile_kernels
from reelstream.als.arrays import Csr
from reelstream.als.factors import ModelSettings, RatingMatrix
from reelstream.als.fit import fit
from reelstream.settings import load
from reelstream.spark_session import open_session

LEAST = {"ranking": {"rating_rank": 0, "rating_iterations": 1}, "rating": {"ranking_rank": 1, "ranking_iterations": 1}}


class OursContestant(Contestant):
    """The shipped defaults, or the rank and all of the iterations that were asked for.

    The fit starts at the triples: sorting them into rows is counted, since most peers do that inside their fit. One model
    is fitted at a time: the other is set to the least there is, which costs ours a few hundredths.
    """

    def __init__(self, job: Job) -> None:
        asked: dict[str, Any] = dict(LEAST[job.model])
        if job.rank is not None:
            asked[f"{job.model}_rank"] = job.rank
        if job.iterations is not None:
            asked |= {f"{job.model}_iterations": job.iterations, "tolerance": 0.0}
        self.job, self.settings = job, ModelSettings(**asked)
        shown = (job.model, "tolerance")
        self.options = {name: value for name, value in self.settings.to_dict().items() if name.startswith(shown)}

    def load(self, split: Split) -> None:
        super().load(split)
        compile_kernels()

    def fit(self) -> list[float]:
        ends: list[float] = []

        def progress(what: str, _done: int, _of: int) -> None:
            if what.startswith(self.job.model):
                ends.append(time.perf_counter())

        self.matrix = RatingMatrix.from_triples(*self.split[:3])
        self.factors = fit(self.matrix, self.settings, threads=self.job.threads, progress=progress)
        self.options["iterations made"] = len(ends)
        return np.diff(ends).tolist()

    def top_n(self, n: int, out: Path) -> None:
        if self.job.model == "ranking":
            users, movies, seen = self.factors.ranking_user, self.factors.ranking_movie, self.matrix.by_user
            self.write(out, *top_n.top_n(users, movies, seen, n, threads=self.job.threads))

    def predict(self) -> np.ndarray:
        factors, user = self.factors, self.split.test_user
        return top_n.predict(factors, factors.user_bias[user], factors.rating_user[user], self.split.test_movie)


class MllibContestant(Contestant):
    """Spark's ALS: explicit, with its defaults, and implicitPrefs.

    Not counted: the start of Spark and the DataFrame, which is cached and counted first. Its top-N, `recommendForAllUsers`,
    does not leave out what a user has seen; what is ranked in the end is made of the same factors without the seen.
    """

    def __init__(self, job: Job) -> None:
        self.options = {"rank": job.rank or 10, "maxIter": job.iterations or 10, "seed": 42}
        self.options |= {"implicitPrefs": True} if job.model == "ranking" else {}
        self.directory = tempfile.TemporaryDirectory(prefix="reelstream-bench-")
        settings = {"spark_master": f"local[{job.threads}]", "spark_memory": "4g"}
        self.spark = open_session(load(warehouse=Path(self.directory.name), **settings))
        self.spark.sparkContext.setCheckpointDir(f"{self.directory.name}/checkpoints")
        self.als = ALS(**self.options, userCol="user", itemCol="movie", ratingCol="rating")

    def load(self, split: Split) -> None:
        super().load(split)
        self.spark.catalog.clearCache()
        rows = pa.table({"user": split.user, "movie": split.movie, "rating": split.rating})
        self.frame = self.spark.createDataFrame(rows).cache()
        self.frame.count()

    def fit(self) -> list[float]:
        self.model = self.als.fit(self.frame)
        return []

    def top_n(self, n: int, out: Path) -> None:
        self.model.recommendForAllUsers(n).write.parquet(str(out))

    def lists(self, n: int) -> np.ndarray:
        users, movies = self._factors()
        return top_n.top_n(users, movies, Csr.from_rows(*self.split[:3], len(users)), n)[0]

    def predict(self) -> np.ndarray:
        users, movies = self._factors()
        return np.asarray(np.einsum("tk,tk->t", users[self.split.test_user], movies[self.split.test_movie]))

    def _factors(self) -> tuple[np.ndarray, ...]:
        """(users float32[U, K], movies float32[M, K])."""
        both = tuple(np.zeros((rows, self.options["rank"]), np.float32) for rows in self.split.shape)
        for dense, factors in zip(both, (self.model.userFactors, self.model.itemFactors), strict=True):
            table = factors.toArrow()
            dense[table["id"].to_numpy()] = np.stack(table["features"].to_numpy())
        return both
