"""Lists: of a user, of several, of nobody in particular. Pure functions of a snapshot and of ratings.

In: a `Snapshot`, ratings, and what is wanted. Out: rows, all of the snapshot's version. Next: `reelstream.api.recommender`
and `reelstream.serve` give them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from reelstream.als.arrays import I64
from reelstream.als.fold_in import FoldedUsers
from reelstream.als.list_scores import list_scores, mean_of
from reelstream.api.movie_filter import Wanted
from reelstream.api.published_lists import PublishedList
from reelstream.api.ranking import Places, best_of, dismissed_by, history_of, popular_of, predicted, refit_vectors
from reelstream.api.results import GroupRecommendation, PopularMovie, Recommendation, Rows
from reelstream.api.snapshot import Snapshot
from reelstream.api.user_ratings import StarsByMovie, StoredRatings
from reelstream.errors import UsageError
from reelstream.top_lists import NO_MOVIES


def recommend(now: Snapshot, ratings: StarsByMovie, want: Wanted) -> Rows[Recommendation]:
    """The published list as far as it reaches, of a user as stored; all else is computed from the factors: by the refit's
    vectors where the published list is the refit's, in the same order, else by those of a fold-in."""
    if not isinstance(ratings, StoredRatings):
        return _computed(now, ratings, want)
    if (rows := published(now, ratings.user_id, want)) is not None:
        return rows
    listed = _listed(now, ratings.user_id)
    vectors = refit_vectors(now.factors, ratings.user_id) if listed and listed.source == "refit" else None
    if listed and vectors:
        history = history_of(now, ratings)
        scores = list_scores(vectors.ranking, history, now.factors)
        places = best_of(now, scores, history.indices, dismissed_by(now, ratings), want)
        return _placed(now, places, vectors, want, "refit", listed.as_of)
    if want.plain and listed and listed.source == "fold_in":
        return _going_on(now, ratings, want, listed)
    return _popular(now, ratings, want) if want.plain and not ratings else _computed(now, ratings, want)


def published(now: Snapshot, user_id: int, want: Wanted) -> Rows[Recommendation] | None:
    """The places of the user's published list, from memory; None where it does not reach, or is not what is wanted."""
    found = _listed(now, user_id) if want.plain else None
    if found is None or want.end > len(found.movie_ids):
        return None
    shown = slice(want.offset, want.end)
    ids, scores, stars = (of[shown].tolist() for of in (found.movie_ids, found.scores, found.predicted_ratings))
    return _rows(now, ids, scores, stars, want, found.source, found.as_of)


def recommend_to_group(now: Snapshot, members: Mapping[int, StarsByMovie], want: Wanted) -> Rows[GroupRecommendation]:
    """The highest mean scores of the members who have rated a movie, without what any has rated or dismissed. members: by
    user id."""
    if not members:
        raise UsageError("a list for a group needs at least one user.")
    histories = [history_of(now, ratings) for ratings in members.values()]
    folded = [now.fold_in.solve(history) for history in histories]
    rated = [
        list_scores(one.ranking, history, now.factors)
        for one, history in zip(folded, histories, strict=True)
        if len(history.indices)
    ]
    seen = np.unique(np.concatenate([history.indices for history in histories]))
    n_movies = len(now.factors.movie_ids)
    away = np.concatenate([dismissed_by(now, ratings) for ratings in members.values()])
    scores = mean_of(rated, n_movies) if rated else None
    places = best_of(now, scores, seen, away, want) if scores else popular_of(now, seen, away, want)
    stars = [predicted(now, one, places) for one in folded]  # members × [L]
    return Rows(
        GroupRecommendation(
            want.offset + i + 1,
            movie_id,
            now.title(movie_id),
            float(places.scores[i]),
            {user_id: of_user[i] for user_id, of_user in zip(members, stars, strict=True)},
            "fold_in" if rated else "popular",
            now.version.name,
        )
        for i, movie_id in enumerate(now.factors.movie_ids[places.positions].tolist())
    )


