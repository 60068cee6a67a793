"""`rate`: live ratings into Kafka, and the list that follows from them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

import reelstream
from reelstream.api.results import Recommendation, Rows
from reelstream.cli.options import broker_address, err, out, print_json, user_of
from reelstream.errors import NotReady, UsageError
from reelstream.events import RatingEvent, check
from reelstream.ids import Id, number_of
from reelstream.producer.rating_producer import new_user_id, rating_producer
from reelstream.settings import Settings
from reelstream.store import id_texts, run_files
from reelstream.store.id_texts import MOVIE
from reelstream.store.movies import MoviesStore, find_movie
from reelstream.store.own_times import OwnTimes, now_ms
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore

WAIT_S = 15.0


@dataclass(frozen=True, slots=True)
class Rated:
    """`fresh_after_s` is the time from the broker's acknowledgement until the list that counts the ratings was
    there."""

    user_id: Id
    ratings: list[tuple[Id, float | None]]
    titles: list[str | None]
    """Of the movies that were rated."""
    recommendations: list[Recommendation]
    fresh_after_s: float | None


def rate(settings: Settings, user: str, given: Sequence[str], count: int) -> Rated:
    """Sends the ratings, waits until they count if a stream runs and a version is published, reads the top `count`.

    Raises UsageError if something given does not fit; nothing is sent then.
    """
    user_id = user_or_new(settings, user)
    now = now_ms()
    ratings, scale = parse_ratings(settings, given), settings.scale
    for movie_id, stars in ratings:
        event = RatingEvent(user_id, movie_id, stars, now)
        check(event, rating_min=scale.rating_min, rating_max=scale.rating_max, now_ms=now)
    address = broker_address(settings)
    times_ms = OwnTimes(settings.warehouse).to_rate(user_id, [movie_id for movie_id, _ in ratings])
    with rating_producer(settings, address) as producer:
        places = producer.rate_live(user_id, ratings, times_ms)
    numbers = np.array([number_of(movie_id) for movie_id, _ in ratings])
    titles = MoviesStore(settings.warehouse).titles().of(numbers).to_pylist()
    return Rated(user_id, ratings, titles, *fresh_list(settings, user_id, count, places))


def user_or_new(settings: Settings, word: str) -> Id:
    return new_user_id() if word == "new" else user_of(settings, word, or_else="`new` for a new user")


def fresh_list(
    settings: Settings, user_id: Id, count: int, places: Sequence[tuple[int, int]]
) -> tuple[list[Recommendation], float | None]:
    """(the top `count` for the user, the seconds until they counted the events); no wait and no list where count is 0."""
    if not count:
        return [], None
    acknowledged = time.perf_counter()
    fresh = wait_until_counted(settings, places)
    fresh_after_s = time.perf_counter() - acknowledged if fresh else None
    try:
        return reelstream.open(settings.warehouse).recommend(user_id, count), fresh_after_s
    except NotReady:
        return Rows(), fresh_after_s


def parse_ratings(settings: Settings, given: Sequence[str]) -> list[tuple[Id, float | None]]:
    """`MOVIE=STARS` words as (movie_id, stars), with None for `none`; a movie is an id or a title.

    Raises UsageError, or AmbiguousTitle with the candidates.
    """
    if not given:
        raise UsageError("nothing to rate; give at least one MOVIE=STARS, such as 296=5 or 'Pulp Fiction=5'.")
    titles = cache(MoviesStore(settings.warehouse).titles)
    ids = id_texts.of_warehouse(settings.warehouse).now()
    ratings: list[tuple[Id, float | None]] = []
    for word in given:
        movie, equals, stars = word.rpartition("=")
        try:
            value = None if stars.strip().lower() == "none" else float(stars)
        except ValueError:
            equals = ""
        if not equals or not movie.strip():
            raise UsageError(f"{word!r} is not MOVIE=STARS, such as 296=5 or 'Pulp Fiction=5', or 296=none.")
        ratings.append((ids.own(MOVIE, find_movie(movie, ids, titles)), value))
    return ratings


def wait_until_counted(settings: Settings, places: Sequence[tuple[int, int]]) -> bool:
    """Waits until the events at (partition, offset) are in the published lists; False if that cannot be.

    It cannot be while no stream runs, while nothing is published, or when WAIT_S have passed without a step on the way.
    """
    store, published = RatingsStore(settings.warehouse), RecommendationsStore(settings.warehouse)

    def stored_up_to() -> int | None:
        state = store.state()
        return state.batch if all(state.has(settings.topic, place) for place in places) else None

    batch = run_files.wait_for_stream(settings.warehouse, stored_up_to, WAIT_S)
    if batch is None:
        return False

    def counted() -> bool | None:
        up_to = published.counted_up_to()
        return False if up_to is None else up_to >= batch or None

    return bool(run_files.wait_for_stream(settings.warehouse, counted, WAIT_S))


def show(rated: Rated, *, waited: bool, as_json: bool, unit: str = "stars") -> None:
    if as_json:
        print_json(rated)
        return
    n = len(rated.ratings)
    out.print(f"User {rated.user_id}: {n} {'rating is' if n == 1 else 'ratings are'} in Kafka:")
    for (movie_id, stars), title in zip(rated.ratings, rated.titles, strict=True):
        given = "taken back" if stars is None else f"{stars:g}"
        out.print(f"  {title or f'movie {movie_id}'}: {given}", soft_wrap=True, markup=False, emoji=False)
    show_list(rated.user_id, rated.recommendations, rated.fresh_after_s, waited=waited, unit=unit)


def show_list(
    user_id: Id, movies: list[Recommendation], fresh_after_s: float | None, *, waited: bool, unit: str = "stars"
) -> None:
    """What `fresh_list` gives."""
    from reelstream.cli.tables import show_recommendations

    if movies:
        if fresh_after_s is None:
            err.print("The list does not count them yet: no stream runs on this warehouse, or it is behind.")
        else:
            out.print(f"The list counts them {fresh_after_s * 1000:.0f} ms later:")
        show_recommendations(f"For user {user_id}", movies, unit)
    elif waited and fresh_after_s is None:
        err.print("No version is published yet; the list follows with the first refit.")
