"""What the routes send: answers of the Python API as plain values, each from one snapshot.

In: a user's id, and what is wanted. Out: plain values, ready for JSON. Next: `reelstream.serve.routes` sends them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from fastapi import Request

from reelstream.api import lists, movie_queries, why
from reelstream.api.movie_filter import Wanted
from reelstream.api.own_ids import with_own_ids
from reelstream.api.results import Because, Recommendation, Rows, as_plain
from reelstream.api.snapshot import Snapshot, Snapshots
from reelstream.api.user_ratings import StarsByMovie
from reelstream.ids import Id, number_of
from reelstream.serve.acknowledged import AcknowledgedRatings
from reelstream.settings import Settings
from reelstream.store import id_texts
from reelstream.store.hidden_movies import HiddenMovies
from reelstream.store.id_texts import USER

Json = dict[str, Any]
T = TypeVar("T")


class Service:
    """Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.snapshots = Snapshots(settings.warehouse)
        self.acknowledged = AcknowledgedRatings(settings.warehouse, settings.topic)
        self.ids = id_texts.of_warehouse(settings.warehouse)

    def ask(self, look: Callable[[Snapshot], T]) -> T:
        """See `Snapshots.ask`; the answer has the owners' ids."""
        return with_own_ids(self.snapshots.ask(look), self.ids.now())

    def in_memory(self, user_id: Id, want: Wanted) -> Json | None:
        """What `recommendations` gives, without reading a file; None where that cannot be."""
        user = number_of(user_id)
        now = None if self.acknowledged.waits(user) else self.snapshots.in_memory()
        movies = lists.published(now, user, want) if now and now.lists_in_memory else None
        if now is None or movies is None:
            return None
        return with_own_ids({"user_id": user, **list_of(now, movies)}, self.ids.now())

    def mark(self, user_id: Id) -> object:
        """What changes when the user's list may have. Costs no file."""
        return self.snapshots.marks(), self.acknowledged.count(number_of(user_id))

    def recommendations(self, user_id: Id, want: Wanted) -> Json:
        ratings = self.acknowledged.ratings(number_of(user_id))

        def look(now: Snapshot) -> Json:
            movies = lists.recommend(now, ratings, want)
            return {"user_id": user_id, **list_of(now, movies, ratings if want.include_seen else {})}

        return self.ask(look)

    def to_anonymous(self, ratings: StarsByMovie, want: Wanted) -> Json:
        rated = ratings if want.include_seen else {}
        return self.ask(lambda now: list_of(now, lists.recommend(now, ratings, want), rated))

    def for_group(self, user_ids: Sequence[Id], want: Wanted) -> Json:
        members = {user: self.acknowledged.ratings(user) for user in map(number_of, user_ids)}

        def look(now: Snapshot) -> Json:
            movies = lists.recommend_to_group(now, members, want)
            rows = [
                {**row, "predicted_ratings": {str(user): stars for user, stars in row["predicted_ratings"].items()}}
                for row in rows_of(now, movies, "rank", "score", "predicted_ratings")
            ]
            source = movies[0].source if movies else "popular"
            return {"user_ids": list(members), **origin(now, source), "movies": rows}

        return self.ask(look)

    def prediction(self, user_id: Id, movie_id: Id) -> Json:
        ratings = self.acknowledged.ratings(number_of(user_id))

        def look(now: Snapshot) -> Json:
            value = as_plain(why.predict(now, ratings, number_of(movie_id), number_of(user_id)))
            source = "fold_in" if value["user_ratings"] else "popular"
            return {**value, "basis": value["source"], **origin(now, source)}

        return self.ask(look)

    def because(self, user_id: Id, movie_id: Id, n: int) -> Json:
        ratings = self.acknowledged.ratings(number_of(user_id))
        return {"user_id": self.shown(user_id), **self.because_anonymous(ratings, movie_id, n)}

    def because_anonymous(self, ratings: StarsByMovie, movie_id: Id, n: int) -> Json:
        return self.ask(lambda now: reasons_of(now, why.because(now, ratings, number_of(movie_id)), n))

    def shown(self, own: Id, of: str = USER) -> Id:
        """As the answers have it: where ids are text, an integer is text too."""
        return str(own) if self.ids.now().is_text.get(of) else own

    def surprises(self, user_id: Id, n: int) -> Json:
        ratings = self.acknowledged.ratings(number_of(user_id))

        def look(now: Snapshot) -> Json:
            found = why.surprises(now, ratings, n)
            rows = rows_of(now, found, "rating", "expected_rating", "surprise")
            return {"user_id": user_id, **origin(now, "fold_in" if found else "popular"), "ratings": rows}

        return self.ask(look)

    def ratings(self, user_id: Id, n: int, offset: int) -> Json:
        """What the user has rated, the newest first; what is acknowledged and not stored yet before all."""
        rated = self.acknowledged.newest_first(number_of(user_id))

        def look(now: Snapshot) -> list[Json]:
            return [
                {**facts(now, movie_id), "rating": stars, "rated_at": at and at.isoformat()}
                for movie_id, stars, at in rated[offset : offset + n]
            ]

        return {"user_id": self.shown(user_id), "total": len(rated), "ratings": self.ask(look)}

    def similar(self, movie_id: Id, n: int) -> Json:
        return self._related(movie_queries.similar, movie_id, n)

    def watched_next(self, movie_id: Id, n: int) -> Json:
        return self._related(movie_queries.watched_next, movie_id, n)

    def popular(self, want: Wanted) -> Json:
        shown = ("rank", "score", "predicted_rating", "n_ratings")
        return self.ask(
            lambda now: {**origin(now, "popular"), "movies": rows_of(now, lists.popular(now, want), *shown)}
        )

    def dismissed(self, user_id: Id) -> Json:
        """What the user is not interested in, the newest first; also what was acknowledged a moment ago."""
        user = number_of(user_id)
        since = self.acknowledged.dismissed(user)

        def look(now: Snapshot) -> list[Json]:
            new = [{**facts(now, movie_id), "dismissed_at": None} for movie_id, is_so in since.items() if is_so]
            stored = [one for one in movie_queries.dismissed(now, user) if one.movie_id not in since]
            return new[::-1] + [{**facts(now, one.movie_id), "dismissed_at": one.dismissed_at} for one in stored]

        return {"user_id": self.shown(user_id), "movies": self.ask(look)}

    def hidden(self) -> list[Json]:
        table = HiddenMovies(self.settings.warehouse).hidden()
        return [as_plain(row) for row in self.ask(lambda now: movie_queries.hidden(now, table))]

    def _related(self, query: Callable[[Snapshot, int, int], Rows[Any]], movie_id: Id, n: int) -> Json:
        number = number_of(movie_id)

        def look(now: Snapshot) -> Json:
            found = query(now, number, n)
            head = {"movie_id": number, "title": now.title(number), **origin(now, "refit")}
            return {**head, "movies": rows_of(now, found, "rank", "score")}

        return self.ask(look)


