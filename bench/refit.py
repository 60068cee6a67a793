"""A whole refit: both models measured and fitted, all lists published; how good they are; and ours beside other libraries.

    python -m bench.refit [--ratings ratings.csv] [--engine native|mllib] [--no-self-tuning]
    python -m bench.refit --synthetic 1000000 10000000 --rounds 1
    python -m bench.refit --ratings ratings.csv --peers mllib,implicit,cmfrec,lenskit,surprise \\
        --peers-python peers/bin/python [--equal 64,10]

Without a file: the 100,004 real ratings of the demo. Compiling the kernels is not counted. Each refit starts without a
version before it, so it takes the shipped settings; one more starts from the last one's factors. Then one searches for better
settings, and as many more as rounds try neighbours of what it has found, each beside one that tries nothing. Random splits are
fitted after such a search, on the training part alone. Refits run in a process of their own: its peak memory is theirs.
With --peers no refit is run: ours and the peers fit, list and predict in turn, each in a process of its own. With --equal
all take that rank and as many iterations, and ours does not stop early; without, each does what it does best.
The peers have an environment of their own: python -m venv peers && peers/bin/pip install -r requirements/peers.txt
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa

from bench.harness import Figures, data_options, options, ratings, run, store, temporary_settings
from bench.peers.compare import PEERS, compare, train_and_test
from bench.peers.worker import peak_mb
from reelstream.als.__main__ import compile_kernels
from reelstream.als.blocks import n_cpus
from reelstream.als.factors import ModelSettings
from reelstream.als.metrics import evaluate
from reelstream.batch import refit as refits
from reelstream.batch.tuning.search import search
from reelstream.settings import Settings
from reelstream.store.movies import MoviesStore
from reelstream.store.recommendations import RecommendationsStore

SEEDS = [3, 4, 5]


def main() -> None:
    parser = options(__doc__)
    data_options(parser, nargs="+")
    parser.add_argument("--engine", choices=("native", "mllib"), default="native")
    parser.add_argument("--no-self-tuning", action="store_true", help="keep the shipped settings")
    parser.add_argument("--rounds", type=int, default=3)
    seeds = "random splits; without: 3 4 5, as the defaults were tuned on others; in whole refits of --synthetic none"
    parser.add_argument("--seeds", type=int, nargs="+", help=seeds)
    parser.add_argument("--peers", type=names, default=(), help=f"some of {','.join(PEERS)}")
    parser.add_argument("--peers-python", type=Path, default=Path(sys.executable), help="the Python that has them")
    parser.add_argument("--equal", type=rank_and_iterations, metavar="RANK,ITERATIONS", help="of all contestants")
    parser.add_argument("--threads", type=int, default=n_cpus(), help="of all; without: the number of CPUs")
    run("refit", parser, of_all_sizes)


def names(text: str) -> list[str]:
    if unknown := sorted({*text.split(",")} - {*PEERS}):
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(PEERS)}")
    return text.split(",")


def rank_and_iterations(text: str) -> tuple[int, int]:
    rank, iterations = map(int, text.split(","))
    return rank, iterations


def of_all_sizes(asked: argparse.Namespace) -> Figures:
    if asked.threads < n_cpus() and hasattr(os, "sched_setaffinity"):  # of all that is started from here on, too
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: asked.threads])
    sizes = []
    for rows in asked.synthetic or [None]:
        table, titles = ratings(asked.ratings, rows)
        sizes.append(compare(table, asked, asked.seeds or SEEDS) if asked.peers else whole(table, titles, asked))
    if len(sizes) == 1:
        return sizes[0]
    medians = [each["refit_s"]["median"] for each in sizes if "refit_s" in each]
    return {"sizes": sizes, "grows": [round(more / less, 2) for less, more in pairwise(medians)]}


def whole(table: pa.Table, titles: pa.Table | None, asked: argparse.Namespace) -> Figures:
    """Whole refits of the ratings, and the quality of the models on random splits of them."""
    seeds = asked.seeds if asked.seeds is not None else [] if asked.synthetic else SEEDS
    with temporary_settings(engine=asked.engine, self_tuning=False if asked.no_self_tuning else None) as settings:
        store(settings, table)
        if titles:
            MoviesStore(settings.warehouse).load(titles)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            figures: Figures = {"engine": asked.engine, **process.submit(_refits, settings, asked.rounds).result()}
        splits = [split_quality(settings, table, seed) for seed in seeds]
    if splits:
        figures["random_80_20"] = splits
        figures["mean"] = {n: round(statistics.fmean(q[n] for q in splits), 4) for n in ("rmse", "ndcg_at_10")}
    return figures


def _refits(settings: Settings, rounds: int) -> Figures:
    """Refits of what is stored, each without a version before it, and more that have one: seconds by step, memory, and what
    was measured on held-out ratings, beside the baselines: seconds say little without."""
    compile_kernels()
    plain = settings.model_copy(update={"self_tuning": False})
    seconds = []
    for _ in range(rounds):
        for directory in ("models", "recommendations"):
            shutil.rmtree(settings.warehouse / directory, ignore_errors=True)
        seconds.append(_timed(settings))
    peaks, info = peak_mb(), RecommendationsStore(settings.warehouse).current().info
    totals = [steps["all"] for steps in seconds]
    again = _timed(plain)
    tuned = (
        {"search": _searched(settings), "settled": _settled(settings, plain, rounds)} if settings.self_tuning else {}
    )
    return {
        "ratings": info["ratings"],
        "refit_s": {"median": round(statistics.median(totals), 3), "rounds": totals},
        "of_which_s": sorted(seconds, key=lambda steps: steps["all"])[rounds // 2],
        "refit_again_s": again,
        **tuned,
        **peaks,
        "quality": info["metrics"] and quality(info["metrics"]),
    }


def _searched(settings: Settings) -> Figures:
    """A refit that searches: seconds, what it has tried, and the figures of the version that came of it."""
    seconds = _timed(settings)
    info = RecommendationsStore(settings.warehouse).current().info
    figures = info["metrics"] and quality(info["metrics"])
    return {"seconds": seconds, "tried": info["tuning"]["tried"], "quality": figures, **peak_mb()}


def _settled(settings: Settings, plain: Settings, rounds: int) -> Figures:
    """Refits that try neighbours in turn with refits that try nothing: medians, and the share that is more."""
    pairs = []
    for _ in range(rounds):
        pairs.append((_timed(settings)["all"], _timed_aside(plain)))
    tuning, nothing = (statistics.median(seconds) for seconds in zip(*pairs, strict=True))
    return {"with_neighbours_s": tuning, "without_s": nothing, "times": round(tuning / nothing, 2)}


def _timed_aside(plain: Settings) -> float:
    """A refit in a copy of the warehouse, which so keeps the version that it has."""
    with temporary_settings() as other:
        shutil.copytree(plain.warehouse, other.warehouse, symlinks=True, dirs_exist_ok=True)
        return _timed(plain.model_copy(update={"warehouse": other.warehouse}))["all"]


def _timed(settings: Settings) -> dict[str, float]:
    """One refit's seconds, by step; `all` from the call to its return."""
    began = time.perf_counter()
    version = refits.refit(settings)
    return {**version.info["seconds"], "all": round(time.perf_counter() - began, 3)}


def split_quality(settings: Settings, table: pa.Table, seed: int) -> dict[str, float]:
    """Both models fitted on a random 80 % and measured on the rest: relevant is 4 stars or more, all unseen movies compete."""
    train, test = train_and_test(table, seed)
    model = ModelSettings()
    if settings.self_tuning:
        model = search(train, model, fits=settings.engine == "native").settings
    factors = refits.engine(settings.engine)(train, model, settings)
    return {"seed": seed, **quality(evaluate(factors, train, *test))}


def quality(metrics: Figures) -> dict[str, float]:
    """rmse and ndcg_at_10 beside those of the baselines."""
    baselines = metrics["baselines"]
    figures = {"rmse": metrics["rmse"], "ndcg_at_10": metrics["ndcg_at_10"]}
    figures["bias_only_rmse"] = baselines["bias_only"]["rmse"]
    figures["popularity_ndcg_at_10"] = baselines["popularity"]["ndcg_at_10"]
    return {name: round(figure, 4) for name, figure in figures.items() if figure is not None}


if __name__ == "__main__":
    main()
