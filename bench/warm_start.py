"""A fit from the last one's factors against one from nothing, after a tenth more ratings: seconds and quality.

    python -m bench.warm_start [--ratings ratings.csv | --synthetic ROWS] [--seeds 3 4 5 6 7] [--rounds 5]

For each seed a random fifth is held out. Of the rest, the last fit saw the oldest ten elevenths; both fits see it all.
Without a file: the 100,004 real ratings of the demo.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from bench.harness import Figures, data_options, options, ratings, run
from reelstream.als.__main__ import compile_kernels
from reelstream.als.factors import Factors, ModelSettings, RatingMatrix
from reelstream.als.fit import fit
from reelstream.als.metrics import evaluate
from reelstream.als.splits import split_random, split_time


def warm_start(asked: argparse.Namespace) -> Figures:
    table, _ = ratings(asked.ratings, asked.synthetic)
    columns = [table[name].to_numpy() for name in ("user_id", "movie_id", "rating", "rated_at")]
    compile_kernels()
    splits = [compared(columns, seed, asked.rounds) for seed in asked.seeds]
    mean = {name: round(statistics.fmean(split[name] for split in splits), 4) for name in splits[0] if name != "seed"}
    names = {"seconds": "s", "rmse": "rmse", "ndcg_at_10": "ndcg_at_10"}
    ratios = {name: round(mean[f"warm_{short}"] / mean[f"cold_{short}"], 4) for name, short in names.items()}
    return {"ratings": table.num_rows, "mean": mean, "warm_to_cold": ratios, "splits": splits}


def compared(columns: list[np.ndarray], seed: int, rounds: int) -> dict[str, float]:
    """Both fits of one split: median seconds of the rounds, iterations, RMSE and nDCG@10."""
    user_id, movie_id, rating, rated_at = columns  # the last in milliseconds
    train, test = split_random(len(rating), 0.2, seed)
    older = train[split_time(rated_at[train], 1 / 11)[0]]
    last = fit(RatingMatrix.from_triples(user_id[older], movie_id[older], rating[older]), ModelSettings())
    matrix = RatingMatrix.from_triples(user_id[train], movie_id[train], rating[train])
    starts: dict[str, Factors | None] = {"cold": None, "warm": last}
    seconds: dict[str, list[float]] = {name: [] for name in starts}
    found: dict[str, float] = {"seed": seed}
    for _ in range(rounds):
        for name, start in starts.items():
            iterations: list[str] = []  # of either model
            began = time.perf_counter()
            factors = fit(matrix, ModelSettings(), start=start, progress=lambda *of, to=iterations: to.append(of[0]))
            seconds[name].append(time.perf_counter() - began)
            metrics = evaluate(factors, matrix, user_id[test], movie_id[test], rating[test])
            found |= {f"{name}_s": statistics.median(seconds[name]), f"{name}_iterations": len(iterations)}
            found |= {f"{name}_{metric}": metrics[metric] for metric in ("rmse", "ndcg_at_10")}
    return {name: round(value, 4) for name, value in found.items()}


if __name__ == "__main__":
    parser = options(__doc__)
    data_options(parser)
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 4, 5, 6, 7])
    parser.add_argument("--rounds", type=int, default=5)
    run("warm_start", parser, warm_start)
