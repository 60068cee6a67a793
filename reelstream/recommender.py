"""The Python API: what is recommended, and why, read from a warehouse. Needs neither Kafka nor Spark.

In: a warehouse. Out: dataclasses and Arrow tables. Next: the `reelstream` command prints them.

    import reelstream
    films = reelstream.open("warehouse").recommend(42)

Each call reads the pointers anew, so new versions, folded-in users and movies, and changed titles are seen at once.
Safe to use from several threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reelstream.current_model import CurrentModel
from reelstream.errors import UsageError
from reelstream.events import MAX_ID, is_id
from reelstream.store import new_movies
from reelstream.store.movies import MoviesStore, Titles
from reelstream.store.pointer import consistent
from reelstream.store.rating_rows import latest
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from reelstream.top_lists import folded_lists, known_ratings
from reelstream.warehouse import existing


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One place of a list. `source` is "refit", "fold_in" (rated since the refit) or "popular" (no rating known)."""

    rank: int
    movie_id: int
    title: str | None
    score: float
    predicted_rating: float
    source: str
    version: str
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Prediction:
    """The predicted rating in stars, and its parts: mean + user_bias + movie_bias + taste, clipped to the scale.

    `source` is "model", "movie" (the user has no rating), "user" (the movie has none) or "mean" (neither has).
    `rated` is what the user gave the movie, if anything.
    """

    user_id: int
    movie_id: int
    title: str | None
    predicted_rating: float
    mean: float
    user_bias: float
    movie_bias: float
    taste: float
    user_ratings: int
    movie_ratings: int
    source: str
    version: str
    rated: float | None


@dataclass(frozen=True, slots=True)
class SimilarMovie:
    """One of the movies nearest to another; `score` is the cosine of their ranking factors."""

    rank: int
    movie_id: int
    title: str | None
    score: float
    version: str


@dataclass(frozen=True, slots=True)
class PopularMovie:
    rank: int
    movie_id: int
    title: str | None
    score: float
    predicted_rating: float
    n_ratings: int
    version: str


