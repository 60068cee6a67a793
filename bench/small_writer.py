"""Writes a small warehouse as the stream and the refits do, without Kafka, Spark and the fit.

In: nothing; factors and ratings are random. Out: versions, micro-batches, and users forgotten, in real files. Next:
`bench.publishes` reads meanwhile.
"""

from __future__ import annotations

import collections
import threading
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from reelstream.als.factors import Factors, ModelSettings
from reelstream.als.fold_in import FoldIn
from reelstream.store import models
from reelstream.store.forget import forget
from reelstream.store.movies import Titles
from reelstream.store.rating_rows import latest
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from reelstream.store.schemas import RATINGS, REJECTS
from reelstream.store.updates import Updates
from reelstream.top_lists import folded_lists, popular_list, similar_lists

USERS, MOVIES, RANK, TOP_N = 60, 80, 8, 10
KEEP_VERSIONS = 3
NO_TITLES = Titles(np.empty(0, np.int64), pa.array([], pa.string()), pa.array([], pa.string()))


class Writer:
    """One thread calls `publish`, `take_batch` and `ask_to_be_forgotten`; another one is in `maintain`."""

    def __init__(self, warehouse: Path) -> None:
        self.counts = collections.Counter(micro_batches=0, compactions=0, forgotten=0)
        self._random = np.random.default_rng(1)
        self._store = RatingsStore(warehouse)
        self._published = RecommendationsStore(warehouse)
        users = np.repeat(np.arange(1, USERS + 1), 5)
        self._append(users, self._movies(len(users)))

    def publish(self) -> None:
        """A version as a refit writes it."""
        factors = self._fitted()
        name, path, model_path = self._published.new_version()
        state, as_of = self._store.state(), datetime.now(UTC)
        self._published.write_tables(
            path,
            users=self._lists(factors, factors.user_ids, name, as_of),
            similar=similar_lists(factors, NO_TITLES, n=TOP_N, version=name),
            popular=popular_list(factors, NO_TITLES, n=TOP_N, version=name, as_of=as_of),
        )
        models.save(model_path, factors, {"engine": "none", "metrics": None})
        self._published.publish(
            name, as_of=as_of, batch=state.batch, accepted=state.accepted, info={}, keep=KEEP_VERSIONS
        )
        self._name, self._factors, self._updates = name, factors, Updates(path)

    def take_batch(self, *guests: int) -> None:
        """A micro-batch: ratings of a few users, then their lists."""
        users = np.unique([*self._random.integers(1, USERS + 1, 4), *guests])
        self._append(users, self._movies(len(users)))
        lists = self._lists(self._factors, users, self._name, datetime.now(UTC))
        self._updates.append(lists, self._store.state().batch)
        self.counts["micro_batches"] += 1

    def ask_to_be_forgotten(self) -> None:
        """A guest rates, gets a list, and asks to be forgotten."""
        guest, first = USERS + 1 + self.counts["micro_batches"], self._store.state().accepted + 1
        self.take_batch(guest)
        offset = self._store.state().accepted
        self._store.append(
            RATINGS.empty_table(), REJECTS.empty_table(), {"ratings": {0: offset + 1}}, forget=[(guest, first + USERS)]
        )

    def maintain(self, done: threading.Event) -> None:
        """Compacts small files and forgets who asked for it, and once more when it is done."""
        last = False
        while not last:
            last = done.wait(0.02)
            self.counts["compactions"] += self._updates.compact()
            self.counts["compactions"] += self._store.compact()
            self.counts["forgotten"] += len(forget(self._store))

    def _movies(self, n: int) -> np.ndarray:
        """Of one half, so that nobody has ever rated all and has a list no more."""
        return self._random.integers(1, MOVIES // 2 + 1, n)

    def _lists(self, factors: Factors, users: np.ndarray, version: str, as_of: datetime) -> pa.Table:
        rated = latest(self._store.read(user_ids=users.tolist()))
        row = np.searchsorted(users, rated["user_id"].to_numpy())
        history = (row, rated["movie_id"].to_numpy(), rated["rating"].to_numpy())
        return folded_lists(users, history, FoldIn(factors), NO_TITLES, n=TOP_N, version=version, as_of=as_of)

    def _append(self, user_ids: np.ndarray, movie_ids: np.ndarray) -> None:
        n, first = len(user_ids), self._store.state().accepted
        table = pa.table(
            {
                "user_id": user_ids,
                "movie_id": movie_ids,
                "rating": self._random.integers(1, 11, n) / 2,
                "rated_at": pa.array(np.arange(first, first + n)).cast(pa.timestamp("ms", tz="UTC")),
                "topic": ["ratings"] * n,
                "partition": [0] * n,
                "offset": np.arange(first, first + n),
            }
        ).cast(RATINGS)
        self._store.append(table, REJECTS.empty_table(), {"ratings": {0: first + n}})

    def _fitted(self) -> Factors:
        def normal(rows: int) -> np.ndarray:
            return self._random.standard_normal((rows, RANK)).astype(np.float32)

        return Factors(
            user_ids=np.arange(1, USERS + 1),
            movie_ids=np.arange(1, MOVIES + 1),
            mean=3.5,
            user_bias=normal(USERS)[:, 0],
            movie_bias=normal(MOVIES)[:, 0],
            rating_user=normal(USERS),
            rating_movie=normal(MOVIES),
            ranking_user=normal(USERS),
            ranking_movie=normal(MOVIES),
            movie_counts=np.full(MOVIES, 5, np.int64),
            movie_sums=np.full(MOVIES, 17.5),
            settings=ModelSettings(rating_rank=RANK, ranking_rank=RANK),
        )
