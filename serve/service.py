"""What the routes ask: the Python API, with the ratings that were acknowledged a moment ago put in.

In: a user's id, and what is wanted. Out: answers as plain values, ready for JSON. Next: `reelstream.serve.routes` sends them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from fastapi import Request

from reelstream.api.movies import Movies
from reelstream.api.recommender import Recommender
from reelstream.api.results import Because, Recommendation, Rows, as_plain
from reelstream.serve.acknowledged import AcknowledgedRatings
from reelstream.settings import Settings

Json = dict[str, Any]


class Service:
    """Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.recommender = Recommender(settings.warehouse)
        self.acknowledged = AcknowledgedRatings(settings.warehouse, settings.topic)
        self._published_at: tuple[str, datetime] = ("", datetime.now(UTC))

    def ready_at_once(self, user_id: int) -> bool:
        """Whether `recommendations` without filters answers from memory, without reading a file."""
        return not self.acknowledged.waits(user_id) and self.recommender.up_to_date()

    def mark(self, user_id: int) -> object:
        """What changes when the user's list may have. Costs no file."""
        return self.recommender.mark(), self.acknowledged.count(user_id)

    def recommendations(self, user_id: int, n: int, **wanted: Any) -> Json:
        waiting = self.acknowledged.pending(user_id)
        if waiting is None:
            movies = self.recommender.recommend(user_id, n, **wanted)
        else:
            movies = self.recommender.recommend_to_anonymous(self._with(user_id, waiting), n, **wanted)
        rated = self.stars(user_id) if wanted.get("include_seen") else {}
        return {"user_id": user_id, **self.list_of(movies, rated)}

    def list_of(self, movies: Rows[Recommendation], rated: Mapping[int, float]) -> Json:
        """A list as an answer; an empty one says so of the version that is current."""
        if movies:
            first = movies[0]
            head = {**self.origin(first.source, first.version), "as_of": first.as_of.isoformat()}
        else:
            head = {**self.origin("popular"), "as_of": datetime.now(UTC).isoformat()}
        facts = self.recommender.movies()
        return {
            **head,
            "movies": [
                {
                    **facts_of(facts, movie.movie_id, movie.title),
                    "rank": movie.rank,
                    "score": movie.score,
                    "predicted_rating": movie.predicted_rating,
                    "rated": rated.get(movie.movie_id),
                }
                for movie in movies
            ],
        }

    def for_group(self, user_ids: Sequence[int], n: int, **wanted: Any) -> Json:
        members = {user_id: self._unstored(user_id) for user_id in user_ids}
        movies = self.recommender.recommend_to_group(members, n, **wanted)
        origin = self.origin(movies[0].source, movies[0].version) if movies else self.origin("popular")
        return {
            "user_ids": list(members),
            **origin,
            "movies": [
                {
                    **self.facts(movie.movie_id),
                    "rank": movie.rank,
                    "score": movie.score,
                    "predicted_ratings": {str(user): stars for user, stars in movie.predicted_ratings.items()},
                }
                for movie in movies
            ],
        }

    def prediction(self, user_id: int, movie_id: int) -> Json:
        value = as_plain(self.recommender.predict(user_id, movie_id, ratings=self._unstored(user_id)))
        basis, version = value.pop("source"), value.pop("version")
        source = "fold_in" if value["user_ratings"] else "popular"
        return {**value, "basis": basis, **self.origin(source, version)}

    def because(self, user_id: int, movie_id: int, n: int) -> Json:
        return {
            "user_id": user_id,
            **self.reasons(self.recommender.because_anonymous(self.stars(user_id), movie_id), n),
        }

    def reasons(self, because: Because, n: int) -> Json:
        """The first n reasons one by one, and all others together."""
        others = because.reasons[n:]
        source = "fold_in" if because.reasons else "popular"
        return {
            "movie_id": because.movie_id,
            "title": because.title,
            "score": because.score,
            **self.origin(source, because.version),
            "reasons": [
                {**self.facts(one.movie_id), "rating": one.rating, "part": one.part, "share": one.share}
                for one in because.reasons[:n]
            ],
            "others": {
                "count": len(others),
                "part": sum(one.part for one in others),
                "share": sum(one.share for one in others),
            },
        }

    def surprises(self, user_id: int, n: int) -> Json:
        found = self.recommender.surprises_of_anonymous(self.stars(user_id), n)
        origin = self.origin("fold_in", found[0].version) if found else self.origin("popular")
        rows = [
            {
                **self.facts(one.movie_id),
                "rating": one.rating,
                "expected_rating": one.expected_rating,
                "surprise": one.surprise,
            }
            for one in found
        ]
        return {"user_id": user_id, **origin, "ratings": rows}

    def ratings(self, user_id: int, n: int, offset: int) -> Json:
        """What the user has rated, the newest first; what is acknowledged and not stored yet before all."""
        waiting = self.acknowledged.pending(user_id) or {}
        table = self.recommender.ratings(user_id).sort_by([("rated_at", "descending"), ("movie_id", "ascending")])
        columns = (table[name].to_pylist() for name in ("movie_id", "rating", "rated_at"))
        new = [(movie_id, stars, None) for movie_id, stars in reversed(waiting.items()) if stars is not None]
        old = [(movie_id, stars, at.isoformat()) for movie_id, stars, at in zip(*columns, strict=True)]
        rows = new + [row for row in old if row[0] not in waiting]
        return {
            "user_id": user_id,
            "total": len(rows),
            "ratings": [
                {**self.facts(movie_id), "rating": stars, "rated_at": at}
                for movie_id, stars, at in rows[offset : offset + n]
            ],
        }

    def stars(self, user_id: int) -> dict[int, float]:
        """movie_id → stars, as acknowledged."""
        return self._with(user_id, self.acknowledged.pending(user_id) or {})

    def facts(self, movie_id: int) -> Json:
        return facts_of(self.recommender.movies(), movie_id, self.recommender.title(movie_id))

    def origin(self, source: str, version: str | None = None) -> Json:
        """Where an answer comes from. Raises NotReady while nothing is published."""
        name, published_at = self._published_at
        if version is None or name != version:
            current = self.recommender.version()
            name, published_at = self._published_at = (current.name, current.published_at)
        age_s = (datetime.now(UTC) - published_at).total_seconds()
        return {"source": source, "version": version or name, "age_s": round(max(0.0, age_s), 1)}

    def _with(self, user_id: int, waiting: Mapping[int, float | None]) -> dict[int, float]:
        changed = {**self.recommender.stars(user_id), **waiting}
        return {movie_id: stars for movie_id, stars in changed.items() if stars is not None}

    def _unstored(self, user_id: int) -> dict[int, float] | None:
        waiting = self.acknowledged.pending(user_id)
        return None if waiting is None else self._with(user_id, waiting)


def service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def facts_of(movies: Movies, movie_id: int, title: str | None) -> Json:
    return {
        "movie_id": movie_id,
        "title": title,
        "year": movies.year(movie_id),
        "genres": movies.genres_of(movie_id),
    }
