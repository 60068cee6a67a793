"""The Python API: what is recommended, and why, read from a warehouse. Needs neither Kafka nor Spark.

In: a warehouse. Out: lists of dataclasses, and Arrow tables. Next: the `reelstream` command prints them, `serve` sends
them.

    import reelstream
    movies = reelstream.open("warehouse").recommend(42)

Each call looks at the pointers anew, so new versions, folded-in users and movies, and changed titles are seen at once;
what they point at is read once and kept in memory. Safe to use from several threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Unpack

import numpy as np
import pyarrow as pa

from reelstream.als.arrays import I64, Csr
from reelstream.als.explain import expected_without, score_parts
from reelstream.als.fold_in import FoldedUsers, FoldIn
from reelstream.api.movie_filter import ListFilter, Wanted, wanted
from reelstream.api.movie_queries import MovieQueries, id_of, predicted
from reelstream.api.published_lists import POPULAR_ROWS, goes_on
from reelstream.api.ranking import Places, StarsByMovie, best_of, history_of, popular_of, refit_vectors
from reelstream.api.results import Because, GroupRecommendation, Prediction, Reason, Recommendation, Rows, Surprise
from reelstream.api.warehouse import existing
from reelstream.errors import UsageError
from reelstream.store.pointer import consistent
from reelstream.store.rating_rows import latest
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import Version


class Recommender(MovieQueries):
    def __init__(self, warehouse: Path) -> None:
        super().__init__(warehouse)
        self._ratings = RatingsStore(warehouse)

    def recommend(self, user_id: int, n: int = 10, **filters: Unpack[ListFilter]) -> Rows[Recommendation]:
        """The best n movies of the user after the first `offset`, best first; for a user with no rating the popular ones.

        filters: see `ListFilter`. The published list answers as far as it reaches; further places,
        and lists with a filter, are computed from the factors, in the same order.
        Raises NotReady while nothing is published, Unknown for a genre that no movie has,
        UsageError for an n or an offset below 0.
        """
        want = wanted(n, filters)
        version, published = self._lists.get(id_of(user_id))
        plain = not want.filtered and not want.include_seen
        if published and plain and (want.end <= len(published.movie_ids) or not published.goes_on):
            shown = slice(want.offset, want.end)
            return self._rows(
                published.movie_ids[shown].tolist(),
                published.scores[shown].tolist(),
                published.predicted_ratings[shown].tolist(),
                want,
                published.source,
                version.name,
                published.as_of,
            )
        if published and published.source == "refit":
            current, fold_in = self._model.get()
            vectors = refit_vectors(fold_in.factors, user_id)
            if vectors and current.name == version.name:
                history = history_of(self.stars(user_id), fold_in.factors)
                places = best_of(vectors.ranking[0], _seen(history), fold_in, self.movies(), want)
                return self._placed(places, vectors, current, fold_in, want, "refit", published.as_of)
        stars = self.stars(user_id)
        if plain and not stars:
            return self._popular(want)
        movies = self._recommend_from(stars, want)
        return movies if movies or published or not plain else self._popular(want)

    def recommend_to_anonymous(
        self, ratings: StarsByMovie, n: int = 10, **filters: Unpack[ListFilter]
    ) -> Rows[Recommendation]:
        """The same for somebody who is no user: movie id → stars. Nothing is stored.

        The same list as a user with these ratings gets. Movies that the version does not know do not count; with no
        other, the popular ones. Raises UsageError for a rating off the scale, and what `recommend` raises.
        """
        self._check(ratings)
        return self._recommend_from(ratings, wanted(n, filters))

    def recommend_to_group(
        self, members: Mapping[int, StarsByMovie | None], n: int = 10, **filters: Unpack[ListFilter]
    ) -> Rows[GroupRecommendation]:
        """The best n movies for several users together: those of the highest mean score that none of them has rated.

        members: user id → their ratings; None takes those of the store. A user with no rating does not count; with no
        other, the popular movies. Raises what `recommend_to_anonymous` raises, and UsageError without a member.
        """
        if not members:
            raise UsageError("a list for a group needs at least one user.")
        want = wanted(n, filters)
        version, fold_in = self._model.get()
        factors, movies = fold_in.factors, self.movies()
        histories = []
        for user_id, ratings in members.items():
            self._check(ratings or {})
            histories.append(history_of(self.stars(user_id) if ratings is None else ratings, factors))
        folded = [fold_in.solve(history) for history in histories]
        rated = [one.ranking[0] for one, history in zip(folded, histories, strict=True) if len(history.indices)]
        seen = np.unique(np.concatenate([history.indices for history in histories])).astype(np.int64)
        if rated:
            places = best_of(np.mean(rated, axis=0), seen, fold_in, movies, want)
        else:
            places = popular_of(seen, fold_in, movies, want)
        stars = [predicted(fold_in, one, places) for one in folded]  # members × [L]
        return Rows(
            GroupRecommendation(
                want.offset + i + 1,
                movie_id,
                self.title(movie_id),
                float(places.scores[i]),
                {user_id: float(of_user[i]) for user_id, of_user in zip(members, stars, strict=True)},
                "fold_in" if rated else "popular",
                version.name,
            )
            for i, movie_id in enumerate(factors.movie_ids[places.positions].tolist())
        )

    def because(self, user_id: int, movie_id: int) -> Because:
        """Which of the user's own ratings give the movie its score, from all ratings up to now.

        Raises Unknown if the current version does not know the movie, NotReady while nothing is published.
        """
        return self.because_anonymous(self.stars(user_id), movie_id)

    def because_anonymous(self, ratings: StarsByMovie, movie_id: int) -> Because:
        """The same for somebody who is no user; see `recommend_to_anonymous`. A rating of the movie itself counts too."""
        self._check(ratings)
        version, fold_in = self._model.get()
        position = self._position(fold_in, movie_id)
        history = history_of(ratings, fold_in.factors)
        parts = score_parts(fold_in.factors, history, position, fold_in.movies_gram)  # [L]
        score = float(parts.sum())
        ids = fold_in.factors.movie_ids[history.indices].tolist()
        reasons = [
            Reason(
                ids[i], self.title(ids[i]), float(history.values[i]), float(parts[i]), _share(float(parts[i]), score)
            )
            for i in np.argsort(-parts, kind="stable").tolist()
        ]
        return Because(int(movie_id), self.title(movie_id), score, version.name, Rows(reasons))

    def surprises(self, user_id: int, n: int = 10) -> Rows[Surprise]:
        """The user's ratings that are furthest from what all their others let expect, the most surprising first.

        Raises NotReady while nothing is published.
        """
        return self.surprises_of_anonymous(self.stars(user_id), n)

    def surprises_of_anonymous(self, ratings: StarsByMovie, n: int = 10) -> Rows[Surprise]:
        """The same for somebody who is no user; see `recommend_to_anonymous`."""
        self._check(ratings)
        version, fold_in = self._model.get()
        history = history_of(ratings, fold_in.factors)
        expected = expected_without(fold_in.factors, history)  # [L]
        ids = fold_in.factors.movie_ids[history.indices].tolist()
        off = history.values - expected  # [L]
        return Rows(
            Surprise(
                ids[i], self.title(ids[i]), float(history.values[i]), float(expected[i]), float(off[i]), version.name
            )
            for i in np.argsort(-np.abs(off), kind="stable")[: max(n, 0)].tolist()
        )

    def predict(self, user_id: int, movie_id: int, *, ratings: StarsByMovie | None = None) -> Prediction:
        """Will this user like that movie? From all ratings of the user up to now, so also for one who has just come.

        ratings: movie id → stars, in the place of those of the store. Raises NotReady while nothing is published.
        """
        user_id, movie_id = id_of(user_id), id_of(movie_id)
        version, fold_in = self._model.get()
        factors = fold_in.factors
        ratings = self.stars(user_id) if ratings is None else ratings
        history = history_of(ratings, factors)
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
            title=self.movies().title(movie_id),
            predicted_rating=min(max(stars_predicted, scale.rating_min), scale.rating_max),
            mean=factors.mean,
            user_bias=user_bias,
            movie_bias=movie_bias,
            taste=taste,
            user_ratings=len(ratings),
            movie_ratings=int(factors.movie_counts[at]) if known_movie else 0,
            source=sources[known_user, known_movie],
            version=version.name,
            rated=ratings.get(movie_id),
        )

    def ratings(self, user_id: int) -> pa.Table:
        """The user's ratings, the latest of each movie, in the columns of RATINGS."""
        return latest(self._ratings.read(user_ids=[id_of(user_id)]))

    def stars(self, user_id: int) -> dict[int, float]:
        """The same as movie id → stars."""
        table = self.ratings(user_id)
        return dict(zip(table["movie_id"].to_pylist(), table["rating"].to_pylist(), strict=True))

    def recommendations(self) -> pa.Table:
        """All users' lists in the columns of USERS, each the newest: the refit's, or one folded in since."""
        return consistent(lambda: self.titled(self._published.read_users(self._published.current())))

    def _popular(self, want: Wanted) -> Rows[Recommendation]:
        """The popular list for whom there is no other: nothing is known of them, or they have rated every movie."""
        version, popular = self._lists.popular()
        if want.end > popular.num_rows and goes_on(version, popular.num_rows, POPULAR_ROWS):
            return self._recommend_from({}, want)
        rows = popular.slice(want.offset, want.n)
        ids, scores, stars = (rows[name].to_pylist() for name in ("movie_id", "score", "predicted_rating"))
        as_of = popular["as_of"][0].as_py() if popular.num_rows else version.as_of
        return self._rows(ids, scores, stars, want, "popular", version.name, as_of)

    def _recommend_from(self, ratings: StarsByMovie, want: Wanted) -> Rows[Recommendation]:
        version, fold_in = self._model.get()
        history = history_of(ratings, fold_in.factors)
        vectors, seen = fold_in.solve(history), _seen(history)
        if len(seen):
            places, source = best_of(vectors.ranking[0], seen, fold_in, self.movies(), want), "fold_in"
        else:
            places, source = popular_of(seen, fold_in, self.movies(), want), "popular"
        return self._placed(places, vectors, version, fold_in, want, source, datetime.now(UTC))

    def _placed(
        self,
        places: Places,
        vectors: FoldedUsers,
        version: Version,
        fold_in: FoldIn,
        want: Wanted,
        source: str,
        as_of: datetime,
    ) -> Rows[Recommendation]:
        movie_ids = fold_in.factors.movie_ids[places.positions].tolist()
        stars = predicted(fold_in, vectors, places).tolist()
        return self._rows(movie_ids, places.scores.tolist(), stars, want, source, version.name, as_of)

    def _rows(
        self,
        movie_ids: list[int],
        scores: list[float],
        stars: list[float],
        want: Wanted,
        source: str,
        version: str,
        as_of: datetime,
    ) -> Rows[Recommendation]:
        movies, published = self.movies(), self._lists
        return Rows(
            Recommendation(
                want.offset + i + 1,
                movie_id,
                movies.title(movie_id) or published.title(movie_id),
                scores[i],
                stars[i],
                source,
                version,
                as_of,
            )
            for i, movie_id in enumerate(movie_ids)
        )

    def mark(self) -> object:
        """What changes when any list or title does. Costs no file while nothing was published."""
        return self._movies.stamp(), self._lists.mark()

    def up_to_date(self) -> bool:
        """Whether `recommend` without filters answers from memory: nothing was published since the last answer."""
        movies = self._read_movies
        return movies is not None and movies[0] == self._movies.stamp() and self._lists.up_to_date()

    def _check(self, ratings: StarsByMovie) -> None:
        scale = self._model.get()[1].factors.settings
        for movie_id, stars in ratings.items():
            id_of(movie_id)
            if not scale.rating_min <= stars <= scale.rating_max:
                raise UsageError(
                    f"{stars} stars for movie {movie_id}: a rating is from {scale.rating_min} to {scale.rating_max}."
                )


def open(warehouse: str | Path) -> Recommender:
    """The warehouse's recommendations. Raises NotReady if there is no warehouse at this path."""
    return Recommender(existing(warehouse))


def _seen(history: Csr) -> I64:
    """Positions of the movies of one history, int64[L]."""
    return history.indices.astype(np.int64)


def _share(part: float, score: float) -> float:
    return part / score if score else 0.0
