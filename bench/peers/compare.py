"""Ours and the peers side by side: same split, same threads, in turn, and one measure for all.

In: a table of ratings and which peers. Out: figures of each contestant, and how many times faster ours is.
Next: `bench.refit` prints them.

The numbered steps of `compare`, the same numbers in the code:
1. start a process for each contestant; they stay, so that a JVM warms up as it does in use, and wait their turn
2. each round: another split, or the first again once all were had
3. each contestant in turn fits, lists, and predicts
4. what comes back is measured by `reelstream.als.metrics`; a peer's answer to a cold row is not asked for: it counts as
   the bias-only prediction, mean + the bias that is known
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.peers.process import Worker
from bench.peers.protocol import SCALE, Job, Split
from reelstream.als.factors import Factors, ModelSettings, RatingMatrix
from reelstream.als.fit import fit
from reelstream.als.held_out import HeldOut
from reelstream.als.list_metrics import accuracy
from reelstream.als.metrics import bias_only, popular_baseline, rating_metrics
from reelstream.als.splits import split_random

CONTESTANTS = {
    "mllib": [("rating", ""), ("ranking", "")],
    "implicit": [("ranking", "")],
    "cmfrec": [("rating", ""), ("rating", "exact")],
    "lenskit": [("rating", ""), ("ranking", "")],
    "surprise": [("rating", "")],
}
"""The models of each peer, and their variants."""
TOP_N = 10
BIASES_ALONE = ModelSettings(rating_rank=0, rating_iterations=1, ranking_rank=1, ranking_iterations=1)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How to compare. equal: (rank, iterations) of all, or None for what each library does best."""

    peers: Sequence[str]
    python: Path
    rounds: int
    seeds: Sequence[int]
    threads: int
    equal: tuple[int, int] | None = None
    top_n_limit_s: float = 120.0


def compare(table: pa.Table, asked: Comparison) -> dict[str, Any]:
    """table: columns user_id, movie_id, rating. Raises SystemExit with what to do if a peer cannot be run."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="reelstream-bench-")))
        workers = [stack.enter_context(Worker(job, asked.python)) for job in jobs(asked)]  # 1
        rounds: dict[str, list[dict[str, Any]]] = {worker.job.name: [] for worker in workers}
        floors: list[dict[str, Any]] = []
        held_out = None
        for number in range(asked.rounds):  # 2
            seed = asked.seeds[number % len(asked.seeds)]
            if number < len(asked.seeds):
                held_out, floor, split = _split(table, seed, directory / f"split-{seed}.npz")
                floors.append(_floor_figures(held_out, floor))
            for worker in workers:  # 3
                figures = _turn(worker, directory, directory / f"split-{seed}.npz", asked)
                if number < len(asked.seeds):
                    assert held_out is not None
                    figures |= quality(figures.pop("answers"), held_out, bias_only(floor, held_out))  # 4
                rounds[worker.job.name].append(figures)
    contestants = {name: _middle(each) for name, each in rounds.items()}
    return {
        "training_ratings": len(split.user),
        "users": split.n_users,
        "movies": split.n_movies,
        "threads": asked.threads,
        "equal": asked.equal and {"rank": asked.equal[0], "iterations": asked.equal[1]},
        "baselines": {name: round(float(np.mean([f[name] for f in floors])), 4) for name in floors[0]},
        "contestants": contestants,
        "times_faster_than": ratios([worker.job for worker in workers], contestants),
    }


def jobs(asked: Comparison) -> list[Job]:
    """Ours, where a peer has that model, then the peers' in the order that they were asked for."""
    rank, iterations = asked.equal or (None, None)
    of_peers = [(peer, *each) for peer in asked.peers for each in CONTESTANTS[peer]]
    models = [model for model in ("rating", "ranking") if any(model == each[1] for each in of_peers)]
    all_of_them = [*(("ours", model, "") for model in models), *of_peers]
    return [Job(*each, rank=rank, iterations=iterations, threads=asked.threads) for each in all_of_them]


def ratios(contestants: Sequence[Job], figures: dict[str, dict[str, Any]]) -> dict[str, float]:
    """A peer's seconds by ours: above 1, ours is faster. Fits count only at equal rank and iterations."""
    found = {}
    for peer in contestants[1:]:
        for what in ("fit_s", "iteration_s", "top_n_s"):
            ours = figures.get(f"ours {'ranking' if what == 'top_n_s' else peer.model}", {}).get(what)
            theirs = figures[peer.name].get(what)
            equal = what == "top_n_s" or peer.rank is not None
            if peer.library != "ours" and equal and ours and theirs:
                found[f"{what.removesuffix('_s')}: {peer.name}"] = round(theirs / ours, 2)
    return found