def service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def list_of(now: Snapshot, movies: Rows[Recommendation], rated: StarsByMovie | None = None) -> Json:
    """A list as an answer; an empty one says so of the version that is current. rated: what to show beside the movies."""
    rated = rated or {}
    first = movies[0] if movies else None
    return {
        **origin(now, first.source if first else "popular"),
        "as_of": (first.as_of if first else datetime.now(UTC)).isoformat(),
        "movies": [
            {**row, "rated": rated.get(row["movie_id"])}
            for row in rows_of(now, movies, "rank", "score", "predicted_rating")
        ],
    }


def reasons_of(now: Snapshot, because: Because, n: int) -> Json:
    """The first n reasons one by one, and all others together."""
    others = because.reasons[n:]
    return {
        "movie_id": because.movie_id,
        "title": because.title,
        "score": because.score,
        "next_part": because.next_part,
        **origin(now, "fold_in" if because.reasons else "popular"),
        "reasons": rows_of(now, because.reasons[:n], "rating", "part", "share", "next_part"),
        "others": {
            "count": len(others) + because.hidden_count,
            "part": sum(one.part for one in others) + because.hidden_part,
            "share": sum(one.share for one in others) + because.hidden_share,
        },
    }


def rows_of(now: Snapshot, rows: Iterable[Any], *shown: str) -> list[Json]:
    """The movies' facts, and the fields of the rows by these names."""
    return [{**facts(now, row.movie_id), **{name: getattr(row, name) for name in shown}} for row in rows]


def facts(now: Snapshot, movie_id: int) -> Json:
    return {
        "movie_id": movie_id,
        "title": now.title(movie_id),
        "year": now.movies.year(movie_id),
        "genres": now.movies.genres_of(movie_id),
    }


def origin(now: Snapshot, source: str) -> Json:
    """Where an answer comes from. Raises NotReady while nothing is published."""
    age_s = (datetime.now(UTC) - now.version.published_at).total_seconds()
    return {"source": source, "version": now.version.name, "age_s": round(max(0.0, age_s), 1)}
