"""What both sides of a comparison agree on: the arrays between them, and what a contestant can do.

In: a split as arrays. Out: lists and predictions as arrays. Next: `worker` has them made, `compare` measures them.
Users and movies are positions 0, 1, …: all of them are in the training ratings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

AT_HOME = ("ours", "mllib")
"""They run in reelstream's environment, the others in that of the peers."""
INSTALL = """Install the peers, then give --peers-python peers/bin/python:
    python -m venv peers && peers/bin/pip install -r requirements/peers.txt"""
SCALE = 0.5, 5.0
"""Stars."""


class Job(NamedTuple):
    """One contestant: a model of a library. rank, iterations: None is what its class takes for the best."""

    library: str
    model: str  # rating (predicts stars) or ranking (orders lists)
    variant: str = ""
    rank: int | None = None
    iterations: int | None = None
    threads: int = 1

    @property
    def name(self) -> str:
        return " ".join(part for part in (self.library, self.model, self.variant) if part)


class Split(NamedTuple):
    """L training ratings, sorted by user, then movie, and T pairs to predict."""

    user: np.ndarray  # int32[L]
    movie: np.ndarray  # int32[L]
    rating: np.ndarray  # float32[L], stars
    test_user: np.ndarray  # int32[T]
    test_movie: np.ndarray  # int32[T]

    @property
    def shape(self) -> tuple[int, int]:
        """(users, movies)."""
        return int(self.user[-1]) + 1, int(self.movie.max()) + 1

    def seen(self, user: int) -> np.ndarray:
        """The movies that the user has rated."""
        first, end = np.searchsorted(self.user, [user, user + 1])
        return self.movie[first:end]


class Contestant:
    """A model of a library, made of a Job."""

    options: dict[str, Any]
    """What it was fitted with, for the reader of the report."""

    def load(self, split: Split) -> None:
        """Makes of the arrays what the library's fit takes. Not counted."""
        self.split = split
        self.listed: np.ndarray | None = None

    def fit(self) -> list[float]:
        """Fits anew. Returns the seconds of single iterations where the library tells them, else nothing."""
        raise NotImplementedError

    def top_n(self, n: int, out: Path) -> None:
        """Writes the best n movies of every user to Parquet; this way, a user at a time.

        >>> contestant, split = Contestant(), Split(np.array([0, 0, 2]), np.array([3, 1, 0]), *[np.zeros(1)] * 3)
        >>> contestant.load(split)
        >>> contestant.best = lambda user, n: split.seen(user)[:n]
        >>> contestant.top_n(2, Path("/dev/null"))
        >>> split.shape, contestant.lists(2).tolist()
        ((3, 4), [[3, 1], [-1, -1], [0, -1]])
        """
        positions = np.full((self.split.shape[0], n), -1, np.int32)
        for user in range(len(positions)):
            movies = self.best(user, n)
            positions[user, : len(movies)] = movies
        self.write(out, positions)

    def best(self, user: int, n: int) -> np.ndarray:
        """A user's best movies, at most n, where the library makes lists a user at a time."""
        raise NotImplementedError

    def write(self, out: Path, positions: np.ndarray, scores: np.ndarray | None = None) -> None:
        """Rows of user, rank, movie and, where given, score: positions int[U, n], -1 for none; scores float[U, n]."""
        user, place = np.nonzero(positions >= 0)
        columns = {"user": user.astype(np.int32), "rank": place.astype(np.int32) + 1, "movie": positions[user, place]}
        if scores is not None:
            columns["score"] = scores[user, place]
        pq.write_table(pa.table(columns), out)
        self.listed = np.asarray(positions, np.int32)

    def lists(self, n: int) -> np.ndarray | None:
        """int32[U, n] after `top_n`, best first, without what the user has seen, -1 for none. Not counted."""
        return self.listed

    def predict(self) -> np.ndarray:
        """Stars of the test pairs, float32[T], as the library has them. Not counted."""
        raise NotImplementedError