def popular(now: Snapshot, want: Wanted, dismissed: I64 = NO_MOVIES) -> Rows[PopularMovie]:
    """The movies with the most stars in all: as published, or from the factors where that does not reach."""
    published = now.lists.popular
    listed = published.filter(pa.array(now.shown(published["movie_id"].to_numpy(), dismissed)))
    if not want.filtered and want.end <= len(listed):
        shown = listed.slice(want.offset, want.n)
        names = ("movie_id", "score", "predicted_rating", "n_ratings")
        ids, scores, stars, counts = (shown[name].to_pylist() for name in names)
    else:
        nobody = history_of(now, {})
        places = popular_of(now, nobody.indices, dismissed, want)
        ids, scores = now.factors.movie_ids[places.positions].tolist(), places.scores.tolist()
        stars = predicted(now, now.fold_in.solve(nobody), places)
        counts = now.factors.movie_counts[places.positions].tolist()
    return Rows(
        PopularMovie(
            want.offset + i + 1, movie_id, now.title(movie_id), scores[i], stars[i], counts[i], now.version.name
        )
        for i, movie_id in enumerate(ids)
    )


def _popular(now: Snapshot, ratings: StoredRatings, want: Wanted) -> Rows[Recommendation]:
    """The same for somebody of whom no rating is known."""
    movies = popular(now, want, dismissed_by(now, ratings))
    return _rows(
        now,
        [movie.movie_id for movie in movies],
        [movie.score for movie in movies],
        [movie.predicted_rating for movie in movies],
        want,
        "popular",
        now.version.as_of,
    )


def _listed(now: Snapshot, user_id: int) -> PublishedList | None:
    """The user's published list, without movies that were hidden or dismissed since."""
    found, dismissed = now.lists.of(user_id), now.dismissed.of_user(user_id)["movie_id"]
    if found is None or not (len(now.hidden) or len(dismissed)):
        return found
    return found.only(now.shown(found.movie_ids, dismissed))


def _going_on(now: Snapshot, ratings: StoredRatings, want: Wanted, listed: PublishedList) -> Rows[Recommendation]:
    """A folded-in list, then all other movies in the order as computed here. The stream's transitions may have learned more
    than the version's, so that order may differ from the list's."""
    whole = published(now, ratings.user_id, Wanted(n=len(listed.movie_ids))) or Rows[Recommendation]()
    shown = {row.movie_id for row in whole}
    rows = [*whole, *(row for row in _computed(now, ratings, Wanted(n=want.end)) if row.movie_id not in shown)]
    return Rows(replace(row, rank=rank) for rank, row in enumerate(rows[: want.end], 1) if rank > want.offset)


def _computed(now: Snapshot, ratings: StarsByMovie, want: Wanted) -> Rows[Recommendation]:
    history = history_of(now, ratings)
    vectors, seen, dismissed = now.fold_in.solve(history), history.indices, dismissed_by(now, ratings)
    if len(seen):
        places = best_of(now, list_scores(vectors.ranking, history, now.factors), seen, dismissed, want)
        source = "fold_in"
    else:
        places, source = popular_of(now, seen, dismissed, want), "popular"
    return _placed(now, places, vectors, want, source, datetime.now(UTC))


def _placed(
    now: Snapshot, places: Places, vectors: FoldedUsers, want: Wanted, source: str, as_of: datetime
) -> Rows[Recommendation]:
    ids = now.factors.movie_ids[places.positions].tolist()
    return _rows(now, ids, places.scores.tolist(), predicted(now, vectors, places), want, source, as_of)


def _rows(
    now: Snapshot,
    movie_ids: list[int],
    scores: list[float],
    stars: list[float],
    want: Wanted,
    source: str,
    as_of: datetime,
) -> Rows[Recommendation]:
    version = now.version.name
    return Rows(
        Recommendation(want.offset + i + 1, movie_id, now.title(movie_id), scores[i], stars[i], source, version, as_of)
        for i, movie_id in enumerate(movie_ids)
    )
