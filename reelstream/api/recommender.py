"""The Python API: what is recommended, and why, read from a warehouse. Needs neither Kafka nor Spark.

In: a warehouse. Out: lists of dataclasses, and Arrow tables. Next: the `reelstream` command prints them.

    import reelstream
    movies = reelstream.open("warehouse").recommend(42)

Each call answers from one `Snapshot`, so its rows are of one version. New versions, folded-in users and movies, changed
titles and new ratings are seen at once. Safe to use from several threads.

`user` is whose stored ratings and published list answer; `ratings`, movie id → stars, takes their place, and nothing is
stored: the answers are those that a user with these ratings gets. Movies that the version does not know do not count.
An id is an integer, or a text where the ids of the warehouse are.
Every method raises NotReady while nothing is published, UsageError for an id beyond 64 bits, for a rating off the scale,
and where neither user nor ratings are given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, Unpack

import pyarrow as pa

from reelstream.api import lists, movie_queries, why
from reelstream.api.movie_filter import ListFilter, MovieFilter, id_of, wanted
from reelstream.api.own_ids import with_own_ids
from reelstream.api.results import (
    Because,
    DismissedMovie,
    GroupRecommendation,
    HiddenMovie,
    Movie,
    NextMovie,
    PopularMovie,
    Prediction,
    Recommendation,
    Rows,
    SimilarMovie,
    Surprise,
)
from reelstream.api.snapshot import Snapshot, Snapshots
from reelstream.api.table_filter import shown_lists
from reelstream.api.user_ratings import StarsByMovie, StoredRatings
from reelstream.api.warehouse import existing
from reelstream.ids import Id
from reelstream.store.hidden_movies import HiddenMovies
from reelstream.store.id_texts import MOVIE
from reelstream.store.movies import find_movie
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore, Version

OwnStars = Mapping[Any, float]
"""movie id → stars, what was rated last at the end; ids as their owner writes them, integers or text."""
T = TypeVar("T")


class Recommender:
    def __init__(self, warehouse: Path) -> None:
        self._snapshots = Snapshots(warehouse)
        self._published = RecommendationsStore(warehouse)
        self._ratings = RatingsStore(warehouse)
        self._ids = self._ratings.ids
        self._hidden = HiddenMovies(warehouse)

    def version(self) -> Version:
        """The current version."""
        return self._snapshots.now().version

    def recommend(
        self,
        user: Id | None = None,
        n: int = 10,
        *,
        ratings: OwnStars | None = None,
        **filters: Unpack[ListFilter],
    ) -> Rows[Recommendation]:
        """The best n movies after the first `offset`, best first; for a user with no rating the popular ones, for one who has
        rated every movie none. No list has movies that are hidden, or that the user has dismissed.

        filters: see `ListFilter`. The published list answers as far as it reaches; further places, lists with a filter
        and those for given ratings are computed from the factors, in the same order.
        Raises Unknown for a genre that no movie has, UsageError for an n or an offset below 0.
        """
        of, want = self._of(user, ratings), wanted(n, filters)
        return self._ask(lambda now: lists.recommend(now, of, want))

    def recommend_to_group(
        self, members: Mapping[Id, OwnStars | None], n: int = 10, **filters: Unpack[ListFilter]
    ) -> Rows[GroupRecommendation]:
        """The best n movies for several users together: those of the highest mean score that none of them has rated or
        dismissed.

        members: user id → their ratings; None takes those of the store. A user with no rating does not count; with no
        other, the popular movies. Raises what `recommend` raises, and UsageError without a member.
        """
        of, want = {id_of(user): self._of(user, ratings) for user, ratings in members.items()}, wanted(n, filters)
        return self._ask(lambda now: lists.recommend_to_group(now, of, want))

    def popular(self, n: int = 10, **filters: Unpack[MovieFilter]) -> Rows[PopularMovie]:
        """The movies with the most stars in all, the list of a user with no rating; for the filters see `MovieFilter`."""
        want = wanted(n, {**filters, "include_seen": True})
        return self._ask(lambda now: lists.popular(now, want))

    def because(
        self, user: Id | None = None, movie_id: Id | None = None, *, ratings: OwnStars | None = None
    ) -> Because:
        """Which of the ratings up to now give the movie its score; one of the movie itself counts too.

        Raises Unknown if the current version does not know the movie.
        """
        of, number = self._of(user, ratings), id_of(movie_id)
        return self._ask(lambda now: why.because(now, of, number))

    def surprises(self, user: Id | None = None, n: int = 10, *, ratings: OwnStars | None = None) -> Rows[Surprise]:
        """The n ratings that are furthest from what all the others let expect, the most surprising first."""
        of = self._of(user, ratings)
        return self._ask(lambda now: why.surprises(now, of, n))

    def predict(
        self, user: Id | None = None, movie_id: Id | None = None, *, ratings: OwnStars | None = None
    ) -> Prediction:
        """Will this user like that movie? From all ratings up to now, so also for one who has just come."""
        of, number = self._of(user, ratings), id_of(movie_id)
        user_id = None if user is None else id_of(user)
        return self._ask(lambda now: why.predict(now, of, number, user_id))

    def similar(self, movie_id: Id, n: int = 10) -> Rows[SimilarMovie]:
        """Also of a movie that was folded in since the refit. At most `top_n` of the settings are published for a movie.

        Raises Unknown if the current version does not know the movie.
        """
        return self._ask(lambda now: movie_queries.similar(now, id_of(movie_id), n))

    def watched_next(self, movie_id: Id, n: int = 10) -> Rows[NextMovie]:
        """What users often rate soon after the movie, most often first; also of a movie folded in since the refit.

        Raises Unknown if the current version does not know the movie.
        """
        return self._ask(lambda now: movie_queries.watched_next(now, id_of(movie_id), n))

    def movie(self, movie_id: Id) -> Movie:
        """A movie's facts. Raises Unknown if neither the titles nor the current version know it."""
        return self._ask(lambda now: movie_queries.movie(now, id_of(movie_id)))

    def search(self, text: str, n: int = 10) -> Rows[Movie]:
        """Movies by words of their titles, with typos: fewest typos first, then the most rated. Needs no version."""
        return self._ask(lambda now: movie_queries.search(now, text, n))

    def hidden(self) -> Rows[HiddenMovie]:
        """The movies that no list has, the newest first. Needs no version."""
        table = self._hidden.hidden()
        return self._ask(lambda now: movie_queries.hidden(now, table))

    def dismissed(self, user: Id) -> Rows[DismissedMovie]:
        """The movies that the user is not interested in, the newest first. Needs no version."""
        user_id = id_of(user)
        return self._ask(lambda now: movie_queries.dismissed(now, user_id))

    def genres(self) -> list[str]:
        """Every genre that a movie has. Needs no version."""
        return self._snapshots.now().movies.genres

    def title(self, movie_id: Id) -> str | None:
        """The title as it is now or, where none is loaded any more, as it was published. Needs no version."""
        return self._ask(lambda now: now.title(id_of(movie_id)))

    def find_movie(self, text: str) -> Id:
        """A movie's id from its id or its title. Raises AmbiguousTitle, or UsageError if there is none."""
        ids = self._ids.now()
        return ids.own(MOVIE, id_of(find_movie(text, ids, lambda: self._snapshots.now().movies.titles)))

    def ratings(self, user: Id) -> pa.Table:
        """The user's ratings, the latest of each movie, in the columns of RATINGS. Needs no version."""
        return self._ids.now().shown(StoredRatings(self._ratings, user).table)

    def stars(self, user: Id) -> dict[Id, float]:
        """The same as movie id → stars."""
        ids = self._ids.now()
        return {ids.own(MOVIE, movie): stars for movie, stars in StoredRatings(self._ratings, user).items()}

    def recommendations(self) -> pa.Table:
        """All users' lists in the columns of USERS, each the newest: the refit's, or one folded in since; without movies that
        were hidden or dismissed since."""

        def look(now: Snapshot) -> pa.Table:
            lists = shown_lists(self._published.read_users(now.version), now.hidden, now.dismissed)
            return now.movies.titles.put_into(lists)

        return self._ids.now().shown(self._snapshots.ask(look))

    def _ask(self, look: Callable[[Snapshot], T]) -> T:
        return with_own_ids(self._snapshots.ask(look), self._ids.now())

    def _of(self, user: Id | None, ratings: OwnStars | None) -> StarsByMovie:
        if ratings is None:
            return StoredRatings(self._ratings, user)
        return {id_of(movie): stars for movie, stars in ratings.items()}


def open(warehouse: str | Path) -> Recommender:
    """The warehouse's recommendations. Raises NotReady if there is no warehouse at this path."""
    return Recommender(existing(warehouse))
