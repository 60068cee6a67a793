"""The `reelstream` command: each command parses, calls the API, prints."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from reelstream import __version__
from reelstream.cli.dismiss import dismiss
from reelstream.cli.evaluate import evaluate
from reelstream.cli.exit_codes import BAD_ROWS
from reelstream.cli.file_options import Columns, Delimiter, Encoding, FileTimeUnit, Unrated, overrides_of
from reelstream.cli.forget import forget
from reelstream.cli.movies import movies
from reelstream.cli.options import (
    AcceptDataLoss,
    AsJson,
    Bootstrap,
    CommandConfig,
    FieldNames,
    Registry,
    TimeUnit,
    Topic,
    Topics,
    ValueFormat,
    Warehouse,
    err,
    existing_warehouse,
    joined,
    out,
    print_json,
    progress_bar,
    settings_of,
    topics_of,
    without_login,
)
from reelstream.cli.read import popular, predict, recommend, similar
from reelstream.cli.report import report
from reelstream.cli.rollback import rollback
from reelstream.cli.serve import Host
from reelstream.cli.serve import serve as serve_alone
from reelstream.cli.sql import sql
from reelstream.cli.tune import tune
from reelstream.errors import MissingRequirement, ReelstreamError, UsageError
from reelstream.extras import extra_of
from reelstream.failpoint import check_failpoint

app = typer.Typer(
    name="reelstream",
    help="A streaming, incremental movie recommender.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 done · 1 unexpected · 2 wrong usage · 3 nothing there yet · 4 Java, jars, disk or network "
    "missing · 5 no broker answers · 6 another process holds the warehouse · 7 damaged or too new a store · 8 done, but "
    "some CSV rows were bad · 9 a refit is worse than the last version and held back",
)


def run() -> None:
    """The console script: every expected error is one sentence on stderr and its own exit code."""
    try:
        app(prog_name="reelstream", standalone_mode=True)
    except ReelstreamError as error:
        err.print(f"reelstream: {error}", style="red", soft_wrap=True, markup=False)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        extra = extra_of(error.name)
        if not extra:
            raise
        missing = MissingRequirement(f"this needs an extra; install it with pip install 'reelstream[{extra}]'.")
        err.print(f"reelstream: {missing}", style="red", soft_wrap=True, markup=False)
        sys.exit(missing.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def _version(asked: bool) -> None:
    if asked:
        out.print(f"reelstream {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    check_failpoint()


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
def replay(
    file: Annotated[
        Path,
        typer.Argument(
            help="Ratings as CSV, JSON, Parquet or Arrow, also compressed; or a directory or archive, as of MovieLens."
        ),
    ],
    warehouse: Warehouse = None,
    bootstrap_servers: Bootstrap = None,
    command_config: CommandConfig = None,
    topic: Topic = None,
    rate: Annotated[float | None, typer.Option(help="Events a second. \\[default: as fast as it goes]")] = None,
    speed: Annotated[float | None, typer.Option(help="Times real time, by the rows' timestamps.")] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="Send so many rows at the most.")] = None,
    resume: Annotated[
        bool, typer.Option(help="Continue after the last acknowledged row of an earlier replay.")
    ] = False,
    strict: Annotated[bool, typer.Option(help="Stop at the first bad row.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Report the form of the file and its rows, and send nothing.")
    ] = False,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    column: Columns = None,
    time_unit: FileTimeUnit = None,
    unrated: Unrated = None,
    as_json: AsJson = False,
) -> None:
    """Send a file of ratings as events, in time order; of a directory or archive of MovieLens, its titles too.

    The detected form of the file is reported before anything is sent. Bad rows are shown and left out; the exit code is 8
    then. Examples: `reelstream replay ratings.csv` · `reelstream replay ml-1m.zip --dry-run` ·
    `reelstream replay ratings.csv --rate 100 --resume` · `reelstream replay shop.tsv --column user_id=customer`
    """
    from reelstream.cli import replay as replaying
    from reelstream.producer.file_form import detect
    from reelstream.producer.file_scale import scale_of

    settings = settings_of(warehouse, bootstrap_servers, command_config, topic)
    form = detect(file, overrides_of(delimiter, encoding, column, time_unit, unrated))
    titles, about_titles = replaying.titles_of(settings, file)
    if dry_run:
        if replaying.dry_run(settings, file, form, about_titles, as_json=as_json):
            raise typer.Exit(BAD_ROWS)
        return
    scale, of_scale = scale_of(settings, file, form)
    if not as_json:
        said = (f"{form}{about_titles}", of_scale, replaying.elsewhere(settings, scale))
        err.print(" ".join(filter(None, said)), soft_wrap=True, markup=False)
    result = replaying.replay_file(
        settings,
        file,
        rate=rate,
        speed=speed,
        limit=limit,
        resume=resume,
        strict=strict,
        quiet=as_json,
        form=form,
        titles=titles,
        scale=scale,
    )
    replaying.show(result, as_json=as_json)
    if result.bad_rows:
        raise typer.Exit(BAD_ROWS)


@app.command()
def rate(
    ratings: Annotated[
        list[str] | None, typer.Argument(metavar="USER MOVIE=STARS …", help="Movies by id or by title.")
    ] = None,
    warehouse: Warehouse = None,
    bootstrap_servers: Bootstrap = None,
    command_config: CommandConfig = None,
    topic: Topic = None,
    user: Annotated[str | None, typer.Option(help="The user's id, or `new`; instead of the first argument.")] = None,
    count: Annotated[int, typer.Option("-n", "--count", min=0, help="Show so many fresh movies; 0: do not wait.")] = 10,
    file: Annotated[
        Path | None,
        typer.Option(help="The user's export of Letterboxd, IMDb, Trakt or Goodreads, or of movie ids and ratings."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what of --file would be sent, and send nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Rate movies now, and see the fresh recommendations. A rating again replaces the one before, `none` takes it back.

    Of a file each movie is found by its title and year, and rated at the file's own time; those that are not found are
    listed, and the exit code is 8 then.

    Examples: `reelstream rate 42 296=5 "Toy Story=3.5"` · `reelstream rate 42 296=none` ·
    `reelstream rate --user new "Matrix, The (1999)=5"` · `reelstream rate 42 --file letterboxd/ratings.csv --dry-run`
    """
    from reelstream.cli import rate as rating
    from reelstream.errors import UsageError

    given = [*([user] if user is not None else []), *(ratings or [])]
    if not given:
        raise UsageError("say whose ratings these are, such as 42, or `new` for a new user.")
    settings = settings_of(warehouse, bootstrap_servers, command_config, topic)
    unit = settings.scale.unit
    if file:
        from reelstream.cli import rate_file

        if given[1:]:
            raise UsageError(f"--file and {given[1]!r} exclude each other; give one of them.")
        found = rate_file.rate_file(settings, given[0], file, count, dry_run=dry_run)
        rate_file.show(found, waited=count > 0, as_json=as_json, unit=unit)
        if found.misses or found.bad_rows:
            raise typer.Exit(BAD_ROWS)
        return
    if dry_run:
        raise UsageError("--dry-run is for --file; give one.")
    rated = rating.rate(settings, given[0], given[1:], count)
    rating.show(rated, waited=count > 0, as_json=as_json, unit=unit)


