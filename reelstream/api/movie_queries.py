"""The movies of a warehouse: found, described, and put in order. The half of the Python API that needs no user.

In: a warehouse. Out: lists of dataclasses. Next: `reelstream.api.recommender` adds the users.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Unpack

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reelstream.als.arrays import F32
from reelstream.als.fold_in import FoldedUsers, FoldIn
from reelstream.als.top_n import predict
from reelstream.api.current_model import CurrentModel
from reelstream.api.movie_filter import MovieFilter, wanted
from reelstream.api.movies import Movies
from reelstream.api.published_lists import POPULAR_ROWS, PublishedLists, goes_on
from reelstream.api.ranking import Places, history_of, popular_of
from reelstream.api.results import Movie, PopularMovie, Rows, SimilarMovie
from reelstream.api.search import MovieSearch
from reelstream.errors import Unknown, UsageError
from reelstream.events import MAX_ID, is_id
from reelstream.store import new_movies
from reelstream.store.movies import MoviesStore
from reelstream.store.pointer import Stamp, consistent
from reelstream.store.recommendations import RecommendationsStore, Version


class MovieQueries:
    """Thread-safe. What it has read stays in memory until its files are replaced."""

    def __init__(self, warehouse: Path) -> None:
        self._published = RecommendationsStore(warehouse)
        self._movies = MoviesStore(warehouse)
        self._model = CurrentModel(warehouse)
        self._lists = PublishedLists(warehouse)
        self._lock = threading.Lock()
        self._read_movies: tuple[Stamp, Movies] | None = None
        self._read_search: tuple[Movies, FoldIn | None, MovieSearch] | None = None

    def version(self) -> Version:
        """The current version. Raises NotReady while nothing is published."""
        return self._published.current()

    def similar(self, movie_id: int, n: int = 10) -> Rows[SimilarMovie]:
        """Also of a movie that was folded in since the refit. At most `top_n` of the settings are published for a movie.

        Raises Unknown if the current version does not know the movie, NotReady while nothing is published.
        """

        def look() -> Rows[SimilarMovie]:
            version = self._published.current()
            of_movie = pc.field("movie_id") == id_of(movie_id)
            table = self._published.read("similar", version, of_movie)
            table = table if table.num_rows else new_movies.read_similar(version, movie_id)
            return Rows(
                SimilarMovie(row["rank"], row["similar_movie_id"], row["title"], row["score"], row["version"])
                for row in self.titled(table.slice(0, n), "similar_movie_id").to_pylist()
            )

        movies = consistent(look)
        if not movies:
            raise Unknown(f"movie {movie_id} has no rating that the current version has seen.")
        return movies

    def popular(self, n: int = 10, **filters: Unpack[MovieFilter]) -> Rows[PopularMovie]:
        """The movies with the most stars in all, the list of a user with no rating; for the filters see `MovieFilter`.

        Raises NotReady while nothing is published.
        """
        want = wanted(n, {**filters, "include_seen": True})
        published_version, rows = self._lists.popular()
        whole = not goes_on(published_version, rows.num_rows, POPULAR_ROWS)
        if not want.filtered and (want.end <= rows.num_rows or whole):
            columns = ("rank", "movie_id", "score", "predicted_rating", "n_ratings")
            return Rows(
                PopularMovie(rank, movie_id, self.title(movie_id), score, stars, count, published_version.name)
                for rank, movie_id, score, stars, count in zip(
                    *(rows[name].slice(want.offset, want.n).to_pylist() for name in columns), strict=True
                )
            )
        version, fold_in = self._model.get()
        movies = self.movies()
        nothing = np.zeros(0, np.int64)
        places = popular_of(nothing, fold_in, movies, want)
        stars = predicted(fold_in, fold_in.solve(history_of({}, fold_in.factors)), places)
        counts = fold_in.factors.movie_counts[places.positions]
        return Rows(
            PopularMovie(
                want.offset + i + 1,
                movie_id,
                self.title(movie_id),
                float(places.scores[i]),
                float(stars[i]),
                int(counts[i]),
                version.name,
            )
            for i, movie_id in enumerate(fold_in.factors.movie_ids[places.positions].tolist())
        )

    def movie(self, movie_id: int) -> Movie:
        """A movie's facts. Raises Unknown if neither the titles nor the current version know it."""
        movies, factors = self.movies(), self._factors()
        at = -1 if factors is None else int(factors.factors.movie_index(np.array([id_of(movie_id)]))[0])
        if at < 0 and movies.title(movie_id) is None:
            raise Unknown(f"there is no movie {movie_id}.")
        return self._movie(movie_id, movies, factors)

    def search(self, text: str, n: int = 10) -> Rows[Movie]:
        """Movies by words of their titles, with typos: fewest typos first, then the most rated."""
        movies, model = self.movies(), self._factors()
        found = self._search(movies, model).search(text, n)
        return Rows(self._movie(one.movie_id, movies, model) for one in found)

    def genres(self) -> list[str]:
        """Every genre that a movie has."""
        return self.movies().genres

    def title(self, movie_id: int) -> str | None:
        """The title as it is now or, where none is loaded any more, as it was published."""
        return self.movies().title(movie_id) or self._lists.title(movie_id)

    def movies(self) -> Movies:
        """The newest titles and genres; read again only after a change."""
        version = self._movies.stamp()
        with self._lock:
            if self._read_movies is None or self._read_movies[0] != version:
                self._read_movies = (version, Movies(self._movies.titles()))
            return self._read_movies[1]

    def find_movie(self, text: str) -> int:
        """A movie's id from its id or its title. Raises AmbiguousTitle, or UsageError if there is none."""
        return id_of(int(text)) if is_id(text) else self._movies.titles().find(text)

    def titled(self, table: pa.Table, movies: str = "movie_id") -> pa.Table:
        """The rows with the titles as they are now, and those in the rows where none is loaded any more."""
        newest = pa.chunked_array([self.movies().titles.of(table[movies].to_numpy())], pa.string())
        at = table.schema.get_field_index("title")
        return table.set_column(at, table.schema.field(at), pc.coalesce(newest, table["title"]))

    def _movie(self, movie_id: int, movies: Movies, model: FoldIn | None) -> Movie:
        at = -1 if model is None else int(model.factors.movie_index(np.array([movie_id]))[0])
        count = int(model.factors.movie_counts[at]) if model is not None and at >= 0 else 0
        mean = float(model.factors.movie_sums[at]) / count if model is not None and count else None
        return Movie(movie_id, self.title(movie_id), movies.year(movie_id), movies.genres_of(movie_id), count, mean)

    def _factors(self) -> FoldIn | None:
        return self._model.get()[1] if self._published.current_or_none() else None

    def _search(self, movies: Movies, model: FoldIn | None) -> MovieSearch:
        """Made again after a change of the titles, or a new version, whose counts it ranks by."""
        with self._lock:
            if self._read_search is None or self._read_search[:2] != (movies, model):
                counts = np.zeros(len(movies.titles.movie_ids), np.int64)
                if model is not None:
                    at = model.factors.movie_index(movies.titles.movie_ids)
                    counts = np.where(at >= 0, model.factors.movie_counts[at], 0)
                self._read_search = (movies, model, MovieSearch(movies.titles, counts))
            return self._read_search[2]

    def _position(self, fold_in: FoldIn, movie_id: int) -> int:
        at = int(fold_in.factors.movie_index(np.array([id_of(movie_id)]))[0])
        if at < 0:
            raise Unknown(f"movie {movie_id} has no rating that the current version has seen.")
        return at


def predicted(fold_in: FoldIn, vectors: FoldedUsers, places: Places) -> F32:
    """Predicted stars of one user at the places, float32[L]."""
    length = len(places.positions)
    bias = np.repeat(vectors.user_bias, length)
    return predict(fold_in.factors, bias, np.repeat(vectors.rating, length, axis=0), places.positions)


def id_of(value: int) -> int:
    """The id itself. Raises UsageError if it is beyond 64 bits."""
    if not -MAX_ID <= value <= MAX_ID:
        raise UsageError(f"id {value} is beyond 64 bits; ids go up to 2^63 - 1.")
    return int(value)
