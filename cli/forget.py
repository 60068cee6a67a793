"""`forget`: everything of a user is removed, by an event like any other, so that its order among the ratings is clear."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

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
    settings_of,
    user_of,
)

if TYPE_CHECKING:
    from reelstream.events import ForgetEvent
    from reelstream.ids import Id
    from reelstream.settings import Settings
    from reelstream.store.forgotten import Removed

WAIT_S = 120.0


@dataclass(frozen=True, slots=True)
class ForgetAnswer:
    """`removed` is None where no stream has done it yet."""

    event: ForgetEvent
    removed: Removed | None


def forget(
    user: Annotated[str, typer.Argument(help="The user's id.")],
    warehouse: Warehouse = None,
    bootstrap_servers: Bootstrap = None,
    command_config: CommandConfig = None,
    topic: Topic = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove all that is stored of a user: ratings, rejected events, rows of the models, and lists.

    What the user rates from now on starts afresh; the user's id and the time of the request stay, so that late events
    cannot bring the rest back. The events in Kafka stay too, and this one after them. Example: `reelstream forget 42`
    """
    if not yes:
        typer.confirm(f"Remove everything that user {user} rated?", abort=True, err=True)
    settings = settings_of(warehouse, bootstrap_servers, command_config, topic)
    asked = ask(settings, user_of(settings, user))
    if as_json:
        print_json(_plain(asked))
        return
    if asked.removed is None:
        err.print("The request is in Kafka; no stream has done it yet. It will be done as soon as one runs.")
        return
    removed = asked.removed
    out.print(
        f"User {user} is forgotten: {removed.ratings:,} ratings, {removed.rejects:,} rejected events, {removed.models:,} rows "
        f"of models and {removed.lists:,} rows of lists were removed. What other users' models learned from them is "
        "removed by the next refit.",
        soft_wrap=True,
    )


def ask(settings: Settings, user_id: Id) -> ForgetAnswer:
    """Sends the request and waits until it is done. Raises BadRating for what is no id, BrokerUnavailable."""
    from reelstream.events import ForgetEvent
    from reelstream.ids import check_id
    from reelstream.producer.rating_producer import rating_producer
    from reelstream.store.own_times import OwnTimes

    check_id("user_id", user_id)
    event = ForgetEvent(user_id, OwnTimes(settings.warehouse).to_forget(user_id))
    with rating_producer(settings, broker_address(settings)) as producer:
        producer.send_now([event])
    return ForgetAnswer(event, _wait_until_removed(settings, event))


def _wait_until_removed(settings: Settings, event: ForgetEvent) -> Removed | None:
    from reelstream.ids import number_of
    from reelstream.store import run_files
    from reelstream.store.ratings import RatingsStore

    store = RatingsStore(settings.warehouse)

    def removed() -> Removed | None:
        done = store.forgotten().get(number_of(event.user_id))
        return done.removed if done and done.until_ms >= event.rated_at_ms else None

    return run_files.wait_for_stream(settings.warehouse, removed, WAIT_S)


def _plain(asked: ForgetAnswer) -> dict[str, Any]:
    return {
        "user_id": asked.event.user_id,
        "rated_up_to_ms": asked.event.rated_at_ms,
        "removed": asked.removed and asdict(asked.removed),
    }