app.command()(dismiss)
app.command()(forget)
app.command()(sql)
app.command("serve")(serve_alone)


app.command()(recommend)
app.command()(predict)
app.command()(similar)
app.command()(popular)


@app.command()
def refit(
    warehouse: Warehouse = None,
    bootstrap_servers: Bootstrap = None,
    engine: Annotated[str | None, typer.Option(help="native or mllib. \\[default: native]")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Publish it even if it is worse than the last version.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fit both models on all ratings now and publish a new version.

    It is measured on each user's newest ratings; one that is worse than the last version by more than `gate_margin`, or
    than the popular movies, is held back, and the exit code is 9. Examples: `reelstream refit --engine mllib` ·
    `reelstream refit --force`
    """
    from reelstream.batch.refit import refit as run_refit

    settings = settings_of(warehouse, bootstrap_servers, engine=engine)
    existing_warehouse(settings)
    with progress_bar(quiet=as_json) as bar:
        task = bar.add_task("refit", total=None, note="")

        def progress(what: str, done: int, of: int) -> None:
            bar.update(task, description=what, completed=done, total=of)

        version = run_refit(settings, force=force, progress=progress)
    if as_json:
        print_json({"version": version.name, "as_of": version.as_of, "accepted": version.accepted, **version.info})
        return
    from reelstream.cli.status import print_metrics

    out.print(f"Version {version.name} published in {version.info['seconds']['all']:.1f} s.")
    print_metrics(version.info)


app.command()(rollback)
app.command()(evaluate)
app.command()(tune)
app.command()(report)
app.add_typer(movies)


@app.command()
def status(warehouse: Warehouse = None, bootstrap_servers: Bootstrap = None, as_json: AsJson = False) -> None:
    """What runs, how far it is, how fresh it is, and what went wrong last.

    Example: `reelstream status --json`
    """
    from reelstream.api.status import collect
    from reelstream.cli import status as statuses

    value = collect(settings_of(warehouse, bootstrap_servers))
    print_json(value) if as_json else statuses.show(value)


@app.command()
def rejects(
    warehouse: Warehouse = None,
    bootstrap_servers: Bootstrap = None,
    count: Annotated[int, typer.Option("-n", "--count", min=0, help="Show so many of the newest.")] = 20,
    full: Annotated[
        bool, typer.Option("--full", help="Show all bytes of each, not cut at the terminal's width.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Rejected events, with the reason, the field that is wrong, where they came from, and their bytes.

    Example: `reelstream rejects -n 5 --full`
    """
    from reelstream.cli import status as statuses

    statuses.show_rejects(settings_of(warehouse, bootstrap_servers), count, full=full, as_json=as_json)


@app.command()
def settings(warehouse: Warehouse = None, bootstrap_servers: Bootstrap = None, as_json: AsJson = False) -> None:
    """Every setting, its value now, and what it means.

    Example: `reelstream settings --json`
    """
    from reelstream.settings import Settings

    now = settings_of(warehouse, bootstrap_servers)
    values = now.model_dump(mode="json") | asdict(now.scale) | {"liked_from": now.scale.liked}
    values["serve_token"] = values["serve_token"] and "(set)"
    values["schema_registry"] = without_login(values["schema_registry"])
    if as_json:
        print_json(values)
        return
    for name, field in Settings.model_fields.items():
        out.print(f"[bold]{name}[/] = {escape(str(values[name]))}", soft_wrap=True)
        out.print(f"    {field.description}", soft_wrap=True, markup=False)


@app.command()
def demo(
    ratings: Annotated[
        Path | None, typer.Option(help="Your own ratings.csv. \\[default: 100,004 real ratings]")
    ] = None,
    titles: Annotated[Path | None, typer.Option("--movies", help="Its movies.csv, for titles.")] = None,
    warehouse: Warehouse = None,
    as_json: AsJson = False,
) -> None:
    """All of it on real ratings, from an empty broker to a new user's fresh top 10; ends by itself.

    Example: `reelstream demo --ratings ml-latest-small/ratings.csv --movies ml-latest-small/movies.csv`
    """
    from reelstream.cli.demo import demo as run_demo

    run_demo(settings_of(warehouse), ratings, titles, as_json=as_json)


if __name__ == "__main__":
    run()
