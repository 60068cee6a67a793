"""What both sides of a comparison agree on: the files between them, and what a contestant can do.

In: a split as arrays. Out: lists and predictions as arrays. Next: `worker` serves it, `compare` asks.
Users and movies are positions 0, 1, …: all of them are in the training ratings.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SCALE = 0.5, 5.0
"""Stars."""


@dataclass(frozen=True, slots=True)
class Split:
    """L training ratings, sorted by user, then movie, and T pairs to predict."""

    user: np.ndarray
    """int32[L]."""
    movie: np.ndarray
    """int32[L]."""
    rating: np.ndarray
    """float32[L], stars."""
    test_user: np.ndarray
    """int32[T]."""
    test_movie: np.ndarray
    """int32[T]."""

    @property
    def n_users(self) -> int:
        return int(self.user[-1]) + 1

    @property
    def n_movies(self) -> int:
        return int(self.movie.max()) + 1

    def seen(self, user: int) -> np.ndarray:
        """The movies that the user has rated."""
        first, end = np.searchsorted(self.user, [user, user + 1])
        return self.movie[first:end]

    def save(self, path: Path) -> None:
        np.savez(path, **{name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def load(cls, path: Path) -> Split:
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**{name: arrays[name] for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class Job:
    """One contestant: a model of a library. rank, iterations: None is what the library's module thinks best."""

    library: str
    model: str
    """rating (predicts stars) or ranking (orders lists)."""
    variant: str = ""
    rank: int | None = None
    iterations: int | None = None
    threads: int = 1

    @property
    def name(self) -> str:
        return " ".join(part for part in (self.library, self.model, self.variant) if part)


class Contestant(Protocol):
    """A module of this directory has a `make(job)` that returns one."""

    settings: str
    """What it was fitted with, for the reader of the report; after `fit`."""

    def load(self, split: Split) -> None:
        """Makes of the arrays what the library's fit takes. Not counted."""

    def fit(self) -> list[float]:
        """Fits anew. Returns the seconds of single iterations where the library tells them, else nothing."""

    def top_n(self, n: int, out: Path, limit_s: float) -> None:
        """Writes the best n movies of every user to Parquet. Raises TooSlow where that would take longer."""

    def lists(self, n: int) -> np.ndarray | None:
        """int32[U, n], best first, without what the user has seen, -1 for none; after `top_n`. None: makes no lists."""

    def predict(self) -> np.ndarray | None:
        """Stars of the test pairs, float32[T], as the library has them. None: predicts no stars."""


class TooSlow(Exception):
    """`seconds` is how long it would take."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"would take about {seconds:.0f} s")
        self.seconds = seconds


def one_by_one(
    best: Callable[[int], np.ndarray], n_users: int, n: int, limit_s: float, try_users: int = 20
) -> np.ndarray:
    """Lists of a library that makes them a user at a time, int32[U, n]; `best` gives a user's movies, best first.

    Raises TooSlow if the first few users show that all would take longer than limit_s.
    """
    positions = np.full((n_users, n), -1, np.int32)
    began = time.perf_counter()
    for user in range(n_users):
        movies = best(user)[:n]
        positions[user, : len(movies)] = movies
        needed_s = (time.perf_counter() - began) / (user + 1) * n_users
        if user + 1 == try_users and needed_s > limit_s:
            raise TooSlow(needed_s)
    return positions


def write_lists(out: Path, positions: np.ndarray, scores: np.ndarray | None = None) -> None:
    """Parquet rows of user, rank, movie and, where given, score: positions int[U, n], scores float[U, n]."""
    user, place = np.nonzero(positions >= 0)
    columns = {"user": user.astype(np.int32), "rank": place.astype(np.int32) + 1, "movie": positions[user, place]}
    if scores is not None:
        columns["score"] = scores[user, place]
    pq.write_table(pa.table(columns), out)
