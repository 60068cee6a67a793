"""`replay`, `rate`: ratings into Kafka."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reelstream.cli.exit_codes import BAD_ROWS
from reelstream.cli.file_options import Columns, Delimiter, Encoding, FileTimeUnit, Unrated, overrides_of
from reelstream.cli.options import AsJson, Bootstrap, CommandConfig, Topic, Warehouse, err, settings_of
from reelstream.errors import UsageError


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
