"""`evaluate`: both models measured on ratings of one's own, as a table, JSON or a page."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reelstream.cli.file_options import Columns, Delimiter, Encoding, FileTimeUnit, Unrated, overrides_of
from reelstream.cli.options import (
    AsJson,
    Warehouse,
    existing_warehouse,
    out,
    print_json,
    print_table,
    progress_bar,
    settings_of,
    show_assumed,
    show_bad_rows,
)
from reelstream.errors import UsageError
from reelstream.extras import require

if TYPE_CHECKING:
    from reelstream.cli.ratings_file import RatingsFile

TEST_FRACTION, SEED = 0.2, 42

RATING_NAMES = {"rmse": "RMSE", "mae": "MAE", "r2": "R²", "explained_variance": "explained variance"}
LIST_NAMES = {"ndcg": "nDCG", "precision": "precision", "recall": "recall", "map": "MAP", "mrr": "MRR"}
OTHER_NAMES = {"auc": "AUC", "coverage": "coverage", "novelty": "novelty (bits)", "diversity": "diversity"}


def evaluate(
    train: Annotated[Path, typer.Argument(help="Ratings, in any form that `replay` reads.")],
    test: Annotated[Path | None, typer.Option(help="Measure on this file, and train on all of the first.")] = None,
    split: Annotated[
        str | None, typer.Option(help="Or hold out by random, time or user-time. \\[default: random]")
    ] = None,
    test_fraction: Annotated[
        float | None, typer.Option(help=f"The share that is held out. \\[default: {TEST_FRACTION}]")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help=f"Of the random split. \\[default: {SEED}]")] = None,
    engine: Annotated[str | None, typer.Option(help="native or mllib. \\[default: native]")] = None,
    relevant_from: Annotated[
        float | None,
        typer.Option(help="A movie is relevant if rated so much or more. \\[default: the setting liked_from]"),
    ] = None,
    self_tuning: Annotated[
        bool | None,
        typer.Option(
            "--self-tuning/--no-self-tuning",
            help="Search for the settings first, on the training part alone. \\[default: the setting self_tuning]",
        ),
    ] = None,
    k: Annotated[int, typer.Option("--k", min=1, max=1000, help="Movies in each list.")] = 10,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write index.html there: the figures with plots, in one page.")
    ] = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    column: Columns = None,
    time_unit: FileTimeUnit = None,
    unrated: Unrated = None,
    warehouse: Warehouse = None,
    as_json: AsJson = False,
) -> None:
    """Measure both models on ratings of your own, beside the baselines and the published version.

    `time` holds out the newest ratings of all, `user-time` each user's newest. Bad rows are shown and left out; the exit
    code is 8 then. What is detected of the files can be said instead.
    Examples: `reelstream evaluate ratings.csv` · `reelstream evaluate ratings.csv --split time --json` ·
    `reelstream evaluate train.csv --test test.csv --report report`
    """
    settings = settings_of(warehouse, engine=engine, self_tuning=self_tuning)
    if warehouse is not None:
        existing_warehouse(settings)
    how = held_out(test, split, test_fraction, seed)
    _check_report(report)
    overrides = overrides_of(delimiter, encoding, column, time_unit, unrated)
    if report:
        require("report", "--report")

    from reelstream.batch.evaluation import (
        evaluate as evaluation,  # numba and pyarrow take a moment, and the other commands need none of it
    )
    from reelstream.cli import ratings_file
    from reelstream.cli.exit_codes import BAD_ROWS

    settings, of_scale = ratings_file.with_scale(settings, train, overrides)
    scale = settings.scale
    with progress_bar(quiet=as_json) as bar:

        def read(path: Path) -> RatingsFile:
            task = bar.add_task(f"read {path.name}", total=None, note="bytes")
            return ratings_file.read(
                path, settings, lambda done, of: bar.update(task, completed=done, total=of), overrides
            )

        files = [read(path) for path in (train, test) if path]
        if test:
            parts = files[0].ratings, evaluation.unseen(files[0].ratings, files[1].ratings)
        else:
            parts = evaluation.split(files[0].ratings, how["split"], how["test_fraction"], how.get("seed", SEED))
        task = bar.add_task("evaluate", total=None, note="")
        found = evaluation.evaluate(
            *parts,
            settings,
            k=k,
            relevant_from=relevant_from,
            progress=lambda what, done, of: bar.update(task, description=what, completed=done, total=of),
        )
    figures = {
        **found.figures,
        "held_out": how,
        "scale": {**asdict(scale), "kind": scale.kind, "says": of_scale},
        "test_rows_in_training": len(files[1].ratings) - len(parts[1]) if test else 0,
        "duplicates": sum(file.duplicates for file in files),
        "bad_rows": sum(file.bad_rows for file in files),
        "first_bad": [row for file in files for row in file.first_bad],
        "report": None,
    }
    if report:
        from reelstream.batch.evaluation import page

        figures["report"] = str(page.write(report, found, summary(figures), *table(figures)))
    if as_json:
        print_json(figures)
    else:
        show(figures)
        for path, file in zip([path for path in (train, test) if path], files, strict=True):
            show_assumed(file.assumed, path)
            show_bad_rows(file.bad_rows, file.first_bad, path)
    if figures["bad_rows"]:
        raise typer.Exit(BAD_ROWS)


def show(figures: dict[str, Any]) -> None:
    """The figures for a person: this model beside the baselines, 80 columns wide."""
    for sentence in summary(figures):
        out.print(sentence, markup=False)
    print_table("On ratings that it has not seen", *table(figures))
    if figures["report"]:
        out.print(f"Report: {figures['report']}", soft_wrap=True, markup=False)


def summary(figures: dict[str, Any]) -> list[str]:
    """What was measured on what, in sentences."""
    left_out = {
        "duplicates": "older ratings of the same movie",
        "test_rows_in_training": "test ratings in training too",
    }
    sentences = [
        f"Learned from {figures['train_rows']:,} ratings of {figures['train_users']:,} users and "
        f"{figures['train_movies']:,} movies, measured on {figures['test_rows']:,}: {described(figures['held_out'])}.",
        *(f"{figures[key]:,} {what} were left out." for key, what in left_out.items() if figures[key]),
        f"Cold, with a user or movie that is not in training: {figures['cold_rows']:,}. Lists were measured for "
        f"{figures['ranked_users']:,} users with a movie rated {figures['relevant_from']:g} or more among these.",
        figures["scale"]["says"],
        f"The {figures['engine']} engine took {figures['fit_seconds']:.2f} s to fit, "
        f"{figures['top_n_seconds']:.2f} s for the lists.",
    ]
    last = figures["baselines"]["last_version"]
    return [*sentences, last["note"]] if last else sentences


def table(figures: dict[str, Any]) -> tuple[tuple[str, ...], list[tuple[str | None, ...]]]:
    """(columns, rows): each figure of this model and of the baselines, three digits after the point."""
    k, baselines = figures["k"], figures["baselines"]
    columns = {"this model": figures, "biases only": baselines["bias_only"], "popularity": baselines["popularity"]}
    if baselines["last_version"]:
        columns["last version"] = baselines["last_version"]
    rating_names = RATING_NAMES if figures["scale"]["kind"] != "likes" else {}  # all ratings are the same
    names = rating_names | {f"{key}_at_{k}": f"{name}@{k}" for key, name in LIST_NAMES.items()} | OTHER_NAMES
    rows = [
        (name, *(None if column.get(key) is None else f"{column[key]:.3f}" for column in columns.values()))
        for key, name in names.items()
    ]
    return ("", *columns), rows


def described(held_out: dict[str, Any]) -> str:
    """How the test ratings were chosen, as the end of a sentence."""
    if "test" in held_out:
        return f"all of {held_out['test']}"
    share = f"{held_out['test_fraction']:.0%}"
    return {
        "random": f"a random {share}, seed {held_out.get('seed')}",
        "time": f"the newest {share} of all",
        "user-time": f"the newest {share} of each user's",
    }[held_out["split"]]


def held_out(test: Path | None, split: str | None, test_fraction: float | None, seed: int | None) -> dict[str, Any]:
    """What is held out. Raises UsageError if options contradict each other or lie outside their range."""
    if test:
        asked = {"--split": split, "--test-fraction": test_fraction, "--seed": seed}
        for option, value in asked.items():
            if value is not None:
                raise UsageError(f"--test and {option} exclude each other: with a test file nothing is split.")
        return {"test": str(test)}
    from reelstream.batch.evaluation.evaluate import SPLITS

    split = split or "random"
    if split not in SPLITS:
        raise UsageError(f"--split is {split!r}; choose one of {', '.join(SPLITS)}.")
    fraction = TEST_FRACTION if test_fraction is None else test_fraction
    if not 0 < fraction < 1:
        raise UsageError(f"--test-fraction is {fraction:g}; set it between 0 and 1.")
    by_seed = {"seed": SEED if seed is None else seed} if split == "random" else {}
    return {"split": split, "test_fraction": fraction, **by_seed}


def _check_report(report: Path | None) -> None:
    if report and report.exists() and not report.is_dir():
        raise UsageError(f"--report {report} is not a directory; name one, or a new one.")
