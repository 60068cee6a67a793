"""A whole refit: both models measured and fitted, all top-N tables, published; how good the models are; and ours beside
other libraries.

    python -m bench.refit [--ratings ratings.csv] [--engine native|mllib]
    python -m bench.refit --synthetic 1000000 10000000 --rounds 1
    python -m bench.refit --ratings ratings.csv --peers mllib,implicit,cmfrec,lenskit,surprise \\
        --peers-python peers/bin/python [--equal 64,10]

Without a file: the 100,004 real ratings of the demo. Compiling the kernels is not counted. Each refit starts without a
version before it; one more, at the end, starts from the last one's factors.
With --peers no refit is run: ours and the peers fit, list and predict in turn, each in a process of its own. With --equal
all take that rank and as many iterations, and ours does not stop early; without, each does what it does best.
The peers have an environment of their own: python -m venv peers && peers/bin/pip install -r requirements/peers.txt
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv

from bench._report import print_report
from bench.peers.compare import CONTESTANTS, Comparison, compare
from bench.peers.table import as_text
from bench.pipeline import temporary_settings
from bench.synthetic import generate
from bench.whole_refit import measured, quality, store
from reelstream.als.blocks import n_cpus
from reelstream.als.factors import ModelSettings, RatingMatrix
from reelstream.als.metrics import evaluate
from reelstream.als.splits import split_random
from reelstream.batch import refit as refits
from reelstream.cli.demo import real_ratings
from reelstream.settings import Settings
from reelstream.store.movies import MoviesStore, read_csv

SEEDS = [3, 4, 5]


def main() -> None:
    asked = parser().parse_args()
    limit_threads(asked.threads)
    started = time.perf_counter()
    figures: list[dict[str, Any]] = []
    for rows in asked.synthetic or [None]:
        table, movies = ratings(asked.ratings, rows)
        if asked.peers:
            figures.append(compare(table, compared(asked)))
            print(as_text(figures[-1]), file=sys.stderr)
        else:
            figures.append(whole(table, movies, asked))
    seconds = time.perf_counter() - started
    if len(figures) == 1:
        print_report("refit", figures[0], seconds=seconds)
    else:
        print_report("refit", {"sizes": figures, "grows": growth(figures)}, seconds=seconds)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = parser.add_mutually_exclusive_group()
    data.add_argument("--ratings", type=Path, help="a MovieLens ratings.csv")
    data.add_argument("--synthetic", type=int, nargs="+", metavar="ROWS", help="ratings of bench.synthetic, so many")
    parser.add_argument("--engine", choices=("native", "mllib"), default="native")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        help="random splits, a round each; without: 3 4 5, as the defaults were tuned on 42, 1 and 2,"
        " and for synthetic ratings without --peers none",
    )
    parser.add_argument("--peers", type=names, default=(), help=f"some of {','.join(CONTESTANTS)}")
    parser.add_argument("--peers-python", type=Path, default=Path(sys.executable), help="the Python that has them")
    parser.add_argument("--equal", type=rank_and_iterations, metavar="RANK,ITERATIONS", help="of all contestants")
    parser.add_argument("--threads", type=int, default=n_cpus(), help="of all; without: the number of CPUs")
    parser.add_argument("--top-n-limit-s", type=float, default=120.0, help="longer lists are not made, but estimated")
    return parser


def names(text: str) -> list[str]:
    peers = text.split(",")
    for peer in peers:
        if peer not in CONTESTANTS:
            raise argparse.ArgumentTypeError(f"{peer!r} is none of {', '.join(CONTESTANTS)}")
    return peers


def rank_and_iterations(text: str) -> tuple[int, int]:
    rank, iterations = map(int, text.split(","))
    return rank, iterations


def limit_threads(threads: int) -> None:
    """Holds this process and all that it starts to so many CPUs, where the system can."""
    if threads < n_cpus() and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def ratings(csv: Path | None, synthetic: int | None) -> tuple[pa.Table, pa.Table | None]:
    """(user_id, movie_id, rating, rated_at int64 in ms; titles or None)."""
    if synthetic:
        return generate(synthetic), None
    with tempfile.TemporaryDirectory() as directory:
        csv, movies = (csv, None) if csv else real_ratings(Path(directory))
        columns = {"userId": pa.int64(), "movieId": pa.int64(), "rating": pa.float32(), "timestamp": pa.int64()}
        options = pcsv.ConvertOptions(column_types=columns, include_columns=list(columns))
        table = pcsv.read_csv(csv, convert_options=options)
        titles = read_csv(movies) if movies else None
    rated_at = pa.array(table["timestamp"].to_numpy() * 1000)
    table = table.set_column(3, "rated_at", rated_at).rename_columns(["user_id", "movie_id", "rating", "rated_at"])
    return table, titles


def compared(asked: argparse.Namespace) -> Comparison:
    return Comparison(
        peers=asked.peers,
        python=asked.peers_python,
        rounds=asked.rounds,
        seeds=asked.seeds or SEEDS,
        threads=asked.threads,
        equal=asked.equal,
        top_n_limit_s=asked.top_n_limit_s,
    )


def whole(table: pa.Table, titles: pa.Table | None, asked: argparse.Namespace) -> dict[str, Any]:
    """Whole refits of the ratings, and the quality of the models on random splits of them."""
    seeds = asked.seeds if asked.seeds is not None else [] if asked.synthetic else SEEDS
    with temporary_settings(engine=asked.engine) as settings:
        store(settings, table)
        if titles:
            MoviesStore(settings.warehouse).load(titles)
        times = measured(settings, asked.rounds)
        splits = [split_quality(settings, table, seed) for seed in seeds]
    seconds = sorted(times["rounds"], key=lambda s: s["all"])
    figures: dict[str, Any] = {
        "engine": asked.engine,
        "ratings": table.num_rows,
        "refit_s": {
            "median": round(statistics.median(s["all"] for s in seconds), 3),
            "rounds": [s["all"] for s in times["rounds"]],
        },
        "of_which_s": seconds[len(seconds) // 2],
        "refit_again_s": times["again"],
        "peak_mb": times["peak_mb"],
        "quality": times["quality"],
    }
    if splits:
        figures["random_80_20"] = splits
        figures["mean"] = {n: round(float(np.mean([q[n] for q in splits])), 4) for n in ("rmse", "ndcg_at_10")}
    return figures


def split_quality(settings: Settings, table: pa.Table, seed: int) -> dict[str, float]:
    """Both models fitted on a random 80 % and measured on the rest: relevant is 4 stars or more, all unseen movies compete."""
    user, movie, rating = (table[name].to_numpy() for name in ("user_id", "movie_id", "rating"))
    train_rows, test_rows = split_random(len(rating), 0.2, seed)
    train = RatingMatrix.from_triples(user[train_rows], movie[train_rows], rating[train_rows])
    factors = refits.engine(settings.engine)(train, ModelSettings(), settings)
    metrics = evaluate(factors, train, user[test_rows], movie[test_rows], rating[test_rows])
    return {"seed": seed, **quality(metrics)}


def growth(figures: list[dict[str, Any]]) -> list[float]:
    """How many times the seconds of a whole refit grow from each size to the next; with peers, nothing."""
    seconds = [each["refit_s"]["median"] for each in figures if "refit_s" in each]
    return [round(more / less, 2) for less, more in pairwise(seconds)]


if __name__ == "__main__":
    main()
