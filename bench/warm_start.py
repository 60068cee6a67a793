"""A fit from the last one's factors against one from nothing, after a tenth more ratings: seconds and quality.

    python -m bench.warm_start [--ratings ratings.csv | --synthetic ROWS] [--seeds 3 4 5 6 7] [--rounds 5]

For each seed a random fifth is held out. Of the rest, the last fit saw the oldest ten elevenths; both fits see it all.
Without a file: the 100,004 real ratings of the demo.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench import synthetic
from bench._report import print_report
from reelstream.als.__main__ import compile_kernels
from reelstream.als.factors import Factors, ModelSettings, RatingMatrix
from reelstream.als.fit import fit
from reelstream.als.metrics import evaluate
from reelstream.als.splits import split_random, split_time
from reelstream.cli.demo import real_ratings
from reelstream.cli.ratings_file import read
from reelstream.settings import load

Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""user_id, movie_id, rating, rated_at in milliseconds."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--ratings", type=Path, help="a MovieLens ratings.csv")
    source.add_argument("--synthetic", type=int, metavar="ROWS")
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 4, 5, 6, 7])
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    began = time.perf_counter()
    columns = ratings(asked.ratings, asked.synthetic)
    compile_kernels()
    splits = [compared(columns, seed, asked.rounds) for seed in asked.seeds]
    mean = {name: round(statistics.fmean(split[name] for split in splits), 4) for name in splits[0] if name != "seed"}
    figures = {
        "ratings": len(columns[0]),
        "mean": mean,
        "warm_to_cold": {
            "seconds": round(mean["warm_s"] / mean["cold_s"], 3),
            "rmse": round(mean["warm_rmse"] / mean["cold_rmse"], 4),
            "ndcg_at_10": round(mean["warm_ndcg_at_10"] / mean["cold_ndcg_at_10"], 4),
        },
        "splits": splits,
    }
    print_report("warm_start", figures, seconds=time.perf_counter() - began)


def ratings(csv: Path | None, rows: int | None) -> Columns:
    if rows:
        table = synthetic.generate(rows, 1)
        user_id, movie_id, rating = (table[name].to_numpy() for name in ("user_id", "movie_id", "rating"))
        return user_id, movie_id, rating, table["rated_at"].cast("int64").to_numpy()
    with tempfile.TemporaryDirectory() as directory:
        file = read(csv or real_ratings(Path(directory))[0], load(), lambda _done, _of: None).ratings
    return file.user_id, file.movie_id, file.rating, file.rated_at_ms


def compared(columns: Columns, seed: int, rounds: int) -> dict[str, Any]:
    """Both fits of one split: median seconds of the rounds, iterations, RMSE and nDCG@10."""
    user_id, movie_id, rating, rated_at = columns
    train, test = split_random(len(rating), 0.2, seed)
    older = train[split_time(rated_at[train], 1 / 11)[0]]
    last = fit(RatingMatrix.from_triples(user_id[older], movie_id[older], rating[older]), ModelSettings())
    matrix = RatingMatrix.from_triples(user_id[train], movie_id[train], rating[train])
    starts: dict[str, Factors | None] = {"cold": None, "warm": last}
    seconds: dict[str, list[float]] = {name: [] for name in starts}
    found: dict[str, Any] = {"seed": seed}
    for _ in range(rounds):
        for name, start in starts.items():
            taken, progress = counted()
            began = time.perf_counter()
            factors = fit(matrix, ModelSettings(), start=start, progress=progress)
            seconds[name].append(time.perf_counter() - began)
            metrics = evaluate(factors, matrix, user_id[test], movie_id[test], rating[test])
            found |= {
                f"{name}_s": statistics.median(seconds[name]),
                f"{name}_iterations": len(taken),
                f"{name}_rmse": metrics["rmse"],
                f"{name}_ndcg_at_10": metrics["ndcg_at_10"],
            }
    return {name: round(value, 4) for name, value in found.items()}


def counted() -> tuple[list[str], Callable[[str, int, int], None]]:
    """A list that grows by one an iteration, of either model, and the progress function that lets it."""
    taken: list[str] = []
    return taken, lambda model, _done, _of: taken.append(model)


if __name__ == "__main__":
    main()
