"""How fast the HTTP API answers, and what its process takes.

    python -m bench.serve [--ratings ratings.csv --movies movies.csv] [--synthetic ROWS]

A warehouse with a published version is served by `reelstream serve`, with no pipeline beside it. The client is a process of
its own on the same CPUs. Three rounds, of which the medians are taken: `known` users' lists over 64 connections; a
`anonymous` user with 20 ratings, one request after the other; a `search` with a typo. Then the server's memory, also after more
versions were published. Without a file: the 100,004 real ratings of the demo.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from bench import http_load
from bench._report import print_report
from bench.pipeline import temporary_settings
from bench.processes import resident_mb
from bench.refit import ratings as ratings_of
from bench.whole_refit import store
from reelstream.batch.refit import refit
from reelstream.cli.serve import READY
from reelstream.settings import Settings, to_env
from reelstream.store.movies import MoviesStore, read_csv

ROUNDS = 3
WARM_UP_S = 3.0
REFITS = 4
RATINGS_OF_AN_ANONYMOUS_USER = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = parser.add_mutually_exclusive_group()
    data.add_argument("--ratings", type=Path, help="a MovieLens ratings.csv")
    data.add_argument("--synthetic", type=int, metavar="ROWS", help="ratings of bench.synthetic, so many")
    parser.add_argument("--movies", type=Path, help="its movies.csv")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10, help="how long a round of known users lasts")
    parser.add_argument("--users", type=int, default=500, help="anonymous users of a round")
    asked = parser.parse_args()
    started = time.perf_counter()
    with temporary_settings() as settings:
        table, titles = ratings_of(asked.ratings, asked.synthetic)
        if asked.movies:
            titles = read_csv(asked.movies)
        if titles is not None:
            MoviesStore(settings.warehouse).load(titles)
        store(settings, table)
        refit(settings)
        users = pc.unique(table["user_id"]).to_pylist()
        movies = pc.unique(table["movie_id"]).to_numpy()
        with serving(settings) as (pid, port), ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as client:
            at_first_mb = resident_mb(pid)
            rounds = [one_round(client, port, users, movies, asked, number) for number in range(ROUNDS)]
            memory = {"at_first": round(at_first_mb, 1), "at_last": round(resident_mb(pid), 1)}
            for _ in range(REFITS):
                refit(settings, force=True)
                client.submit(anonymous_users, port, movies, 20, 0).result()
                client.submit(known, port, users, 4, 1.0, 0).result()
            memory[f"after_{REFITS}_refits"] = round(resident_mb(pid), 1)
    figures = {kind: medians([one[kind] for one in rounds]) for kind in rounds[0]}
    print_report(
        "serve",
        {
            "ratings": table.num_rows,
            "users": len(users),
            "movies": len(movies),
            "connections": asked.connections,
            **figures,
            "server_memory_mb": memory,
        },
        seconds=time.perf_counter() - started,
    )


def one_round(
    client: ProcessPoolExecutor, port: int, users: list[int], movies: np.ndarray, asked: argparse.Namespace, seed: int
) -> dict[str, dict[str, float]]:
    return {
        "known": client.submit(known, port, users, asked.connections, asked.seconds, seed).result(),
        "anonymous": client.submit(anonymous_users, port, movies, asked.users, seed).result(),
        "search": client.submit(searches, port, asked.users).result(),
    }


def known(port: int, users: list[int], connections: int, seconds: float, seed: int) -> dict[str, float]:
    draw = random.Random(seed)
    requests = [
        http_load.request("GET", f"/v1/users/{draw.choice(users)}/recommendations?n=10", "127.0.0.1")
        for _ in range(5000)
    ]
    http_load.load("127.0.0.1", port, itertools.cycle(requests), connections=connections, seconds=WARM_UP_S)
    took, bad = http_load.load("127.0.0.1", port, itertools.cycle(requests), connections=connections, seconds=seconds)
    return {"requests_per_s": len(took) / seconds, **quantiles(took), "errors": len(bad)}


def anonymous_users(port: int, movies: np.ndarray, number: int, seed: int) -> dict[str, float]:
    draw = np.random.default_rng(seed)
    requests = []
    for _ in range(number):
        rated = draw.choice(movies, RATINGS_OF_AN_ANONYMOUS_USER, replace=False).tolist()
        stars = (draw.integers(1, 11, RATINGS_OF_AN_ANONYMOUS_USER) / 2).tolist()
        body = {"ratings": [{"movie_id": m, "rating": r} for m, r in zip(rated, stars, strict=True)]}
        requests.append(
            http_load.request("POST", "/v1/visitors/recommendations?n=10", "127.0.0.1", json.dumps(body).encode())
        )
    return one_by_one(port, requests)


def searches(port: int, number: int) -> dict[str, float]:
    requests = [http_load.request("GET", "/v1/movies?q=pulp+ficton&n=10", "127.0.0.1")] * number
    return one_by_one(port, requests)


def one_by_one(port: int, requests: list[bytes]) -> dict[str, float]:
    """Each request after the answer to the one before, on a connection of its own."""
    took: list[float] = []
    bad = 0
    for one in requests:
        seconds, wrong = http_load.load("127.0.0.1", port, iter([one]), connections=1, seconds=0)
        took += seconds
        bad += len(wrong)
    return {**quantiles(took), "errors": bad}


def quantiles(took: list[float]) -> dict[str, float]:
    p50, p95, p99 = (float(q) for q in np.quantile(took, (0.5, 0.95, 0.99)))
    return {"p50_ms": round(p50 * 1000, 2), "p95_ms": round(p95 * 1000, 2), "p99_ms": round(p99 * 1000, 2)}


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    figures = {name: round(statistics.median(one[name] for one in rounds), 2) for name in rounds[0] if name != "errors"}
    return {**figures, "errors": sum(one["errors"] for one in rounds)}


@contextmanager
def serving(settings: Settings) -> Iterator[tuple[int, int]]:
    """(process id, port) of a `reelstream serve` that listens."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "reelstream", "serve", "--while-stdin"],
        env={**os.environ, **to_env(settings)},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        said = process.stderr.readline() if process.stderr else ""
        if not said.startswith(READY):
            raise SystemExit(f"the server did not start: {said}")
        yield process.pid, int(said.removeprefix(READY).split(";")[0].rpartition(":")[2])
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


if __name__ == "__main__":
    main()
