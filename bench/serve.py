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
import random
import statistics
import subprocess
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.compute as pc

from bench.harness import Figures, command, data_options, options, ratings, run, store, temporary_settings
from bench.http_load import load, request
from reelstream.batch.refit import refit
from reelstream.cli.serve import READY
from reelstream.producer.movies_file import read_movies
from reelstream.settings import Settings
from reelstream.store.movies import MoviesStore

ROUNDS, REFITS, WARM_UP_S = 3, 4, 3.0
RATINGS_OF_AN_ANONYMOUS_USER = 20


def main() -> None:
    parser = options(__doc__)
    data_options(parser)
    parser.add_argument("--movies", type=Path, help="its movies.csv")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10, help="how long a round of known users lasts")
    parser.add_argument("--users", type=int, default=500, help="anonymous users of a round")
    run("serve", parser, serve)


def serve(asked: argparse.Namespace) -> Figures:
    table, titles = ratings(asked.ratings, asked.synthetic)
    if asked.movies:
        titles = read_movies(asked.movies).table
    users, movies = pc.unique(table["user_id"]).to_pylist(), pc.unique(table["movie_id"]).to_numpy()
    asks: dict[str, tuple[Any, ...]] = {
        "known": (known, users, asked.connections, asked.seconds),
        "anonymous": (anonymous_users, movies, asked.users),
        "search": (searches, asked.users),
    }
    with temporary_settings() as settings, ProcessPoolExecutor(1, get_context("spawn")) as client:
        if titles is not None:
            MoviesStore(settings.warehouse).load(titles)
        store(settings, table)
        refit(settings)
        with serving(settings) as (server, port):
            memory, rounds = {"at_first": server.memory_info().rss}, list[dict[str, dict[str, float]]]()
            for seed in range(ROUNDS):
                answered = {name: client.submit(what, port, seed, *of) for name, (what, *of) in asks.items()}
                rounds.append({name: one.result() for name, one in answered.items()})
            memory["at_last"] = server.memory_info().rss
            for _ in range(REFITS):
                refit(settings, force=True)
                client.submit(anonymous_users, port, 0, movies, 20).result()
                client.submit(known, port, 0, users, 4, 1.0).result()
            memory[f"after_{REFITS}_refits"] = server.memory_info().rss
    return {
        **{"ratings": table.num_rows, "users": len(users), "movies": len(movies), "connections": asked.connections},
        **{name: medians([one[name] for one in rounds]) for name in asks},
        "server_memory_mb": {when: round(size / 1e6, 1) for when, size in memory.items()},
    }


@contextmanager
def serving(settings: Settings) -> Iterator[tuple[psutil.Process, int]]:
    """(process, port) of a `reelstream serve` that listens."""
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    with command(settings, "serve", "--while-stdin", **pipes) as process:
        said = process.stderr.readline() if process.stderr else ""
        if not said.startswith(READY):
            raise SystemExit(f"the server did not start: {said}")
        yield psutil.Process(process.pid), int(said.removeprefix(READY).split(";")[0].rpartition(":")[2])


def known(port: int, seed: int, users: list[int], connections: int, seconds: float) -> dict[str, float]:
    draw = random.Random(seed)
    asks = [request("GET", f"/v1/users/{draw.choice(users)}/recommendations?n=10") for _ in range(5000)]
    load(port, itertools.cycle(asks), connections=connections, seconds=WARM_UP_S)
    took, bad = load(port, itertools.cycle(asks), connections=connections, seconds=seconds)
    return {"requests_per_s": len(took) / seconds, **quantiles(took), "errors": len(bad)}


def anonymous_users(port: int, seed: int, movies: np.ndarray, number: int) -> dict[str, float]:
    draw, bodies = np.random.default_rng(seed), list[bytes]()
    for _ in range(number):
        rated = draw.choice(movies, RATINGS_OF_AN_ANONYMOUS_USER, replace=False).tolist()
        stars = (draw.integers(1, 11, RATINGS_OF_AN_ANONYMOUS_USER) / 2).tolist()
        rows = [{"movie_id": m, "rating": r} for m, r in zip(rated, stars, strict=True)]
        bodies.append(json.dumps({"ratings": rows}).encode())
    return one_by_one(port, [request("POST", "/v1/visitors/recommendations?n=10", body) for body in bodies])


def searches(port: int, _seed: int, number: int) -> dict[str, float]:
    return one_by_one(port, [request("GET", "/v1/movies?q=pulp+ficton&n=10")] * number)


def one_by_one(port: int, asks: list[bytes]) -> dict[str, float]:
    """Each request after the answer to the one before, on a connection of its own."""
    answers = [load(port, iter([ask]), connections=1, seconds=0) for ask in asks]
    took = list(itertools.chain(*(seconds for seconds, _ in answers)))
    return {**quantiles(took), "errors": sum(len(bad) for _, bad in answers)}


def quantiles(took: list[float]) -> dict[str, float]:
    return {f"p{p}_ms": round(float(np.quantile(took, p / 100)) * 1000, 2) for p in (50, 95, 99)}


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    figures = {name: round(statistics.median(one[name] for one in rounds), 2) for name in rounds[0] if name != "errors"}
    return {**figures, "errors": sum(one["errors"] for one in rounds)}


if __name__ == "__main__":
    main()
