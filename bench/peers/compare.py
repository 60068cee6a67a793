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

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.peers.protocol import AT_HOME, INSTALL, SCALE, Job, Split
from reelstream.als.factors import ModelSettings, RatingMatrix
from reelstream.als.fit import fit
from reelstream.als.held_out import HeldOut
from reelstream.als.list_metrics import accuracy
from reelstream.als.metrics import bias_only, popular_baseline, rating_metrics
from reelstream.als.splits import split_random

PEERS = {
    "mllib": [("rating", ""), ("ranking", "")],
    "implicit": [("ranking", "")],
    "cmfrec": [("rating", ""), ("rating", "exact")],
    "lenskit": [("rating", ""), ("ranking", "")],
    "surprise": [("rating", "")],
}
"""The models of each peer, and their variants."""
TOP_N, END_S = 10, 30
OF_ROUNDS: dict[str, Callable[[list[float]], float]] = {
    **dict.fromkeys(("fit_s", "iteration_s", "top_n_s"), statistics.median),
    **dict.fromkeys(("peak_mb", "peak_mb_of_children"), max),
    **dict.fromkeys(("rmse", "ndcg_at_10"), statistics.mean),
}
"""A contestant's figures, and what is made of those of its rounds."""


def compare(table: pa.Table, asked: argparse.Namespace, seeds: Sequence[int]) -> dict[str, Any]:
    """table: columns user_id, movie_id, rating; asked: the options of `bench.refit`.

    Raises SystemExit with what to do if a peer cannot be run.
    """
    rounds, baselines = defaultdict[Job, list[dict[str, Any]]](list), list[dict[str, float]]()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="reelstream-bench-")))
        turns = {job: stack.enter_context(_process(job, asked.peers_python)) for job in _jobs(asked)}  # 1
        for number in range(asked.rounds):  # 2
            path = directory / f"split-{number}.npz"
            held_out, bias_alone, floor = _split(table, seeds[number % len(seeds)], path)
            baselines.append(floor)
            for job, turn in turns.items():
                out = directory / f"{job.name}-{number}".replace(" ", "-")
                out.mkdir()
                figures = turn(split=str(path), out=str(out), n=TOP_N)  # 3
                rounds[job].append(figures | _quality(out / "answers.npz", held_out, bias_alone))  # 4
    found = {job.name: _middle(each) for job, each in rounds.items()}
    return {
        "training_ratings": len(held_out.train.by_user.indices),
        "users": len(held_out.train.user_ids),
        "movies": len(held_out.train.movie_ids),
        "threads": asked.threads,
        "equal": asked.equal and {"rank": asked.equal[0], "iterations": asked.equal[1]},
        "baselines": {name: round(statistics.fmean(each[name] for each in baselines), 4) for name in baselines[0]},
        "contestants": found,
        "times_faster_than": ratios(found, equal=bool(asked.equal)),
    }


def ratios(figures: Mapping[str, Mapping[str, Any]], *, equal: bool) -> dict[str, float]:
    """A peer's seconds by ours: above 1, ours is faster. Fits count only at equal rank and iterations.

    >>> ours, implicit = {"fit_s": 2.0, "top_n_s": 0.5}, {"fit_s": 3.0, "top_n_s": 0.25}
    >>> [ratios({"ours ranking": ours, "implicit ranking": implicit}, equal=equal) for equal in (True, False)]
    [{'fit: implicit ranking': 1.5, 'top_n: implicit ranking': 0.5}, {'top_n: implicit ranking': 0.5}]
    """
    found = {}
    for peer, theirs in figures.items():
        for what in ("fit_s", "iteration_s", "top_n_s") if equal else ("top_n_s",):
            ours = figures.get(f"ours {'ranking' if what == 'top_n_s' else peer.split()[1]}", {})
            if ours.get(what) and what in theirs and not peer.startswith("ours"):
                found[f"{what.removesuffix('_s')}: {peer}"] = round(theirs[what] / ours[what], 2)
    return found


def _jobs(asked: argparse.Namespace) -> list[Job]:
    """Ours, where a peer has that model, then the peers' in the order that they were asked for."""
    rank, iterations = asked.equal or (None, None)
    peers = [(peer, *each) for peer in asked.peers for each in PEERS[peer]]
    ours = [("ours", model, "") for model in ("rating", "ranking") if any(model == peer[1] for peer in peers)]
    return [Job(*each, rank=rank, iterations=iterations, threads=asked.threads) for each in [*ours, *peers]]