class Recommender:
    def __init__(self, warehouse: Path) -> None:
        self._ratings = RatingsStore(warehouse)
        self._published = RecommendationsStore(warehouse)
        self._movies = MoviesStore(warehouse)
        self._model = CurrentModel(warehouse)
        self._read_titles: tuple[int, Titles | None] = (0, None)

    def recommend(self, user_id: int, n: int = 10) -> list[Recommendation]:
        """The best n unseen movies of the user, best first; for a user with no rating the popular ones.

        At most `top_n` of the settings are published for a user. Raises NotReady while nothing is published.
        """

        def look() -> list[Recommendation]:
            version = self._published.current()
            lists = self.titled(self._published.read_users(version, [_id(user_id)]).slice(0, n))
            if not lists.num_rows:
                popular = self._published.read("popular", version).slice(0, n).drop_columns("n_ratings")
                return [Recommendation(**row, source="popular") for row in self.titled(popular).to_pylist()]
            return _recommendations(lists)

        return consistent(look)

    def recommend_to_visitor(self, ratings: Mapping[int, float], n: int = 10) -> list[Recommendation]:
        """The best n unseen movies of somebody who is no user: movie id → stars. Nothing is stored.

        The same list as a user with these ratings gets. Movies that the version does not know do not count; with no
        other, the popular ones. Raises UsageError for a rating off the scale, NotReady while nothing is published.
        """
        version, fold_in = self._model.get()
        scale = fold_in.factors.settings
        for movie_id, stars in ratings.items():
            if not scale.rating_min <= stars <= scale.rating_max:
                raise UsageError(
                    f"{stars} stars for movie {movie_id}: a rating is from {scale.rating_min} to {scale.rating_max}."
                )
        movie_ids = np.array([_id(movie_id) for movie_id in ratings], np.int64)
        given = np.array(list(ratings.values()), np.float32)
        lists = folded_lists(
            np.zeros(1, np.int64),
            (np.zeros(len(ratings), np.int64), movie_ids, given),
            fold_in,
            self._titles(),
            n=n,
            version=version.name,
            as_of=datetime.now(UTC),
        )
        return _recommendations(lists)

    def predict(self, user_id: int, movie_id: int) -> Prediction:
        """Will this user like that movie? From all ratings of the user up to now, so also for one who has just come.

        Raises NotReady while nothing is published.
        """
        user_id, movie_id = _id(user_id), _id(movie_id)
        version, fold_in = self._model.get()
        factors = fold_in.factors
        ratings = latest(self._ratings.read(user_ids=[user_id]))
        movie_ids, stars = ratings["movie_id"].to_numpy(), ratings["rating"].to_numpy()
        history = known_ratings((np.zeros(len(movie_ids), np.int64), movie_ids, stars), factors, 1)
        folded = fold_in.solve(history)
        at = int(factors.movie_index(np.array([movie_id]))[0])
        known_user, known_movie = len(history.indices) > 0, at >= 0
        user_bias = float(folded.user_bias[0]) if known_user else 0.0
        movie_bias = float(factors.movie_bias[at]) if known_movie else 0.0
        taste = float(folded.rating[0] @ factors.rating_movie[at]) if known_user and known_movie else 0.0
        scale = factors.settings
        stars_predicted = factors.mean + user_bias + movie_bias + taste
        sources = {(True, True): "model", (False, True): "movie", (True, False): "user", (False, False): "mean"}
        return Prediction(
            user_id=user_id,
            movie_id=movie_id,
            title=self._titles().of(np.array([movie_id]))[0].as_py(),
            predicted_rating=min(max(stars_predicted, scale.rating_min), scale.rating_max),
            mean=factors.mean,
            user_bias=user_bias,
            movie_bias=movie_bias,
            taste=taste,
            user_ratings=len(movie_ids),
            movie_ratings=int(factors.movie_counts[at]) if known_movie else 0,
            source=sources[known_user, known_movie],
            version=version.name,
            rated=next((float(r) for m, r in zip(movie_ids, stars, strict=True) if m == movie_id), None),
        )

    def similar(self, movie_id: int, n: int = 10) -> list[SimilarMovie]:
        """Also of a movie that was folded in since the refit.

        Raises UsageError if the current version does not know the movie, NotReady while nothing is published.
        """

        def look() -> list[SimilarMovie]:
            version = self._published.current()
            of_movie = pc.field("movie_id") == _id(movie_id)
            table = self._published.read("similar", version, of_movie)
            table = table if table.num_rows else new_movies.read_similar(version, movie_id)
            return [
                SimilarMovie(row["rank"], row["similar_movie_id"], row["title"], row["score"], row["version"])
                for row in self.titled(table.slice(0, n), "similar_movie_id").to_pylist()
            ]

        movies = consistent(look)
        if not movies:
            raise UsageError(f"movie {movie_id} has no rating that the current version has seen.")
        return movies

    def popular(self, n: int = 10) -> list[PopularMovie]:
        """Raises NotReady while nothing is published."""

        def look() -> list[PopularMovie]:
            rows = self._published.read("popular", self._published.current()).slice(0, n)
            return [PopularMovie(**row) for row in self.titled(rows).drop_columns("as_of").to_pylist()]

        return consistent(look)

    def ratings(self, user_id: int) -> pa.Table:
        """The user's ratings, the latest of each movie, in the columns of RATINGS."""
        return latest(self._ratings.read(user_ids=[_id(user_id)]))

    def recommendations(self) -> pa.Table:
        """All users' lists in the columns of USERS, each the newest: the refit's, or one folded in since."""
        return consistent(lambda: self.titled(self._published.read_users(self._published.current())))

    def find_movie(self, text: str) -> int:
        """A movie's id from its id or its title. Raises AmbiguousTitle, or UsageError if there is none."""
        return _id(int(text)) if is_id(text) else self._movies.titles().find(text)

    def titled(self, table: pa.Table, movies: str = "movie_id") -> pa.Table:
        """The rows with the titles as they are now, and those in the rows where none is loaded any more."""
        newest = pa.chunked_array([self._titles().of(table[movies].to_numpy())], pa.string())
        at = table.schema.get_field_index("title")
        return table.set_column(at, table.schema.field(at), pc.coalesce(newest, table["title"]))

    def _titles(self) -> Titles:
        """The newest titles; read again only after a change."""
        version = self._movies.version()
        read, titles = self._read_titles
        if titles is None or read != version:
            titles = self._movies.titles()
            self._read_titles = (version, titles)
        return titles


def open(warehouse: str | Path) -> Recommender:
    """The warehouse's recommendations. Raises NotReady if there is no warehouse at this path."""
    return Recommender(existing(warehouse))


def _recommendations(lists: pa.Table) -> list[Recommendation]:
    """The rows of USERS of one user."""
    return [Recommendation(**row) for row in lists.drop_columns("user_id").to_pylist()]


def _id(value: int) -> int:
    if not -MAX_ID <= value <= MAX_ID:
        raise UsageError(f"id {value} is beyond 64 bits; ids go up to 2^63 - 1.")
    return int(value)
