"""The `reelstream` command: all of its commands, and what their errors become. Each parses, calls the API, prints."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from reelstream import __version__
from reelstream.cli.dismiss import dismiss
from reelstream.cli.evaluate import evaluate
from reelstream.cli.forget import forget
from reelstream.cli.long_running import broker, stream, up
from reelstream.cli.looking import rejects, settings, status
from reelstream.cli.movies import movies
from reelstream.cli.options import AsJson, Warehouse, err, out, settings_of
from reelstream.cli.read import popular, predict, recommend, similar
from reelstream.cli.refit import refit
from reelstream.cli.report import report
from reelstream.cli.rollback import rollback
from reelstream.cli.sending import rate, replay
from reelstream.cli.serve import serve
from reelstream.cli.sql import sql
from reelstream.cli.tune import tune
from reelstream.errors import MissingRequirement, ReelstreamError
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


for command in (
    *(up, stream, broker),
    *(replay, rate, dismiss, forget),
    *(sql, serve),
    *(recommend, predict, similar, popular),
    *(refit, rollback, evaluate, tune, report),
    *(status, rejects, settings),
):
    app.command()(command)
app.add_typer(movies)


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
