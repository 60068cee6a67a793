"""`tune`: the best settings of both models for ratings of one's own, and `--adopt` to refit with them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reelstream.cli.file_options import Columns, Delimiter, Encoding, FileTimeUnit, Unrated, overrides_of
from reelstream.cli.options import (
    AsJson,
    Warehouse,
    err,
    existing_warehouse,
    out,
    print_json,
    progress_bar,
    settings_of,
    show_assumed,
    show_bad_rows,
)
from reelstream.errors import UsageError

if TYPE_CHECKING:
    from rich.progress import Progress

    from reelstream.batch.evaluation.evaluate import RatingColumns
    from reelstream.batch.evaluation.search_space import Space
    from reelstream.batch.evaluation.tune import SplitRule, Tuned
    from reelstream.cli.ratings_file import RatingsFile
    from reelstream.producer.file_form import Overrides
    from reelstream.settings import Settings


def tune(
    file: Annotated[
        Path | None, typer.Argument(metavar="[RATINGS.csv]", help="A ratings.csv. \\[default: the warehouse's ratings]")
    ] = None,
    warehouse: Warehouse = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUES",
            help="A setting to search: a list, `rating_rank=31,63`, or with --random a range too, "
            "`ranking_alpha0=0.1..1`. May come several times. \\[default: a few values around the shipped ones]",
        ),
    ] = None,
    random: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Draw so many trials a model, instead of the whole grid.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the random trials, and of a random split.")] = 42,
    split: Annotated[str, typer.Option(help="Hold out by user-time, time or random.")] = "user-time",
    test_fraction: Annotated[float, typer.Option(help="The share that is held out.")] = 0.2,
    directory: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where trials and heat map go. \\[default: in WAREHOUSE/tune]"),
    ] = None,
    adopt: Annotated[bool, typer.Option("--adopt", help="Make the best settings those of the next refits.")] = False,
    adopt_defaults: Annotated[
        bool,
        typer.Option("--adopt-defaults", help="Tune nothing; let the next refits take the shipped defaults again."),
    ] = False,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    column: Columns = None,
    time_unit: FileTimeUnit = None,
    unrated: Unrated = None,
    as_json: AsJson = False,
) -> None:
    """Find the best settings of both models, on ratings held out for it; each trial is a row of a Parquet table.

    The rating model is judged by RMSE, the ranking model by nDCG@10, on the newest ratings of a part that holds out the
    very newest, the test; on that the winner is measured once, at the end. Trials run over Spark, as many at a time as it
    has cores. The same command goes on where one that was stopped, or killed, has ended. Examples: `reelstream tune` ·
    `reelstream tune ratings.csv --param rating_rank=31,63 --param rating_regularization=0.05,0.07,0.1` ·
    `reelstream tune --random 50 --adopt`
    """
    from reelstream import extras
    from reelstream.store.adopted import forget

    settings = settings_of(warehouse)
    if not file or adopt or adopt_defaults or warehouse:
        existing_warehouse(settings)
    if adopt_defaults:
        if adopt:
            raise UsageError("--adopt and --adopt-defaults exclude each other; give one of them.")
        dropped = forget(settings.warehouse)
        said = "The next refits take the shipped defaults" + ("." if dropped else ", as before: nothing was adopted.")
        print_json({"adopted": False, "dropped": dropped}) if as_json else out.print(said)
        return
    if directory and directory.exists() and not directory.is_dir():
        raise UsageError(f"--out {directory} is not a directory; name one, or a new one.")

    from reelstream.als.factors import ModelSettings
    from reelstream.batch.evaluation.search_space import DEFAULT_GRID, DEFAULT_RANGES, parse
    from reelstream.batch.evaluation.trials import trials
    from reelstream.batch.evaluation.tune import SplitRule
    from reelstream.cli import tune_result
    from reelstream.cli.evaluate import held_out
    from reelstream.cli.exit_codes import BAD_ROWS

    space = parse(param or (DEFAULT_RANGES if random else DEFAULT_GRID))
    trials(space, ModelSettings(), data="", split="", n_random=random, seed=seed)  # may refuse the space
    held_out(None, split, test_fraction, seed)
    by = SplitRule(split, test_fraction, seed)
    overrides = overrides_of(delimiter, encoding, column, time_unit, unrated)
    if file:
        from reelstream.cli import ratings_file

        settings, of_scale = ratings_file.with_scale(settings, file, overrides)
        if not as_json:
            err.print(of_scale, soft_wrap=True, markup=False)
    with progress_bar(quiet=as_json) as bar:
        csv = _read_csv(file, settings, bar, overrides) if file else None
        ratings = csv.ratings if csv else _stored(settings)
        there = directory or settings.warehouse / "tune" / _directory_name(ratings, by)
        found = _tune(ratings, space, settings, there, bar, by=by, n_random=random)
    if adopt:
        _adopt(found, settings, there)
    answer = {
        "out": there,
        "heat_map": _heat_map(found, there / "heatmap.svg") if extras.has("report") else None,
        "adopted": adopt,
        "bad_rows": csv.bad_rows if csv else 0,
    }
    print_json(tune_result.as_json(found) | answer) if as_json else tune_result.show(found, answer)
    if file and csv and not as_json:
        show_assumed(csv.assumed, file)
        show_bad_rows(csv.bad_rows, csv.first_bad)
    if csv and csv.bad_rows:
        raise typer.Exit(BAD_ROWS)


def _read_csv(file: Path, settings: Settings, bar: Progress, overrides: Overrides) -> RatingsFile:
    from reelstream.cli import ratings_file

    task = bar.add_task(f"read {file.name}", total=None, note="bytes")
    return ratings_file.read(file, settings, lambda done, of: bar.update(task, completed=done, total=of), overrides)


def _stored(settings: Settings) -> RatingColumns:
    from reelstream.batch.evaluation.evaluate import RatingColumns
    from reelstream.batch.training import load
    from reelstream.store.ratings import RatingsStore

    data = load(RatingsStore(settings.warehouse))
    return RatingColumns(data.user_id, data.movie_id, data.rating, data.rated_at_ms)


def _directory_name(ratings: RatingColumns, by: SplitRule) -> str:
    """A directory for these ratings and this split, so that what was tried on others does not stand beside it."""
    from reelstream.batch.evaluation.tune import fingerprint

    return f"{by}-{fingerprint(ratings, by)[:8]}".replace(" ", "-")


def _heat_map(found: Tuned, path: Path) -> Path | None:
    from reelstream.batch.evaluation import heat_map

    return heat_map.draw(found.rows, found.best, path)


def _tune(
    ratings: RatingColumns,
    space: Space,
    settings: Settings,
    there: Path,
    bar: Progress,
    *,
    by: SplitRule,
    n_random: int | None,
) -> Tuned:
    """With a progress bar that shows the best so far; Ctrl-C says how to go on."""
    from reelstream.batch.evaluation.trials import FIGURES, NAMES
    from reelstream.batch.evaluation.tune import best_of
    from reelstream.batch.evaluation.tune import tune as run_tune
    from reelstream.store.adopted import adopted

    base = adopted(settings.warehouse, **settings.scale.for_models())
    task = bar.add_task("trials", total=None, note="")
    rows: list[dict[str, Any]] = []
    counts = (0, 0)

    def progress(row: dict[str, Any] | None, done: int, of: int) -> None:
        nonlocal counts
        counts = (done, of)
        rows.extend([row] if row and not row["error"] else [])
        best = {FIGURES[model][0]: best_of(rows, model) for model in sorted({row["model"] for row in rows})}
        note = ", ".join(f"{NAMES[name]} {row[name]:.4f}" for name, row in best.items())
        bar.update(task, completed=done, total=of, note=note and f"best {note}")

    try:
        return run_tune(ratings, space, base, there, settings, by=by, n_random=n_random, progress=progress)
    except KeyboardInterrupt:
        done, of = counts
        text = f"Stopped; {done} of {of} trials are done and kept in {there}. The same command goes on from there."
        err.print(text, markup=False, soft_wrap=True)
        raise


def _adopt(tuned: Tuned, settings: Settings, there: Path) -> None:
    from reelstream.store.adopted import adopt

    trials = {model: row["trial"] for model, row in tuned.best.items()}
    origin = {"adopted_at": datetime.now(UTC).isoformat(), "tune": str(there.absolute()), "trials": trials}
    adopt(settings.warehouse, tuned.winner, {**origin, **tuned.info, "test": tuned.test})
