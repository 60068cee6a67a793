"""Spark MLlib's ALS: explicit, with its defaults, and implicitPrefs.

Not counted: the start of Spark and the DataFrame, which is cached and counted first. Its top-N, `recommendForAllUsers`,
does not leave out what a user has seen; what is ranked in the end is made of the same factors without the seen.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.ml.recommendation import ALS

from bench.peers.protocol import Job, Split
from reelstream.als.arrays import Csr
from reelstream.als.top_n import top_n
from reelstream.settings import load
from reelstream.spark_session import open_session


class Mllib:
    def __init__(self, job: Job) -> None:
        self.job = job
        options: dict[str, Any] = {"rank": job.rank or 10, "maxIter": job.iterations or 10, "seed": 42}
        if job.model == "ranking":
            options |= {"implicitPrefs": True}
        self.settings = ", ".join(f"{name} {value}" for name, value in options.items())
        self.directory = tempfile.TemporaryDirectory(prefix="reelstream-bench-")
        warehouse = Path(self.directory.name)
        self.spark = open_session(load(warehouse=warehouse, spark_master=f"local[{job.threads}]", spark_memory="4g"))
        self.spark.sparkContext.setCheckpointDir(str(warehouse / "checkpoints"))
        self.als = ALS(**options, userCol="user", itemCol="movie", ratingCol="rating")
        self.frame: Any = None

    def load(self, split: Split) -> None:
        if self.frame is not None:
            self.frame.unpersist(True)
        self.split = split
        rows = pa.table({"user": split.user, "movie": split.movie, "rating": split.rating})
        self.frame = self.spark.createDataFrame(rows).cache()
        self.frame.count()

    def fit(self) -> list[float]:
        self.model = self.als.fit(self.frame)
        return []

    def top_n(self, n: int, out: Path, limit_s: float) -> None:
        self.model.recommendForAllUsers(n).write.parquet(str(out))

    def lists(self, n: int) -> np.ndarray:
        split = self.split
        return top_n(*self._factors(), Csr.from_rows(split.user, split.movie, split.rating, split.n_users), n)[0]

    def predict(self) -> np.ndarray | None:
        if self.job.model != "rating":
            return None
        user, movie = self._factors()
        stars: np.ndarray = np.einsum("tk,tk->t", user[self.split.test_user], movie[self.split.test_movie])
        return stars

    def _factors(self) -> tuple[np.ndarray, np.ndarray]:
        """(users float32[U, K], movies float32[M, K])."""
        sizes = ((self.model.userFactors, self.split.n_users), (self.model.itemFactors, self.split.n_movies))
        user, movie = (self._dense(factors.toArrow(), n_rows) for factors, n_rows in sizes)
        return user, movie

    def _dense(self, factors: pa.Table, n_rows: int) -> np.ndarray:
        dense = np.zeros((n_rows, self.als.getRank()), np.float32)
        flat = factors["features"].combine_chunks().flatten().to_numpy()
        dense[factors["id"].to_numpy()] = flat.reshape(-1, self.als.getRank())
        return dense


def make(job: Job) -> Mllib:
    return Mllib(job)
