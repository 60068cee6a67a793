"""The libraries of the peers' environment: implicit, cmfrec, LensKit and Surprise.

In: a job. Out: the library as a Contestant. Next: `worker` has it take its turns.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from bench.peers.protocol import SCALE, Contestant, Job, Split


class ImplicitContestant(Contestant):
    """AlternatingLeastSquares with its default solver, conjugate gradients.

    Confidence, α and regularization are those that did best on MovieLens' latest small data set among 48 that were tried.
    """

    def __init__(self, job: Job) -> None:
        als, self.matrix = import_module("implicit.cpu.als"), import_module("scipy.sparse").csr_matrix
        options = {"factors": job.rank or 64, "iterations": job.iterations or 10, "alpha": 3.0, "regularization": 10.0}
        self.new = partial(als.AlternatingLeastSquares, **options, num_threads=job.threads, random_state=42)
        self.options = {**options, "confidence": "(r / 5)²"}

    def load(self, split: Split) -> None:
        super().load(split)
        confidence = (split.rating / np.float32(SCALE[1])) ** 2
        self.rows = self.matrix((confidence, (split.user, split.movie)), shape=split.shape)

    def fit(self) -> list[float]:
        seconds: list[float] = []
        self.als = self.new()
        self.als.fit(self.rows, show_progress=False, callback=lambda _iteration, took, _loss: seconds.append(took))
        return seconds

    def top_n(self, n: int, out: Path) -> None:
        self.write(out, *self.als.recommend(np.arange(self.split.shape[0]), self.rows, N=n))


class CmfrecContestant(Contestant):
    """CMF by alternating least squares, by its default, conjugate gradients, or exactly (variant "exact")."""

    def __init__(self, job: Job) -> None:
        cmf, self.matrix = import_module("cmfrec").CMF, import_module("scipy.sparse").coo_matrix
        self.options = {"k": job.rank or 60, "niter": job.iterations or 20, "lambda_": 0.1, "scale_lam": True}
        self.options["use_cg"] = job.variant != "exact"
        more: dict[str, Any] = {"user_bias": True, "item_bias": True, "random_state": 42, "verbose": False}
        more["precompute_for_predictions"] = False  # of use for new users alone, and it takes time
        self.new = partial(cmf, **self.options, **more, nthreads=job.threads)

    def load(self, split: Split) -> None:
        super().load(split)
        self.rows = self.matrix((split.rating, (split.user, split.movie)), shape=split.shape)

    def fit(self) -> list[float]:
        self.cmf = self.new().fit(self.rows)
        return []

    def best(self, user: int, n: int) -> np.ndarray:
        return np.asarray(self.cmf.topN(user=user, n=n, exclude=self.split.seen(user)))

    def predict(self) -> np.ndarray:
        return np.asarray(self.cmf.predict(self.split.test_user, self.split.test_movie))


class LenskitContestant(Contestant):
    """BiasedMFScorer for stars, ImplicitMFScorer for lists, both with their defaults (50 factors, 10 epochs).

    `user_embeddings="prefer"` takes a user's factors as they were fitted; by default each query would solve them again.
    """

    def __init__(self, job: Job) -> None:
        als, self.data, self.operations = (import_module(f"lenskit.{name}") for name in ("als", "data", "operations"))
        self.pipelines, self.training = (import_module(f"lenskit.{name}") for name in ("pipeline", "training"))
        self.frame = import_module("pandas").DataFrame
        self.scorer_type = als.BiasedMFScorer if job.model == "rating" else als.ImplicitMFScorer
        self.options = {"embedding_size": job.rank or 50, "epochs": job.iterations or 10}

    def load(self, split: Split) -> None:
        super().load(split)
        columns = {"user_id": split.user, "item_id": split.movie, "rating": split.rating}
        self.dataset = self.data.from_interactions_df(self.frame(columns))

    def fit(self) -> list[float]:
        self.scorer = self.scorer_type(**self.options, user_embeddings="prefer")
        self.scorer.train(self.dataset, self.training.TrainingOptions(rng=42))
        return []

    def top_n(self, n: int, out: Path) -> None:
        self.pipeline = self.pipelines.topn_pipeline(self.scorer, n=n)
        self.pipeline.train(self.dataset, self.training.TrainingOptions(rng=42, retrain=False))
        super().top_n(n, out)

    def best(self, user: int, n: int) -> np.ndarray:
        return np.asarray(self.operations.recommend(self.pipeline, user, n).ids()[:n])

    def predict(self) -> np.ndarray:
        order = np.argsort(self.split.test_user, kind="stable")
        users, first = np.unique(self.split.test_user[order], return_index=True)
        stars = np.empty(len(order), np.float32)
        for user, rows in zip(users.tolist(), np.split(order, first[1:]), strict=True):
            stars[rows] = self.scorer(user, self.data.ItemList(item_ids=self.split.test_movie[rows])).scores()
        return stars


class SurpriseContestant(Contestant):
    """SVD with its defaults (100 factors, 20 epochs of stochastic gradient descent, on one thread)."""

    def __init__(self, job: Job) -> None:
        self.surprise, self.frame = import_module("surprise"), import_module("pandas").DataFrame
        self.options = {"n_factors": job.rank or 100, "n_epochs": job.iterations or 20}

    def load(self, split: Split) -> None:
        super().load(split)
        frame = self.frame({"user": split.user, "movie": split.movie, "rating": split.rating})
        ratings = self.surprise.Dataset.load_from_df(frame, self.surprise.Reader(rating_scale=SCALE))
        self.trainset = ratings.build_full_trainset()
        self.inner_user = [self.trainset.to_inner_uid(user) for user in range(split.shape[0])]
        self.inner_movie = [self.trainset.to_inner_iid(movie) for movie in range(split.shape[1])]

    def fit(self) -> list[float]:
        self.svd = self.surprise.SVD(**self.options, random_state=42)
        self.svd.fit(self.trainset)
        return []

    def best(self, user: int, n: int) -> np.ndarray:
        scores = np.array([self.svd.estimate(self.inner_user[user], movie) for movie in self.inner_movie])
        scores[self.split.seen(user)] = -np.inf
        order = np.argsort(-scores, kind="stable")
        return np.asarray(order[np.isfinite(scores[order])][:n])

    def predict(self) -> np.ndarray:
        pairs = zip(self.split.test_user.tolist(), self.split.test_movie.tolist(), strict=True)
        stars = [self.svd.estimate(self.inner_user[user], self.inner_movie[movie]) for user, movie in pairs]
        return np.array(stars, np.float32)
