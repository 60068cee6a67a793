"""`evaluate`: reads ratings, has a model fitted and measured on them, prints the figures."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.progress import Progress

from batch import evaluate as evaluation
from batch.evaluate import SPLITS, Ratings
from cli.options import (
    AsJson,
    Warehouse,
    err,
    existing_warehouse,
    out,
    print_json,
    print_table,
    progress_bar,
    settings_of,
)
from producer.ratings_csv import BadRow, read_blocks
from producer.send import FIRST_BAD_KEPT
from reelstream.errors import UsageError
from reelstream.settings import Settings

BAD_ROWS = 8
TEST_FRACTION, SEED = 0.2, 42

_NAMES = {
    **{"rmse": "RMSE", "mae": "MAE", "r2": "R²", "explained_variance": "explained variance"},
    **{"ndcg": "nDCG", "precision": "precision", "recall": "recall", "map": "MAP", "mrr": "MRR", "auc": "AUC"},
    **{"coverage": "coverage", "novelty": "novelty, bits", "diversity": "diversity"},
}


def evaluate(
    train: Annotated[Path, typer.Argument(help="A ratings.csv: userId, movieId, rating, timestamp.")],
    test: Annotated[Path | None, typer.Option(help="Measure on this file, and train on all of the first.")] = None,
    split: Annotated[
        str | None, typer.Option(help=f"Hold out by {', '.join(SPLITS[:-1])} or {SPLITS[-1]}. \\[default: random]")
    ] = None,
    test_fraction: Annotated[
        float | None, typer.Option(help=f"The share that is held out. \\[default: {TEST_FRACTION}]")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help=f"Of the random split. \\[default: {SEED}]")] = None,
    engine: Annotated[str | None, typer.Option(help="native or mllib. \\[default: native]")] = None,
    relevant_from: Annotated[float, typer.Option(help="A movie is relevant from so many stars on.")] = 4.0,
    k: Annotated[int, typer.Option(min=1, max=1000, help="Length of the lists.")] = 10,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write index.html there: the figures, and plots to read.")
    ] = None,
    warehouse: Warehouse = None,
    as_json: AsJson = False,
) -> None:
    """Measure the models on ratings of your own, beside the simplest models and the published version.

    `user-time` holds out each user's newest ratings, `time` the newest of all. Bad rows are shown and left out; the exit
    code is 8 then. Examples: `reelstream evaluate ratings.csv` · `reelstream evaluate ratings.csv --split time --json` ·
    `reelstream evaluate train.csv --test test.csv --report report`
    """
    settings = settings_of(warehouse, engine=engine)
    if warehouse is not None:
        existing_warehouse(settings)
    how = _how(test, split, test_fraction, seed)
    _check_report(report)
    bad: list[BadRow] = []
    with progress_bar(quiet=as_json) as bar:
        given = _read(train, settings, bad, bar)
        n_bad, first_bad = len(bad), bad[:FIRST_BAD_KEPT]