def _split(table: pa.Table, seed: int, path: Path) -> tuple[HeldOut, Factors, Split]:
    """A random fifth held out; the rest is written to `path` by position."""
    user, movie, rating = (table[name].to_numpy() for name in ("user_id", "movie_id", "rating"))
    train_rows, test_rows = split_random(len(rating), 0.2, seed)
    train = RatingMatrix.from_triples(user[train_rows], movie[train_rows], rating[train_rows])
    held_out = HeldOut.of(train, user[test_rows], movie[test_rows], rating[test_rows])
    by_user, warm = train.by_user, held_out.warm()
    rows = np.repeat(np.arange(by_user.n_rows, dtype=np.int32), by_user.counts())
    tested = held_out.user[warm].astype(np.int32), held_out.movie[warm].astype(np.int32)
    split = Split(rows, by_user.indices, by_user.values, *tested)
    split.save(path)
    return held_out, fit(train, BIASES_ALONE), split


def _floor_figures(held_out: HeldOut, floor: Factors) -> dict[str, Any]:
    return {
        "bias_only_rmse": rating_metrics(bias_only(floor, held_out), held_out.rating)["rmse"],
        "popularity_ndcg_at_10": popular_baseline(floor, held_out, TOP_N)[0]["ndcg_at_10"],
    }


def _turn(worker: Worker, directory: Path, split: Path, asked: Comparison) -> dict[str, Any]:
    """One round of one contestant: its seconds, its peak memory and, in a file, its answers."""
    worker.ask("load", split=str(split))
    fitted = worker.ask("fit")
    out = directory / f"{worker.job.name.replace(' ', '-')}-{len(list(directory.iterdir()))}"
    listed = worker.ask("top_n", n=TOP_N, out=f"{out}.parquet", limit_s=asked.top_n_limit_s)
    made = Path(f"{out}.parquet").exists()
    answered = worker.ask("answers", n=TOP_N, out=f"{out}.npz", lists=made)
    return {
        "settings": fitted["settings"],
        "fit_s": fitted["seconds"],
        "iteration_s": statistics.median(fitted["iterations_s"]) if fitted["iterations_s"] else None,
        "top_n_s": listed["seconds"] if made else None,
        "top_n_would_take_s": listed.get("too_slow_s"),
        "peak_mb": listed["peak_mb"]["process"],
        "peak_mb_of_children": answered["peak_mb"].get("children"),
        "answers": Path(f"{out}.npz"),
    }


def quality(answers: Path, held_out: HeldOut, bias_alone: np.ndarray) -> dict[str, Any]:
    """rmse and ndcg_at_10 of what a worker wrote, as far as it did; bias_alone: float32[T], for the cold rows."""
    figures: dict[str, Any] = {}
    with np.load(answers, allow_pickle=False) as arrays:
        if "predicted" in arrays:
            stars = bias_alone.copy()
            stars[held_out.warm()] = np.clip(arrays["predicted"], *SCALE)
            figures["rmse"] = rating_metrics(stars, held_out.rating)["rmse"]
        if "lists" in arrays:
            lists = arrays["lists"][held_out.users]
            n_movies = len(held_out.train.movie_ids)
            figures["ndcg_at_10"] = accuracy(lists, held_out.relevant, n_movies)["ndcg_at_10"]
    return figures


def _middle(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Median seconds, mean quality and the highest memory of a contestant's rounds; what it has none of is left out."""
    ways: dict[str, Callable[[list[float]], float]] = {
        "rmse": statistics.mean,
        "ndcg_at_10": statistics.mean,
        "peak_mb": max,
        "peak_mb_of_children": max,
    }
    figures: dict[str, Any] = {"settings": rounds[0]["settings"]}
    names = ("fit_s", "iteration_s", "top_n_s", "top_n_would_take_s", *ways)
    for name in names:
        values = [each[name] for each in rounds if each.get(name) is not None]
        if values:
            figures[name] = round(ways.get(name, statistics.median)(values), 4)
    return {**figures, "fit_s_by_round": [round(each["fit_s"], 3) for each in rounds]}
