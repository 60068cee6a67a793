"""lenskit: BiasedMFScorer for stars, ImplicitMFScorer for lists, both with their defaults (50 factors, 10 epochs).

`user_embeddings="prefer"` takes a user's factors as they were fitted; by default each query would solve them again.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from bench.peers.protocol import Job, Split, one_by_one, write_lists


class Lenskit:
    def __init__(self, job: Job) -> None:
        als = importlib.import_module("lenskit.als")
        self.scorer_type = als.BiasedMFScorer if job.model == "rating" else als.ImplicitMFScorer
        self.options: dict[str, Any] = {"embedding_size": job.rank or 50, "epochs": job.iterations or 10}
        self.settings = ", ".join(f"{name} {value}" for name, value in self.options.items())
        self.job = job
        self.training = importlib.import_module("lenskit.training").TrainingOptions
        self.data = importlib.import_module("lenskit.data")

    def load(self, split: Split) -> None:
        self.split = split
        frame = importlib.import_module("pandas").DataFrame(
            {"user_id": split.user, "item_id": split.movie, "rating": split.rating}
        )
        self.dataset = self.data.from_interactions_df(frame)

    def fit(self) -> list[float]:
        self.scorer = self.scorer_type(**self.options, user_embeddings="prefer")
        self.scorer.train(self.dataset, self.training(rng=42))
        return []

    def top_n(self, n: int, out: Path, limit_s: float) -> None:
        pipeline = importlib.import_module("lenskit.pipeline").topn_pipeline(self.scorer, n=n)
        pipeline.train(self.dataset, self.training(rng=42, retrain=False))
        recommend = importlib.import_module("lenskit.operations").recommend
        self.listed = one_by_one(lambda user: recommend(pipeline, user, n).ids(), self.split.n_users, n, limit_s)
        write_lists(out, self.listed)

    def lists(self, n: int) -> np.ndarray:
        return self.listed

    def predict(self) -> np.ndarray | None:
        if self.job.model != "rating":
            return None
        order = np.argsort(self.split.test_user, kind="stable")
        users, first = np.unique(self.split.test_user[order], return_index=True)
        stars = np.empty(len(order), np.float32)
        for user, rows in zip(users.tolist(), np.split(order, first[1:]), strict=True):
            movies = self.data.ItemList(item_ids=self.split.test_movie[rows])
            stars[rows] = self.scorer(user, movies).scores()
        return stars


def make(job: Job) -> Lenskit:
    return Lenskit(job)
