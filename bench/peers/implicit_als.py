"""implicit: AlternatingLeastSquares with its default solver, conjugate gradients.

Confidence, α and regularisation are those that did best on MovieLens' latest small data set among 48 that were tried.
"""

from __future__ import annotations

import importlib
from functools import partial
from pathlib import Path

import numpy as np

from bench.peers.protocol import SCALE, Job, Split, write_lists


class Implicit:
    def __init__(self, job: Job) -> None:
        als = importlib.import_module("implicit.cpu.als").AlternatingLeastSquares
        options = {"factors": job.rank or 64, "iterations": job.iterations or 10, "alpha": 3.0, "regularization": 10.0}
        self.new = partial(als, **options, num_threads=job.threads, random_state=42)
        self.settings = ", ".join(f"{name} {value}" for name, value in options.items()) + ", confidence (r / 5)²"

    def load(self, split: Split) -> None:
        csr_matrix = importlib.import_module("scipy.sparse").csr_matrix
        confidence = (split.rating / np.float32(SCALE[1])) ** 2
        self.rows = csr_matrix((confidence, (split.user, split.movie)), shape=(split.n_users, split.n_movies))

    def fit(self) -> list[float]:
        seconds: list[float] = []

        def tell(_iteration: int, took: float, _loss: object) -> None:
            seconds.append(took)

        self.als = self.new()
        self.als.fit(self.rows, show_progress=False, callback=tell)
        return seconds

    def top_n(self, n: int, out: Path, limit_s: float) -> None:
        positions, scores = self.als.recommend(np.arange(self.rows.shape[0]), self.rows, N=n)
        write_lists(out, positions, scores)
        self.listed = np.asarray(positions, np.int32)

    def lists(self, n: int) -> np.ndarray:
        return self.listed

    def predict(self) -> None:
        return None


def make(job: Job) -> Implicit:
    return Implicit(job)
