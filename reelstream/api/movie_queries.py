"""Movies: found, described, compared. Pure functions of a snapshot.

In: a `Snapshot`. Out: rows. Next: `reelstream.api.recommender` and `reelstream.serve` give them out.
"""

from __future__ import annotations

import numpy as np

from reelstream.als.arrays import Csr
from reelstream.api.movie_filter import id_of
from reelstream.api.results import Movie, NextMovie, Rows, SimilarMovie
from reelstream.api.snapshot import Snapshot
from reelstream.errors import Unknown
from reelstream.store import new_movies, pointer


def similar(now: Snapshot, movie_id: int, n: int) -> Rows[SimilarMovie]:
    """The movies nearest to it, from the version's tables. Raises Unknown if the version does not know the movie."""
    path = now.version.path / "similar" / "part-0.parquet"
    table = pointer.read_table(path, where=("movie_id", [id_of(movie_id)]))
    table = table if table.num_rows else new_movies.read_similar(now.version, movie_id)
    if not table.num_rows:
        raise Unknown(f"movie {movie_id} has no rating that the current version has seen.")
    rows = now.movies.titles.put_into(table.slice(0, n), "similar_movie_id").to_pylist()
    return Rows(
        SimilarMovie(row["rank"], row["similar_movie_id"], row["title"], row["score"], row["version"]) for row in rows
    )


def watched_next(now: Snapshot, movie_id: int, n: int) -> Rows[NextMovie]:
    """The movies that users often rate soon after it. Raises Unknown if the version does not know the movie."""
    position, transitions = now.known_position(id_of(movie_id)), now.factors.transitions
    if transitions is None:
        return Rows()
    zero = np.zeros(1, np.int32)
    just_rated = Csr(np.array([0, 1], np.int64), zero + np.int32(position), zero.astype(np.float32), zero)
    positions, scores = transitions.next_scores(just_rated, now.factors.movie_ids).row(0)
    best = np.argsort(-scores, kind="stable")[: max(n, 0)]
    ids = now.factors.movie_ids[positions[best]].tolist()
    return Rows(
        NextMovie(rank, next_id, now.title(next_id), score, now.version.name)
        for rank, (next_id, score) in enumerate(zip(ids, scores[best].tolist(), strict=True), 1)
    )


def movie(now: Snapshot, movie_id: int) -> Movie:
    """A movie's facts. Raises Unknown if neither the titles nor the version know it."""
    found = _movie(now, id_of(movie_id))
    if not found.n_ratings and now.movies.title(movie_id) is None:
        raise Unknown(f"there is no movie {movie_id}.")
    return found


def search(now: Snapshot, text: str, n: int) -> Rows[Movie]:
    """Movies by words of their titles, with typos: fewest typos first, then the most rated."""
    return Rows(_movie(now, found.movie_id) for found in now.search.search(text, n))


def _movie(now: Snapshot, movie_id: int) -> Movie:
    at = now.position(movie_id) if now.version_or_none else None
    count = 0 if at is None else int(now.factors.movie_counts[at])
    mean = float(now.factors.movie_sums[at]) / count if count else None
    movies = now.movies
    return Movie(movie_id, now.title(movie_id), movies.year(movie_id), movies.genres_of(movie_id), count, mean)
