"""`movies`: titles and genres, beside a running stream."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reelstream.cli.exit_codes import BAD_ROWS
from reelstream.cli.options import AsJson, Warehouse, err, out, print_json, settings_of, show_bad_rows

movies = typer.Typer(name="movies", help="Titles and genres of the movies.", no_args_is_help=True)


@movies.callback()
def _movies() -> None:
    """Keeps `load` a command of its own: typer leaves out the name of a single one."""


@movies.command()
def load(
    file: Annotated[
        Path, typer.Argument(help="A movies.csv, movies.dat or u.item of MovieLens, or another CSV, also compressed.")
    ],
    warehouse: Warehouse = None,
    as_json: AsJson = False,
) -> None:
    """Load titles and genres, or change them: they show at once, also in lists that are there already.

    Rows that are none are shown and left out; the exit code is 8 then.
    Example: `reelstream movies load ml-latest-small/movies.csv`
    """
    from reelstream.producer.movies_file import read_movies
    from reelstream.store.movies import MoviesStore

    found = read_movies(file)
    titles = MoviesStore(settings_of(warehouse).warehouse).load(found.table)
    if as_json:
        print_json({"titles": titles, "bad_rows": found.bad.count, "encoding": found.encoding})
    else:
        out.print(f"{titles:,} titles.")
        if found.encoding not in ("utf-8", "utf-16-le", "utf-16-be"):
            err.print(f"The file is not UTF-8; it was taken for {found.encoding}.")
        show_bad_rows(found.bad.count, found.bad.first)
    if found.bad.count:
        raise typer.Exit(BAD_ROWS)
