"""What the commands share: options, settings, the broker's address, and how answers and errors are printed."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from datetime import time as clock_time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from reelstream.api.warehouse import existing
from reelstream.cli.safe_console import SafeConsole, escape_controls
from reelstream.errors import BrokerUnavailable, UsageError

if TYPE_CHECKING:
    from reelstream.ids import Id
    from reelstream.producer.ratings_csv import BadRow
    from reelstream.settings import Settings

out = SafeConsole(highlight=False, emoji=False)
err = SafeConsole(stderr=True, highlight=False, emoji=False)

Warehouse = Annotated[
    Path | None,
    typer.Option("--warehouse", help="Directory of all tables. \\[env REELSTREAM_WAREHOUSE; default: warehouse]"),
]
Bootstrap = Annotated[
    str | None,
    typer.Option(
        "--bootstrap-servers",
        help="Kafka to use, as host:port,host:port. Without it: the embedded broker. \\[env REELSTREAM_BOOTSTRAP_SERVERS]",
    ),
]
CommandConfig = Annotated[
    Path | None,
    typer.Option("--command-config", help="A Java client.properties with SASL or TLS settings for that Kafka."),
]
TOPIC = typer.Option(
    "--topic",
    help="Kafka topic of the rating events. up and stream read several: --topic once more, or a comma. \\[default: ratings]",
)
Topic = Annotated[str | None, TOPIC]
Topics = Annotated[list[str] | None, TOPIC]
FieldNames = Annotated[
    list[str] | None,
    typer.Option(
        "--field",
        metavar="FIELD=NAME",
        help="The name of user_id, movie_id, rating, rated_at or action in JSON of other producers, such as user_id=uid or "
        "user_id=payload.after.uid; rated_at=@timestamp is the record's own time.",
    ),
]
TimeUnit = Annotated[
    str | None,
    typer.Option("--time-unit", help="Of numbers for rated_at from other producers: s, ms, us or ns. \\[default: ms]"),
]
ValueFormat = Annotated[
    str | None,
    typer.Option("--value-format", help="Form of the events in Kafka: json, connect or debezium. \\[default: json]"),
]
Registry = Annotated[
    str | None,
    typer.Option("--schema-registry", help="Address of a Confluent-compatible schema registry, for avro and protobuf."),
]
AcceptDataLoss = Annotated[
    bool,
    typer.Option(
        "--accept-data-loss",
        help="Go on where Kafka's retention deleted events before the stream took them; says which.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Count = Annotated[int, typer.Option("-n", "--count", min=1, max=1000, help="How many movies.")]


def settings_of(
    warehouse: Path | None = None,
    bootstrap_servers: str | None = None,
    command_config: Path | None = None,
    topic: str | None = None,
    **more: Any,
) -> Settings:
    """The settings of this run: flags over REELSTREAM_* over reelstream.toml over defaults."""
    from reelstream.settings import load

    return load(
        warehouse=warehouse,
        bootstrap_servers=bootstrap_servers,
        command_config=command_config,
        topic=topic,
        **more,
    )


def topics_of(given: list[str] | None) -> dict[str, str | None]:
    """The settings of --topic, which may be there more than once: the first is that of our own events."""
    if not given:
        return {}
    first, *more = ",".join(given).split(",")
    return {"topic": first, "more_topics": ",".join(more) or None}


def joined(given: list[str] | None) -> str | None:
    """An option that is given more than once, as its setting has it."""
    return ",".join(given) if given else None


def without_login(url: str | None) -> str | None:
    """An address that may be shown."""
    return url and re.sub(r"//[^/]*@", "//***@", url)


def existing_warehouse(settings: Settings) -> Path:
    """Raises NotReady if there is none."""
    return existing(settings.warehouse)


def broker_address(settings: Settings) -> str:
    """The Kafka to talk to: the one given, else the embedded broker that runs on this warehouse."""
    from reelstream.broker.embedded import running_broker

    address = settings.bootstrap_servers or running_broker(broker_directory(settings))
    if not address:
        raise BrokerUnavailable(
            f"no broker runs on {settings.warehouse}; start `reelstream up --warehouse {settings.warehouse}` in another "
            "terminal, or name a Kafka with --bootstrap-servers."
        )
    return address


def broker_directory(settings: Settings) -> Path:
    return settings.warehouse / "broker"


def print_json(value: Any) -> None:
    """One JSON document on stdout: indented on a terminal, in one line elsewhere."""
    text = json.dumps(value, default=_plain, ensure_ascii=False, indent=2 if out.is_terminal else None)
    out.out(escape_controls(text))


def print_table(title: str | None, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Title and cells are shown as they are: what looks like markup may be a movie's title or a hostile event."""
    table = Table(
        title=None if title is None else Text(title), title_justify="left", title_style="bold", box=None, pad_edge=False
    )
    for column in columns:
        table.add_column(column, justify="left" if column in ("title", "source", "reason", "raw", "where") else "right")
    for row in rows:
        table.add_row(
            *(Text("—" if cell is None else f"{cell:.2f}" if isinstance(cell, float) else str(cell)) for cell in row)
        )
    out.print(table)


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Progress]:
    """A progress bar on stderr, so that stdout holds only the answer; removed when done."""
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=quiet or not err.is_terminal,
    ) as progress:
        yield progress


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, date | clock_time):
        return value.isoformat()
    if isinstance(value, timedelta | UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def show_assumed(assumed: Sequence[str], of: Path) -> None:
    """What was taken for granted of a file that does not say it, on stderr."""
    for sentence in assumed:
        err.print(f"{of.name}: {sentence}", markup=False, soft_wrap=True)


def show_bad_rows(count: int, first_bad: Sequence[BadRow], of: Path | None = None) -> None:
    """How many rows of a CSV were left out, and the first of them with line number and reason, on stderr."""
    if count:
        which = f" of {of}" if of else ""
        rows, were = ("row", "was") if count == 1 else ("rows", "were")
        err.print(f"{count:,} bad {rows}{which} {were} left out:", style="yellow", markup=False, soft_wrap=True)
    for row in first_bad:
        err.print(f"  line {row.line_number}: {row.reason}: {row.text[:80]!r}", markup=False, soft_wrap=True)


def user_of(settings: Settings, word: str, or_else: str = "") -> Id:
    """A user's id: a number, or any text where the users' ids are text. Raises UsageError for what is no id."""
    from reelstream.events import is_id
    from reelstream.ids import check_id
    from reelstream.store import id_texts

    if is_id(word):
        return int(word)
    if id_texts.of_warehouse(settings.warehouse).now().is_text.get(id_texts.USER) is False:
        raise UsageError(f"{word[:80]!r} is not a user's id; give a number{or_else and ', or ' + or_else}.")
    check_id("user", word)
    return word
