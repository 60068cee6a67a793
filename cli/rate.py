"""`rate`: live ratings into Kafka, and the list that follows from them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import reelstream
from reelstream.api.results import Recommendation, Rows
from reelstream.cli.options import broker_address, err, out, print_json
from reelstream.errors import NotReady, UsageError
from reelstream.events import RatingEvent, check, is_id
from reelstream.kafka_io.properties import load_command_config
from reelstream.kafka_io.topic import ensure_topic
from reelstream.producer.send import RatingProducer, new_user_id
from reelstream.settings import Settings
from reelstream.store import run_files
from reelstream.store.movies import MoviesStore
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from reelstream.store.updates import Updates

WAIT_S = 15.0


@dataclass(frozen=True, slots=True)
class Rated:
    """`fresh_after_s` is the time from the broker's acknowledgement until the list that counts the ratings was
    there."""

    user_id: int
    ratings: list[tuple[int, float | None]]
    recommendations: list[Recommendation]
    fresh_after_s: float | None


def rate(settings: Settings, user: str, given: Sequence[str], count: int) -> Rated:
    """Sends the ratings, waits until they count if a stream runs and a version is published, reads the top `count`.

    Raises UsageError if something given does not fit; nothing is sent then.
    """
    user_id = _user(user)
    now_ms = time.time_ns() // 1_000_000
    ratings = parse_ratings(settings, given)
    for movie_id, stars in ratings:
        event = RatingEvent(user_id, movie_id, stars, now_ms)
        check(event, rating_min=settings.rating_min, rating_max=settings.rating_max, now_ms=now_ms)
    address = broker_address(settings)
    properties = load_command_config(settings.command_config)
    ensure_topic(address, settings.topic, settings.partitions, properties)
    with RatingProducer(address, settings.topic, properties) as producer:
        places = producer.rate_live(user_id, ratings)
    if not count:
        return Rated(user_id, ratings, [], None)
    acknowledged = time.perf_counter()
    fresh = wait_until_counted(settings, places)
    fresh_after_s = time.perf_counter() - acknowledged if fresh else None
    try:
        movies = reelstream.open(settings.warehouse).recommend(user_id, count)
    except NotReady:
        movies = Rows()
    return Rated(user_id, ratings, movies, fresh_after_s)


def parse_ratings(settings: Settings, given: Sequence[str]) -> list[tuple[int, float | None]]:
    """`MOVIE=STARS` words as (movie_id, stars), with None for `none`; a movie is an id or a title.

    Raises UsageError, or AmbiguousTitle with the candidates.
    """
    if not given:
        raise UsageError("nothing to rate; give at least one MOVIE=STARS, such as 296=5 or 'Pulp Fiction=5'.")
    titles = None
    ratings: list[tuple[int, float | None]] = []
    for word in given:
        movie, equals, stars = word.rpartition("=")
        try:
            value = None if stars.strip().lower() == "none" else float(stars)
        except ValueError:
            equals = ""
        if not equals or not movie.strip():
            raise UsageError(f"{word!r} is not MOVIE=STARS, such as 296=5 or 'Pulp Fiction=5', or 296=none.")
        if not is_id(movie):
            titles = titles or MoviesStore(settings.warehouse).titles()
        ratings.append((int(movie) if is_id(movie) else titles.find(movie), value))  # type: ignore[union-attr]
    return ratings


def wait_until_counted(settings: Settings, places: Sequence[tuple[int, int]]) -> bool:
    """Waits until the events at (partition, offset) are in the published lists; False if that cannot be.

    It cannot be while no stream runs, while nothing is published, or when WAIT_S have passed.
    """
    store, published = RatingsStore(settings.warehouse), RecommendationsStore(settings.warehouse)
    deadline = time.monotonic() + WAIT_S
    batch: int | None = None
    while time.monotonic() < deadline:
        if batch is None:
            state = store.state()
            taken = state.offsets.get(settings.topic, {})
            if all(taken.get(partition, 0) > offset for partition, offset in places):
                batch = state.batch
        if batch is not None:
            version = published.current_or_none()
            if version is None:
                return False
            if max(version.batch, Updates(version.path).batch()) >= batch:
                return True
        if not run_files.stream_runs(settings.warehouse):
            return False
        time.sleep(0.01)
    return False


def show(rated: Rated, *, waited: bool, as_json: bool) -> None:
    from reelstream.cli.tables import show_recommendations

    if as_json:
        print_json(rated)
        return
    out.print(f"User {rated.user_id}: {len(rated.ratings)} ratings are in Kafka.")
    if rated.recommendations:
        if rated.fresh_after_s is None:
            err.print("The list does not count them yet: no stream runs on this warehouse, or it is behind.")
        else:
            out.print(f"The list counts them {rated.fresh_after_s * 1000:.0f} ms later:")
        show_recommendations(f"For user {rated.user_id}", rated.recommendations)
    elif waited and rated.fresh_after_s is None:
        err.print("No version is published yet; the list follows with the first refit.")


def _user(word: str) -> int:
    if word == "new":
        return new_user_id()
    if not is_id(word):
        raise UsageError(f"{word[:80]!r} is not a user's id; give a number, or `new` for a new user.")
    return int(word)
