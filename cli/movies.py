"""`movies`: titles and genres, beside a running stream."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reelstream.cli.options import AsJson, Warehouse, out, print_json, settings_of

movies = typer.Typer(name="movies", help="Titles and genres of the movies.", no_args_is_help=True)


@movies.callback()
def _movies() -> None:
    """Keeps `load` a command of its own: typer leaves out the name of a single one."""


@movies.command()
def load(
    file: Annotated[Path, typer.Argument(help="A MovieLens movies.csv: movieId, title, genres.")],
    warehouse: Warehouse = None,
    as_json: AsJson = False,
) -> None:
    """Load titles and genres, or change them: they show at once, also in lists that are there already.

    Example: `reelstream movies load ml-latest-small/movies.csv`
    """
    from reelstream.store.movies import MoviesStore, read_csv

    titles = MoviesStore(settings_of(warehouse).warehouse).load(read_csv(file))
    print_json({"titles": titles}) if as_json else out.print(f"{titles:,} titles.")
