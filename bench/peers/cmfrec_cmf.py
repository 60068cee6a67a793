"""cmfrec: CMF by alternating least squares, by its default, conjugate gradients, or exactly (variant "exact")."""

from __future__ import annotations

import importlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.peers.protocol import Job, Split, one_by_one, write_lists


class Cmfrec:
    def __init__(self, job: Job) -> None:
        cmf = importlib.import_module("cmfrec").CMF
        options: dict[str, Any] = {"k": job.rank or 60, "niter": job.iterations or 20, "lambda_": 0.1}
        options |= {"scale_lam": True, "use_cg": job.variant != "exact"}
        self.settings = ", ".join(f"{name} {value}" for name, value in options.items())
        self.new = partial(
            cmf,
            **options,
            user_bias=True,
            item_bias=True,
            precompute_for_predictions=False,  # of use for new users alone, and it takes time
            nthreads=job.threads,
            random_state=42,
            verbose=False,
        )

    def load(self, split: Split) -> None:
        self.split = split
        coo_matrix = importlib.import_module("scipy.sparse").coo_matrix
        self.rows = coo_matrix((split.rating, (split.user, split.movie)), shape=(split.n_users, split.n_movies))

    def fit(self) -> list[float]:
        self.cmf = self.new()
        self.cmf.fit(self.rows)
        return []

    def top_n(self, n: int, out: Path, limit_s: float) -> None:
        def best(user: int) -> np.ndarray:
            movies: np.ndarray = self.cmf.topN(user=user, n=n, exclude=self.split.seen(user))
            return movies

        self.listed = one_by_one(best, self.split.n_users, n, limit_s)
        write_lists(out, self.listed)

    def lists(self, n: int) -> np.ndarray:
        return self.listed

    def predict(self) -> np.ndarray:
        stars: np.ndarray = self.cmf.predict(self.split.test_user, self.split.test_movie)
        return stars


def make(job: Job) -> Cmfrec:
    return Cmfrec(job)
