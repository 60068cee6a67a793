"""`up`, `stream`, `broker`: what runs until Ctrl-C."""

from __future__ import annotations

from typing import Annotated

import typer

from reelstream.cli.options import (
    AcceptDataLoss,
    Bootstrap,
    CommandConfig,
    FieldNames,
    Registry,
    TimeUnit,
    Topics,
    ValueFormat,
    Warehouse,
    joined,
    settings_of,
    topics_of,
)
from reelstream.cli.serve import Host
from reelstream.errors import UsageError


def up(
    warehouse: Warehouse = None,
    bootstrap_servers: Bootstrap = None,
    command_config: CommandConfig = None,
    topic: Topics = None,
    port: Annotated[int | None, typer.Option(help="Port of the embedded broker. \\[default: any free one]")] = None,
    engine: Annotated[str | None, typer.Option(help="native or mllib. \\[default: native]")] = None,
    refit_after_ratings: Annotated[int | None, typer.Option(help="Refit when so many ratings came …")] = None,
    refit_after_minutes: Annotated[float | None, typer.Option(help="… or after so many minutes with any.")] = None,
    serve: Annotated[bool, typer.Option("--serve/--no-serve", help="Serve the HTTP API and the page too.")] = True,
    host: Host = None,
    http_port: Annotated[
        int | None,
        typer.Option("--http-port", help="Port of the HTTP API and the page. \\[default: 8000 if free, else any]"),
    ] = None,
    value_format: ValueFormat = None,
    schema_registry: Registry = None,
    field: FieldNames = None,
    time_unit: TimeUnit = None,
    accept_data_loss: AcceptDataLoss = False,
) -> None:
    """Run all of it: broker, stream, refits, HTTP API and page. Ctrl-C ends it in order.

    Examples: `reelstream up` · `reelstream up --topic ratings --topic shop.ratings --field user_id=uid` ·
    `reelstream up --warehouse /data/movies --bootstrap-servers kafka:9092`
    """
    from reelstream.cli import up as running

    running.up(
        settings_of(
            warehouse,
            bootstrap_servers,
            command_config,
            **topics_of(topic),
            broker_port=port,
            engine=engine,
            refit_after_ratings=refit_after_ratings,
            refit_after_minutes=refit_after_minutes,
            serve_host=host,
            serve_port=http_port,
            value_format=value_format,
            schema_registry=schema_registry,
            fields=joined(field),
            time_unit=time_unit,
        ),
        accept_data_loss=accept_data_loss,
        serve=serve,
    )


def stream(
    warehouse: Warehouse = None,
    bootstrap_servers: Bootstrap = None,
    command_config: CommandConfig = None,
    topic: Topics = None,
    value_format: ValueFormat = None,
    schema_registry: Registry = None,
    field: FieldNames = None,
    time_unit: TimeUnit = None,
    accept_data_loss: AcceptDataLoss = False,
) -> None:
    """Run the stream alone: Kafka into the ratings store, and fold-in. Ctrl-C ends it.

    Examples: `reelstream stream --bootstrap-servers kafka:9092` ·
    `reelstream stream --value-format avro --schema-registry http://registry:8081 --topic shop.ratings` ·
    `reelstream stream --topic shop.ratings --field user_id=uid --field movie_id=item.id --field rated_at=at --time-unit s`
    """
    from reelstream.cli import up as running

    settings = settings_of(
        warehouse,
        bootstrap_servers,
        command_config,
        **topics_of(topic),
        value_format=value_format,
        schema_registry=schema_registry,
        fields=joined(field),
        time_unit=time_unit,
    )
    running.stream(settings, accept_data_loss=accept_data_loss)


def broker(
    warehouse: Warehouse = None,
    bootstrap_servers: Bootstrap = None,
    port: Annotated[int | None, typer.Option(help="Its port. \\[default: any free one]")] = None,
) -> None:
    """Run the embedded Kafka broker alone, with its data in the warehouse. Ctrl-C ends it.

    Example: `reelstream broker --port 9092`
    """
    from reelstream.cli import up as running

    if bootstrap_servers:
        raise UsageError("`reelstream broker` starts a broker of its own; leave out --bootstrap-servers.")
    running.broker(settings_of(warehouse, broker_port=port))
