"""`dismiss`: movies that a user is not interested in, by an event like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from reelstream.cli.options import (
    AsJson,
    Bootstrap,
    CommandConfig,
    Topic,
    Warehouse,
    broker_address,
    err,
    out,
    print_json,
    print_table,
    settings_of,
    user_of,
)

if TYPE_CHECKING:
    from reelstream.api.results import DismissedMovie


def dismiss(
    user: Annotated[str, typer.Argument(help="The user's id.")],
    movies: Annotated[list[str] | None, typer.Argument(metavar="[MOVIE]...", help="Ids or titles of movies.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take it back: lists may have the movies again.")] = False,
    warehouse: Warehouse = None,
    bootstrap_servers: Bootstrap = None,
    command_config: CommandConfig = None,
    topic: Topic = None,
    as_json: AsJson = False,
) -> None:
    """Tell that a user is not interested in movies: no list of the user has them until that is taken back.

    It is no rating, and no model learns from it. Without a movie: those that the user has dismissed.
    Examples: `reelstream dismiss 42 296 "Toy Story"` · `reelstream dismiss 42 296 --undo` · `reelstream dismiss 42`
    """
    import reelstream
    from reelstream.cli.rate import wait_until_counted
    from reelstream.events import DismissEvent
    from reelstream.ids import check_id
    from reelstream.producer.rating_producer import rating_producer
    from reelstream.store.own_times import OwnTimes

    settings = settings_of(warehouse, bootstrap_servers, command_config, topic)
    recommender, user_id = reelstream.open(settings.warehouse), user_of(settings, user)
    if not movies:
        _list(recommender.dismissed(user_id), user, as_json)
        return
    chosen = [recommender.find_movie(word) for word in movies]
    check_id("user_id", user_id)
    for movie_id in chosen:
        check_id("movie_id", movie_id)
    times_ms = OwnTimes(settings.warehouse).to_dismiss(user_id, chosen)
    events = [DismissEvent(user_id, movie_id, not undo, at) for movie_id, at in zip(chosen, times_ms, strict=True)]
    with rating_producer(settings, broker_address(settings)) as producer:
        places = producer.send_now(events)
    counted = wait_until_counted(settings, places)
    if as_json:
        print_json({"user_id": user_id, "movies": chosen, "dismissed": not undo, "counted": counted})
        return
    for movie_id in chosen:
        name = recommender.title(movie_id) or f"movie {movie_id}"
        out.print(f"{name}: {'may be' if undo else 'never'} recommended to user {user}.", markup=False, soft_wrap=True)
    if not counted:
        err.print(
            "The lists do not count it yet: no stream runs on this warehouse, it is behind, or nothing is published."
        )


def _list(found: list[DismissedMovie], user: str, as_json: bool) -> None:
    if as_json:
        print_json(found)
    elif found:
        rows = [(one.movie_id, one.title, f"{one.dismissed_at:%Y-%m-%d %H:%M}") for one in found]
        print_table(f"Dismissed by user {user}", ("movie", "title", "since"), rows)
    else:
        err.print(f"User {user} has dismissed no movie.")
