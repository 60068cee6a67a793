"""Movies: found, described, compared. Pure functions of a snapshot.

In: a `Snapshot`. Out: rows. Next: `reelstream.api.recommender` and `reelstream.serve` give them out.
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from reelstream.als.arrays import Csr
from reelstream.api.movie_filter import id_of
from reelstream.api.results import DismissedMovie, HiddenMovie, Movie, NextMovie, Rows, SimilarMovie
from reelstream.api.snapshot import Snapshot
from reelstream.errors import Unknown
from reelstream.store import new_movies, pointer
from reelstream.top_lists import similar_of


def similar(now: Snapshot, movie_id: int, n: int) -> Rows[SimilarMovie]:
    """The movies nearest to it, from the version's tables as far as they reach; where one of those is hidden now, from the
    factors. Raises Unknown if the version does not know the movie."""
    path, of = now.version.path / "similar" / "part-0.parquet", id_of(movie_id)
    table = pointer.read_table(path, where=("movie_id", [of]))
    table = table if table.num_rows else new_movies.read_similar(now.version, of)
    if len(table) < n or not now.shown(table["similar_movie_id"].to_numpy()).all():
        now.known_position(of)
        titles, version = now.movies.titles, now.version.name
        table = similar_of(now.factors, np.array([of]), titles, n=n, version=version, hidden=now.hidden)
    names = ("rank", "similar_movie_id", "title", "score", "version")
    rows = zip(*(table[name].slice(0, n).to_pylist() for name in names), strict=True)
    return Rows(
        SimilarMovie(rank, movie, now.title(movie) or title, score, version)
        for rank, movie, title, score, version in rows
    )


def watched_next(now: Snapshot, movie_id: int, n: int) -> Rows[NextMovie]:
    """The movies that users often rate soon after it. Raises Unknown if the version does not know the movie."""
    position, transitions = now.known_position(id_of(movie_id)), now.factors.transitions
    if transitions is None:
        return Rows()
    zero = np.zeros(1, np.int32)
    just_rated = Csr(np.array([0, 1], np.int64), zero + np.int32(position), zero.astype(np.float32), zero)
    positions, scores = transitions.next_scores(just_rated, now.factors.movie_ids).row(0)
    shown = now.shown(now.factors.movie_ids[positions])
    positions, scores = positions[shown], scores[shown]
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


def hidden(now: Snapshot, table: pa.Table) -> Rows[HiddenMovie]:
    """table: what `HiddenMovies.hidden` gives."""
    rows = zip(table["movie_id"].to_pylist(), table["changed_at"].to_pylist(), strict=True)
    return Rows(HiddenMovie(movie_id, now.title(movie_id), at) for movie_id, at in rows)


def dismissed(now: Snapshot, user_id: int) -> Rows[DismissedMovie]:
    """The movies that the user is not interested in, the newest first."""
    rows = now.dismissed.of_user(user_id)
    rows = rows[np.argsort(-rows["rated_at"], kind="stable")]
    return Rows(
        DismissedMovie(movie_id, now.title(movie_id), datetime.fromtimestamp(at_ms / 1000, UTC))
        for movie_id, at_ms in zip(rows["movie_id"].tolist(), rows["rated_at"].tolist(), strict=True)
    )


def _movie(now: Snapshot, movie_id: int) -> Movie:
    at = now.position(movie_id) if now.version_or_none else None
    count = 0 if at is None else int(now.factors.movie_counts[at])
    mean = float(now.factors.movie_sums[at]) / count if count else None
    movies, hidden = now.movies, not now.shown(np.array([movie_id]))[0]
    return Movie(
        movie_id, now.title(movie_id), movies.year(movie_id), movies.genres_of(movie_id), count, mean, bool(hidden)
    )
