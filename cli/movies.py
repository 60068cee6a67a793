"""`movies`: titles and genres, and which movies are on no list; beside a running stream."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reelstream.cli.exit_codes import BAD_ROWS
from reelstream.cli.options import (
    AsJson,
    Warehouse,
    err,
    existing_warehouse,
    out,
    print_json,
    print_table,
    settings_of,
    show_bad_rows,
)
from reelstream.errors import UsageError

movies = typer.Typer(
    name="movies", help="Titles and genres of the movies; movies that no list has.", no_args_is_help=True
)

Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Ids of movies.")]
ByTitle = Annotated[list[str] | None, typer.Option("--title", help="A movie by its title; again for each.")]


@movies.command()
def load(
    file: Annotated[
        Path,
        typer.Argument(help="A movies.csv, movies.dat or u.item, a directory or zip of MovieLens, or another CSV."),
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


@movies.command()
def hide(ids: Ids = None, title: ByTitle = None, warehouse: Warehouse = None, as_json: AsJson = False) -> None:
    """Hide movies: from now on no list has them, of whomever, while their ratings are still learned from.

    A search by title still finds them. Example: `reelstream movies hide 296 --title "Toy Story"`
    """
    _set(ids, title, warehouse, as_json, hidden=True)


@movies.command()
def show(ids: Ids = None, title: ByTitle = None, warehouse: Warehouse = None, as_json: AsJson = False) -> None:
    """Show hidden movies again.

    A list that was made while they were hidden has them after the next refit, or once its user rates.
    Example: `reelstream movies show 296`
    """
    _set(ids, title, warehouse, as_json, hidden=False)


@movies.command()
def hidden(warehouse: Warehouse = None, as_json: AsJson = False) -> None:
    """The movies that no list has, the newest first. Example: `reelstream movies hidden --json`"""
    import reelstream

    found = reelstream.open(settings_of(warehouse).warehouse).hidden()
    if as_json:
        print_json(found)
    elif found:
        print_table(
            "Hidden",
            ("movie", "title", "since"),
            [(m.movie_id, m.title, f"{m.hidden_at:%Y-%m-%d %H:%M}") for m in found],
        )
    else:
        err.print("No movie is hidden.")


def _set(
    ids: list[str] | None, titles: list[str] | None, warehouse: Path | None, as_json: bool, *, hidden: bool
) -> None:
    import reelstream
    from reelstream.store.hidden_movies import HiddenMovies

    path = existing_warehouse(settings_of(warehouse))
    recommender = reelstream.open(path)
    movie_ids = [recommender.find_movie(one) for one in (*(ids or ()), *(titles or ()))]
    if not movie_ids:
        raise UsageError("no movie is named; give ids, or titles with --title.")
    HiddenMovies(path).set(movie_ids, hidden=hidden)
    if as_json:
        print_json([{"movie_id": one, "title": recommender.title(one), "hidden": hidden} for one in movie_ids])
        return
    for one in movie_ids:
        name = recommender.title(one) or f"movie {one}"
        out.print(f"{name} is {'hidden' if hidden else 'shown again'}.", markup=False, soft_wrap=True)
