"""`rate --file`: one user's own ratings from another site into Kafka.

In: an export, and the titles of the warehouse. Out: the ratings of the movies that were found, sent; the others listed.

1. what the file is    2. its scale onto the warehouse's    3. each row's movie, the newest row of each    4. sent
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from reelstream.als.scale import Scale
from reelstream.api.results import Recommendation
from reelstream.cli import rate
from reelstream.cli.options import broker_address, err, out, print_json, show_bad_rows
from reelstream.errors import BadRating, UsageError
from reelstream.events import RatingEvent, check
from reelstream.ids import Id, number_of
from reelstream.producer.export_file import ExportRow, read_export
from reelstream.producer.rating_producer import rating_producer
from reelstream.producer.ratings_csv import BadRow
from reelstream.settings import Settings
from reelstream.store import id_texts
from reelstream.store.forgotten import Forgotten
from reelstream.store.id_texts import MOVIE, IdTexts
from reelstream.store.movies import MoviesStore, Titles
from reelstream.store.ratings import RatingsStore
from reelstream.store.title_index import TitleIndex

MISSES_SHOWN = 20


class Miss(NamedTuple):
    """A row whose movie was not found, and why."""

    line_number: int
    title: str
    reason: str


@dataclass(frozen=True, slots=True)
class FileRated:
    """`ratings` (movie id, stars), `titles` and `rated_at_ms` are those of the movies that were found, by time."""

    user_id: Id
    found: str
    ratings: list[tuple[Id, float]]
    titles: list[str | None]
    rated_at_ms: list[int]
    misses: list[Miss]
    unrated: int
    not_movies: int
    doubled: int
    """Rows of a movie that has a newer one."""
    not_liked: int
    """Rows that say so, where ratings are likes alone."""
    outdated: int
    """Ratings that the warehouse has a newer one of, which stays."""
    bad_rows: int
    first_bad: list[BadRow]
    sent: bool
    recommendations: list[Recommendation]
    fresh_after_s: float | None


def rate_file(settings: Settings, user: str, path: Path, count: int, *, dry_run: bool) -> FileRated:
    """Sends what is found, then waits for the fresh list as `reelstream.cli.rate.rate` does; dry_run: only looks.

    Raises UsageError if the file is no export that is known, or none of its movies is found.
    """
    user_id, now_ms = rate.user_or_new(settings, user), time.time_ns() // 1_000_000
    scale = settings.scale.rating_min, settings.scale.rating_max
    export = read_export(path, rating_min=scale[0], rating_max=scale[1], now_ms=now_ms)  # 1
    stars, how = _scaled(export.scale or scale, settings.scale)  # 2
    titles = MoviesStore(settings.warehouse).titles()
    ids = id_texts.of_warehouse(settings.warehouse).now()
    movies, misses = _matched(export.rows, titles, ids)  # 3
    newest: dict[Id, RatingEvent] = {}
    doubled = not_liked = 0
    for row, movie_id in sorted(movies, key=lambda one: one[0].rated_at_ms):
        rating = stars(row.rating)
        if rating is None:
            not_liked += 1
            newest.pop(movie_id, None)
            continue
        event = RatingEvent(user_id, movie_id, rating, row.rated_at_ms)
        try:
            check(event, rating_min=scale[0], rating_max=scale[1], now_ms=now_ms)
        except BadRating as bad:
            export.bad.add(BadRow(row.line_number, str(bad), row.titles[0] if row.titles else str(movie_id)))
            continue
        doubled += movie_id in newest
        newest[movie_id] = event
    if not newest:
        raise UsageError(_nothing(path, export.found, misses, export.bad.first, has_titles=len(titles.movie_ids) > 0))
    store, of_user = RatingsStore(settings.warehouse), number_of(user_id)
    events = _not_forgotten(
        sorted(newest.values(), key=lambda event: event.rated_at_ms), store.forgotten().get(of_user)
    )
    stored_ms = store.rated_at_ms(of_user)
    numbers = [number_of(event.movie_id) for event in events]
    places = [] if dry_run else _send(settings, events)  # 4
    return FileRated(
        user_id,
        " ".join(filter(None, (export.found, how))),
        [(event.movie_id, float(event.rating or 0)) for event in events],
        titles.of(np.array(numbers)).to_pylist(),
        [event.rated_at_ms for event in events],
        misses,
        export.unrated,
        export.not_movies,
        doubled,
        not_liked,
        sum(stored_ms.get(number, -1) > event.rated_at_ms for number, event in zip(numbers, events, strict=True)),
        export.bad.count,
        export.bad.first,
        not dry_run,
        *rate.fresh_list(settings, user_id, 0 if dry_run else count, places),
    )


def show(rated: FileRated, *, waited: bool, as_json: bool, unit: str = "stars") -> None:
    if as_json:
        print_json(rated)
        return
    out.print(rated.found, soft_wrap=True, markup=False)
    n = len(rated.ratings)
    whose = f"User {rated.user_id}: {n:,} {'rating' if n == 1 else 'ratings'}"
    days = [f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d}" for ms in rated.rated_at_ms]
    verb = "is" if n == 1 else "are"
    out.print(f"{whose} {f'{verb} in Kafka' if rated.sent else 'would be sent'}, from {days[0]} to {days[-1]}.")
    for count, what in (
        (rated.unrated, "without a rating"),
        (rated.not_movies, "of series, episodes or games"),
        (rated.doubled, "of a movie with a newer row"),
        (rated.not_liked, "of a movie that was not liked"),
    ):
        if count:
            err.print(f"{count:,} {'row' if count == 1 else 'rows'} {what}: left out.")
    if rated.outdated:
        have = "has" if rated.outdated == 1 else "have"
        err.print(f"{rated.outdated:,} of these movies {have} a newer rating here, which stays.")
    if rated.misses:
        n = len(rated.misses)
        err.print(f"{n:,} {'row was' if n == 1 else 'rows were'} matched to no movie:", style="yellow")
        for miss in rated.misses[:MISSES_SHOWN]:
            err.print(
                f"  line {miss.line_number}: {miss.title}: {miss.reason}", markup=False, emoji=False, soft_wrap=True
            )
        if n > MISSES_SHOWN:
            err.print(f"  and {n - MISSES_SHOWN:,} more; --json has all.")
    show_bad_rows(rated.bad_rows, rated.first_bad)
    if rated.sent:
        rate.show_list(rated.user_id, rated.recommendations, rated.fresh_after_s, waited=waited, unit=unit)


def _scaled(of_file: tuple[float, float], ours: Scale) -> tuple[Callable[[float], float | None], str]:
    """(a rating of the file on our scale, a sentence): linear from end to end, to the nearest step. Thumbs and likes ask only
    whether the movie was liked; one that was not is no like, None."""
    (low, high), (to_low, to_high), step = of_file, (ours.rating_min, ours.rating_max), ours.rating_step
    if of_file == (to_low, to_high):
        return float, ""
    if ours.kind in ("likes", "thumbs"):
        liked, less = Scale.of(low, high).liked, to_low if ours.kind == "thumbs" else None
        others = "left out" if less is None else f"{less:g}"
        said = f"Ratings from {low:g} to {high:g}: {liked:g} or more is {to_high:g}, all others are {others}."
        return lambda rating: to_high if rating >= liked else less, said

    def stars(rating: float) -> float:
        up = (rating - low) / (high - low) * (to_high - to_low)
        up = math.floor(up / step + 0.5) * step if step else up
        return min(max(to_low + up, to_low), to_high)

    rounded = {0.5: ", rounded to half ones", 1.0: ", rounded to whole ones"}.get(step, "")
    return stars, f"Ratings from {low:g} to {high:g} become {to_low:g} to {to_high:g}{rounded}."


def _matched(rows: Iterable[ExportRow], titles: Titles, ids: IdTexts) -> tuple[list[tuple[ExportRow, Id]], list[Miss]]:
    """(rows with their movie's id, the others)."""
    index = TitleIndex(titles)
    movies, misses = list[tuple[ExportRow, Id]](), list[Miss]()
    for row in rows:
        if row.movie_id is not None:
            movies.append((row, row.movie_id))
            continue
        found = index.find(row.titles, row.year)
        if len(found) == 1:
            movies.append((row, ids.own(MOVIE, found[0][0])))
            continue
        title = row.titles[0] if row.year is None else f"{row.titles[0]} ({row.year})"
        others = found or index.of_any_year(row.titles)
        reason = "several movies fit" if found else "of another year" if others else "not found"
        misses.append(Miss(row.line_number, title, ": ".join(filter(None, (reason, _listed(others, ids))))))
    return movies, misses


def _listed(movies: list[tuple[int, str]], ids: IdTexts) -> str:
    return ", ".join(f"{ids.own(MOVIE, movie_id)} = {title}" for movie_id, title in movies[:5])


def _nothing(path: Path, found: str, misses: list[Miss], bad: list[BadRow], *, has_titles: bool) -> str:
    if misses and not has_titles:
        return f"no titles are loaded to find the movies of {path} by; load them with `reelstream movies load`."
    if misses:
        n, first = len(misses), misses[0]
        which = f"line {first.line_number}: {first.title}: {first.reason}"
        return f"none of the {n:,} movies of {path} is loaded ({which}); load more with `reelstream movies load`."
    why = f"line {bad[0].line_number}: {bad[0].reason}" if bad else found
    return f"{path} has no rating to send: {why.rstrip('.')}."


def _not_forgotten(events: list[RatingEvent], forgotten: Forgotten | None) -> list[RatingEvent]:
    """events: in the order of their times. Of a user who was forgotten, those from before that are given anew: their times
    are the earliest after it, in their order."""
    if forgotten is None:
        return events
    earliest = forgotten.until_ms + 1
    return [replace(one, rated_at_ms=max(one.rated_at_ms, earliest + i)) for i, one in enumerate(events)]


def _send(settings: Settings, events: Iterable[RatingEvent]) -> list[tuple[int, int]]:
    """The (partition, offset) of the last event in each partition, all acknowledged."""
    with rating_producer(settings, broker_address(settings)) as producer:
        for event in events:
            producer.send(event)
        producer.flush()
        return [(partition, end - 1) for partition, end in producer.offsets.items()]
