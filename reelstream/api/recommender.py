"""The Python API: what is recommended, and why, read from a warehouse. Needs neither Kafka nor Spark.

In: a warehouse. Out: lists of dataclasses, and Arrow tables. Next: the `reelstream` command prints them.

    import reelstream
    movies = reelstream.open("warehouse").recommend(42)

Each call answers from one `Snapshot`, so its rows are of one version. New versions, folded-in users and movies, changed
titles and new ratings are seen at once. Safe to use from several threads.

`user` is whose stored ratings and published list answer; `ratings`, movie id → stars, takes their place, and nothing is
stored: the answers are those that a user with these ratings gets. Movies that the version does not know do not count.
Every method raises NotReady while nothing is published, UsageError for an id beyond 64 bits, for a rating off the scale,
and where neither user nor ratings are given.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Unpack

import pyarrow as pa

from reelstream.api import lists, movie_queries, why
from reelstream.api.movie_filter import ListFilter, MovieFilter, id_of, wanted
from reelstream.api.results import (
    Because,
    GroupRecommendation,
    Movie,
    NextMovie,
    PopularMovie,
    Prediction,
    Recommendation,
    Rows,
    SimilarMovie,
    Surprise,
)
from reelstream.api.snapshot import Snapshots
from reelstream.api.user_ratings import StarsByMovie, StoredRatings
from reelstream.api.warehouse import existing
from reelstream.events import is_id
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore, Version


class Recommender:
    def __init__(self, warehouse: Path) -> None:
        self._snapshots = Snapshots(warehouse)
        self._published = RecommendationsStore(warehouse)
        self._ratings = RatingsStore(warehouse)

    def version(self) -> Version:
        """The current version."""
        return self._snapshots.now().version

    def recommend(
        self,
        user: int | None = None,
        n: int = 10,
        *,
        ratings: StarsByMovie | None = None,
        **filters: Unpack[ListFilter],
    ) -> Rows[Recommendation]:
        """The best n movies after the first `offset`, best first; for a user with no rating the popular ones, for one who has
        rated every movie none.

        filters: see `ListFilter`. The published list answers as far as it reaches; further places, lists with a filter
        and those for given ratings are computed from the factors, in the same order.
        Raises Unknown for a genre that no movie has, UsageError for an n or an offset below 0.
        """
        of, want = self._of(user, ratings), wanted(n, filters)
        return self._snapshots.ask(lambda now: lists.recommend(now, of, want))

    def recommend_to_group(
        self, members: Mapping[int, StarsByMovie | None], n: int = 10, **filters: Unpack[ListFilter]
    ) -> Rows[GroupRecommendation]:
        """The best n movies for several users together: those of the highest mean score that none of them has rated.

        members: user id → their ratings; None takes those of the store. A user with no rating does not count; with no
        other, the popular movies. Raises what `recommend` raises, and UsageError without a member.
        """
        of, want = {user: self._of(user, ratings) for user, ratings in members.items()}, wanted(n, filters)
        return self._snapshots.ask(lambda now: lists.recommend_to_group(now, of, want))

    def popular(self, n: int = 10, **filters: Unpack[MovieFilter]) -> Rows[PopularMovie]:
        """The movies with the most stars in all, the list of a user with no rating; for the filters see `MovieFilter`."""
        want = wanted(n, {**filters, "include_seen": True})
        return self._snapshots.ask(lambda now: lists.popular(now, want))

    def because(
        self, user: int | None = None, movie_id: int | None = None, *, ratings: StarsByMovie | None = None
    ) -> Because:
        """Which of the ratings up to now give the movie its score; one of the movie itself counts too.

        Raises Unknown if the current version does not know the movie.
        """
        of, movie_id = self._of(user, ratings), id_of(movie_id)
        return self._snapshots.ask(lambda now: why.because(now, of, movie_id))

    def surprises(self, user: int | None = None, n: int = 10, *, ratings: StarsByMovie | None = None) -> Rows[Surprise]:
        """The n ratings that are furthest from what all the others let expect, the most surprising first."""
        of = self._of(user, ratings)
        return self._snapshots.ask(lambda now: why.surprises(now, of, n))

    def predict(
        self, user: int | None = None, movie_id: int | None = None, *, ratings: StarsByMovie | None = None
    ) -> Prediction:
        """Will this user like that movie? From all ratings up to now, so also for one who has just come."""
        of, movie_id = self._of(user, ratings), id_of(movie_id)
        return self._snapshots.ask(lambda now: why.predict(now, of, movie_id, user))

    def similar(self, movie_id: int, n: int = 10) -> Rows[SimilarMovie]:
        """Also of a movie that was folded in since the refit. At most `top_n` of the settings are published for a movie.

        Raises Unknown if the current version does not know the movie.
        """
        return self._snapshots.ask(lambda now: movie_queries.similar(now, movie_id, n))

    def watched_next(self, movie_id: int, n: int = 10) -> Rows[NextMovie]:
        """What users often rate soon after the movie, most often first; also of a movie folded in since the refit.

        Raises Unknown if the current version does not know the movie.
        """
        return self._snapshots.ask(lambda now: movie_queries.watched_next(now, movie_id, n))

    def movie(self, movie_id: int) -> Movie:
        """A movie's facts. Raises Unknown if neither the titles nor the current version know it."""
        return self._snapshots.ask(lambda now: movie_queries.movie(now, movie_id))

    def search(self, text: str, n: int = 10) -> Rows[Movie]:
        """Movies by words of their titles, with typos: fewest typos first, then the most rated. Needs no version."""
        return self._snapshots.ask(lambda now: movie_queries.search(now, text, n))

    def genres(self) -> list[str]:
        """Every genre that a movie has. Needs no version."""
        return self._snapshots.now().movies.genres

    def title(self, movie_id: int) -> str | None:
        """The title as it is now or, where none is loaded any more, as it was published. Needs no version."""
        return self._snapshots.ask(lambda now: now.title(movie_id))

    def find_movie(self, text: str) -> int:
        """A movie's id from its id or its title. Raises AmbiguousTitle, or UsageError if there is none."""
        return id_of(int(text)) if is_id(text) else self._snapshots.now().movies.titles.find(text)

    def ratings(self, user: int) -> pa.Table:
        """The user's ratings, the latest of each movie, in the columns of RATINGS. Needs no version."""
        return StoredRatings(self._ratings, user).table

    def stars(self, user: int) -> dict[int, float]:
        """The same as movie id → stars."""
        return dict(StoredRatings(self._ratings, user))

    def recommendations(self) -> pa.Table:
        """All users' lists in the columns of USERS, each the newest: the refit's, or one folded in since."""
        return self._snapshots.ask(lambda now: now.movies.titles.put_into(self._published.read_users(now.version)))

    def _of(self, user: int | None, ratings: StarsByMovie | None) -> StarsByMovie:
        return StoredRatings(self._ratings, user) if ratings is None else ratings


def open(warehouse: str | Path) -> Recommender:
    """The warehouse's recommendations. Raises NotReady if there is no warehouse at this path."""
    return Recommender(existing(warehouse))
