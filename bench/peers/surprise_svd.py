"""surprise: SVD with its defaults (100 factors, 20 epochs of stochastic gradient descent, on one thread)."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np

from bench.peers.protocol import SCALE, Job, Split, one_by_one, write_lists


class SurpriseSvd:
    def __init__(self, job: Job) -> None:
        self.surprise = importlib.import_module("surprise")
        self.options = {"n_factors": job.rank or 100, "n_epochs": job.iterations or 20}
        self.settings = ", ".join(f"{name} {value}" for name, value in self.options.items())

    def load(self, split: Split) -> None:
        self.split = split
        frame = importlib.import_module("pandas").DataFrame(
            {"user": split.user, "movie": split.movie, "rating": split.rating}
        )
        reader = self.surprise.Reader(rating_scale=SCALE)
        self.trainset = self.surprise.Dataset.load_from_df(frame, reader).build_full_trainset()

    def fit(self) -> list[float]:
        self.svd = self.surprise.SVD(**self.options, random_state=42)
        self.svd.fit(self.trainset)
        return []

    def top_n(self, n: int, out: Path, limit_s: float) -> None:
        inner = [self.trainset.to_inner_iid(movie) for movie in range(self.split.n_movies)]

        def best(user: int) -> np.ndarray:
            row = self.trainset.to_inner_uid(user)
            scores = np.array([self.svd.estimate(row, movie) for movie in inner])
            scores[self.split.seen(user)] = -np.inf
            return np.argsort(-scores, kind="stable")[:n]

        self.listed = one_by_one(best, self.split.n_users, n, limit_s)
        write_lists(out, self.listed)

    def lists(self, n: int) -> np.ndarray:
        return self.listed

    def predict(self) -> np.ndarray:
        pairs = zip(self.split.test_user.tolist(), self.split.test_movie.tolist(), strict=True)
        to_user, to_movie = self.trainset.to_inner_uid, self.trainset.to_inner_iid
        return np.array([self.svd.estimate(to_user(user), to_movie(movie)) for user, movie in pairs], np.float32)


def make(job: Job) -> SurpriseSvd:
    return SurpriseSvd(job)
