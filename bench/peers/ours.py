"""Ours. The fit starts at the triples: sorting them into rows is counted, since most peers do that inside their fit.

One model is fitted at a time: the other is set to the least there is, which costs ours a few hundredths.
"""

from __future__ import annotations

import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from bench.peers.protocol import Job, Split, write_lists
from reelstream.als import top_n
from reelstream.als.__main__ import compile_kernels
from reelstream.als.factors import Factors, ModelSettings, RatingMatrix
from reelstream.als.fit import fit

LEAST = {
    "rating": {"ranking_rank": 1, "ranking_iterations": 1},
    "ranking": {"rating_rank": 0, "rating_iterations": 1},
}


class Ours:
    def __init__(self, job: Job) -> None:
        self.job = job
        self.model = model_settings(job)
        self.asked = self.settings = ", ".join(
            f"{name} {value}" for name, value in self.model.to_dict().items() if job.model in name
        )

    def load(self, split: Split) -> None:
        warm_up()
        self.split = split

    def fit(self) -> list[float]:
        ends: list[float] = []

        def progress(what: str, _done: int, _of: int) -> None:
            if what.startswith(self.job.model):
                ends.append(time.perf_counter())

        split = self.split
        self.matrix = RatingMatrix.from_triples(split.user, split.movie, split.rating)
        self.factors: Factors = fit(self.matrix, self.model, threads=self.job.threads, progress=progress)
        self.settings = f"{self.asked}; {len(ends)} iterations were made"
        return np.diff(ends).tolist()

    def top_n(self, n: int, out: Path, limit_s: float) -> None:
        if self.job.model == "ranking":
            user, movie, seen = self.factors.ranking_user, self.factors.ranking_movie, self.matrix.by_user
            self.listed, scores = top_n.top_n(user, movie, seen, n, threads=self.job.threads)
            write_lists(out, self.listed, scores)

    def lists(self, n: int) -> np.ndarray | None:
        return self.listed if self.job.model == "ranking" else None

    def predict(self) -> np.ndarray | None:
        if self.job.model != "rating":
            return None
        factors, user = self.factors, self.split.test_user
        return top_n.predict(factors, factors.user_bias[user], factors.rating_user[user], self.split.test_movie)


def warm_up() -> None:
    """Compiles the kernels, which is not counted."""
    compile_kernels()


def model_settings(job: Job) -> ModelSettings:
    """The shipped defaults, or the rank and all of the iterations that were asked for."""
    asked: dict[str, Any] = dict(LEAST[job.model])
    if job.rank is not None:
        asked[f"{job.model}_rank"] = job.rank
    if job.iterations is not None:
        asked[f"{job.model}_iterations"] = job.iterations
        if "tolerance" in {field.name for field in fields(ModelSettings)}:
            asked["tolerance"] = 0.0
    return ModelSettings(**asked)


def make(job: Job) -> Ours:
    return Ours(job)