@contextmanager
def _process(job: Job, python: Path) -> Iterator[Callable[..., dict[str, Any]]]:
    """`bench.peers.worker` for one contestant, as the function that has it take a turn."""
    python = Path(sys.executable if job.library in AT_HOME else python).absolute()
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "LK_NUM_THREADS"), str(job.threads))
    threads |= dict.fromkeys(("LK_NUM_PROCS", "LK_NUM_BACKEND_THREADS"), "1")
    starts_them = job.library in ("implicit", "cmfrec")  # and each of them calls BLAS, which must not start more
    threads["OPENBLAS_NUM_THREADS"] = "1" if starts_them else str(job.threads)
    try:
        process = subprocess.Popen(
            [python, "-m", "bench.peers.worker", json.dumps(job._asdict())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[2],
            env={**os.environ, **threads},
        )
    except OSError as error:
        raise SystemExit(f"{python} does not start ({error.strerror}). {INSTALL}") from error

    def turn(**how: Any) -> dict[str, Any]:
        assert process.stdin
        assert process.stdout
        print(f"{job.name} …", file=sys.stderr, flush=True)
        with suppress(BrokenPipeError):
            print(json.dumps(how), file=process.stdin, flush=True)
        if not (line := process.stdout.readline()):
            raise SystemExit(f"the process of {job.name} ended with code {process.wait()}; what it said is above.")
        return dict(json.loads(line))

    try:
        yield turn
    finally:
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=END_S)  # closes its input, by which it ends
        process.kill()
        process.wait()


def train_and_test(table: pa.Table, seed: int) -> tuple[RatingMatrix, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """A random fifth of (user_id, movie_id, rating) held out: ids and stars of it, each [T]."""
    user, movie, rating = (table[name].to_numpy() for name in ("user_id", "movie_id", "rating"))
    train, test = split_random(len(rating), 0.2, seed)
    matrix = RatingMatrix.from_triples(user[train], movie[train], rating[train])
    return matrix, (user[test], movie[test], rating[test])


def _split(table: pa.Table, seed: int, path: Path) -> tuple[HeldOut, np.ndarray, dict[str, Any]]:
    """A random fifth held out, its bias-only predictions float32[T], and the baselines; the rest goes into a file."""
    train, test = train_and_test(table, seed)
    held_out = HeldOut.of(train, *test, ModelSettings().liked_stars)
    by_user, warm = train.by_user, held_out.warm()
    user = np.repeat(np.arange(by_user.n_rows, dtype=np.int32), by_user.counts())
    tested = [positions[warm].astype(np.int32) for positions in (held_out.user, held_out.movie)]
    np.savez(path, **Split(user, by_user.indices, by_user.values, *tested)._asdict())
    factors = fit(train, ModelSettings(rating_rank=0, rating_iterations=1, ranking_rank=1, ranking_iterations=1))
    bias_alone = bias_only(factors, held_out)
    popular = popular_baseline(factors, held_out, TOP_N)[0]["ndcg_at_10"]
    figures = {"bias_only_rmse": rating_metrics(bias_alone, held_out.rating)["rmse"], "popularity_ndcg_at_10": popular}
    return held_out, bias_alone, figures


def _quality(answers: Path, held_out: HeldOut, bias_alone: np.ndarray) -> dict[str, Any]:
    """rmse and ndcg_at_10 of what a contestant answered, as far as it did."""
    figures: dict[str, Any] = {}
    with np.load(answers, allow_pickle=False) as arrays:
        if "predicted" in arrays:
            stars = bias_alone.copy()
            stars[held_out.warm()] = np.clip(arrays["predicted"], *SCALE)
            figures["rmse"] = rating_metrics(stars, held_out.rating)["rmse"]
        if "lists" in arrays:
            lists, n_movies = arrays["lists"][held_out.users], len(held_out.train.movie_ids)
            figures["ndcg_at_10"] = accuracy(lists, held_out.relevant, n_movies)["ndcg_at_10"]
    return figures


def _middle(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Of a contestant's rounds; what it has none of is left out."""
    figures = {"settings": rounds[-1]["settings"]}
    for name in [name for name in OF_ROUNDS if name in rounds[0]]:
        figures[name] = round(OF_ROUNDS[name]([each[name] for each in rounds]), 4)
    return {**figures, "fit_s_by_round": [round(each["fit_s"], 3) for each in rounds]}
