"""What `bench.prequential` runs beside reelstream, each learning rating by rating.

In: one rating at a time; users and movies are positions. Out: scores of all movies for a user, and predicted stars. Next:
`bench.prequential` counts hits and errors. `river` and `implicit` need the package of that name; each has the settings of its
own documentation.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from reelstream.als.arrays import F32
from reelstream.stream.recent_popularity import HALF_LIFE


class Peer:
    """One that recommends nothing."""

    def __init__(self, n_users: int, n_movies: int, liked_from: float) -> None:
        self.n_users, self.n_movies, self.liked_from = n_users, n_movies, liked_from
        self.rated: list[dict[int, float]] = [{} for _ in range(n_users)]
        """movie → stars of each user, what was rated last at the end."""
        self.sums, self.counts = np.zeros(n_movies, np.float32), np.zeros(n_movies, np.int64)
        """Of the ratings of each movie."""

    def scores(self, user: int) -> F32:
        """float32[M]; those of movies that the user has rated do not count."""
        return np.full(self.n_movies, -np.inf, np.float32)

    def stars(self, user: int, movie: int) -> float | None:
        """Predicted; None where it predicts none."""
        return None

    def learn(self, user: int, movie: int, stars: float) -> None:
        before = self.rated[user].pop(movie, None)
        self.rated[user][movie] = stars
        self.sums[movie] += stars - (before or 0)
        self.counts[movie] += before is None

    def refit(self) -> None:
        """Called every so many ratings."""


class Popularity(Peer):
    """By the sum of all stars."""

    def scores(self, user: int) -> F32:
        return self.sums


class Recent(Peer):
    """Popularity that forgets exponentially."""

    def __init__(self, n_users: int, n_movies: int, liked_from: float) -> None:
        super().__init__(n_users, n_movies, liked_from)
        self.weight, self.weights = 1.0, np.zeros(n_movies)

    def scores(self, user: int) -> F32:
        found: F32 = (self.weights / self.weight).astype(np.float32)
        return found

    def learn(self, user: int, movie: int, stars: float) -> None:
        super().learn(user, movie, stars)
        self.weight *= 2 ** (1 / HALF_LIFE)
        self.weights[movie] += self.weight
        if self.weight > 1e100:
            self.weights /= self.weight
            self.weight = 1.0


class ItemNeighbours(Peer):
    """Incremental item-based neighbourhood by the cosine of who rated what (Papagelis, Rousidis, Plexousakis,
    Theoharopoulos, "Incremental Collaborative Filtering for Highly-Scalable Recommendation Algorithms", ISMIS 2005)."""

    def __init__(self, n_users: int, n_movies: int, liked_from: float) -> None:
        super().__init__(n_users, n_movies, liked_from)
        self.together = np.zeros((n_movies, n_movies), np.float32)

    def scores(self, user: int) -> F32:
        rated = np.fromiter(self.rated[user], np.int64, len(self.rated[user]))
        if not len(rated):
            return self.sums
        damped: F32 = (np.maximum(self.counts, 1) ** -0.5).astype(np.float32)  # [M]
        found: F32 = (damped[rated] @ self.together[rated]) * damped
        return found

    def learn(self, user: int, movie: int, stars: float) -> None:
        if movie not in self.rated[user]:
            rated = np.fromiter(self.rated[user], np.int64, len(self.rated[user]))
            self.together[movie, rated] += 1
            self.together[rated, movie] += 1
        super().learn(user, movie, stars)


class IncrementalSgd(Peer):
    """ISGD on liked movies alone, with the learning rate and the regularisation of Vinagre, Jorge, Gama, "Fast incremental
    matrix factorization for recommendation with positive-only feedback", UMAP 2014."""

    FACTORS, RATE, REGULARIZATION = 64, 0.05, 0.01

    def __init__(self, n_users: int, n_movies: int, liked_from: float) -> None:
        super().__init__(n_users, n_movies, liked_from)
        rng = np.random.default_rng(0)
        self.p, self.q = (rng.normal(0, 0.1, (n, self.FACTORS)).astype(np.float32) for n in (n_users, n_movies))

    def scores(self, user: int) -> F32:
        """The closer to 1 the better."""
        found: F32 = -np.abs(1 - self.q @ self.p[user])
        return np.where(self.counts > 0, found, -np.inf).astype(np.float32)

    def learn(self, user: int, movie: int, stars: float) -> None:
        super().learn(user, movie, stars)
        if stars < self.liked_from:
            return
        p, q = self.p[user], self.q[movie]
        error = 1 - p @ q
        self.p[user] += self.RATE * (error * q - self.REGULARIZATION * p)
        self.q[movie] += self.RATE * (error * self.p[user] - self.REGULARIZATION * q)


class River(Peer):
    """river's BiasedMF: stars alone."""

    def __init__(self, n_users: int, n_movies: int, liked_from: float) -> None:
        super().__init__(n_users, n_movies, liked_from)
        optim, reco = import_module("river.optim"), import_module("river.reco")
        normal = optim.initializers.Normal(mu=0.0, sigma=0.1, seed=73)
        rates = {"bias_optimizer": optim.SGD(0.025), "latent_optimizer": optim.SGD(0.05)}
        self.model = reco.BiasedMF(
            n_factors=10, **rates, weight_initializer=optim.initializers.Zeros(), latent_initializer=normal
        )

    def stars(self, user: int, movie: int) -> float:
        return float(self.model.predict_one(user=user, item=movie))

    def learn(self, user: int, movie: int, stars: float) -> None:
        super().learn(user, movie, stars)
        self.model.learn_one(user=user, item=movie, y=stars)


class Implicit(Peer):
    """implicit's ALS, refitted as often as reelstream; between refits a user's vector is computed from all ratings."""

    def __init__(self, n_users: int, n_movies: int, liked_from: float) -> None:
        super().__init__(n_users, n_movies, liked_from)
        self.model: Any = None

    def scores(self, user: int) -> F32:
        if self.model is None or not self.rated[user]:
            return self.sums
        return np.asarray(
            self.model.item_factors @ self.model.recalculate_user(0, self._matrix([user])), np.float32
        ).ravel()

    def refit(self) -> None:
        als = import_module("implicit.cpu.als").AlternatingLeastSquares
        self.model = als(factors=64, random_state=0, num_threads=1)
        self.model.fit(self._matrix(range(self.n_users)), show_progress=False)

    def _matrix(self, users: Any) -> Any:
        entries = [(row, movie, stars) for row, user in enumerate(users) for movie, stars in self.rated[user].items()]
        row, movie, stars = (np.array(column) for column in zip(*entries, strict=True))
        return import_module("scipy.sparse").csr_matrix(
            (stars.astype(np.float32), (row, movie)), shape=(len(users), self.n_movies)
        )


PEERS: dict[str, type[Peer]] = {
    "popularity": Popularity,
    "recent": Recent,
    "iknn": ItemNeighbours,
    "isgd": IncrementalSgd,
    "river": River,
    "implicit": Implicit,
}
