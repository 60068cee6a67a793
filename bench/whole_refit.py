"""The whole refit of `bench.refit`, in a process of its own, so that its peak memory is that of a refit.

In: ratings in a warehouse. Out: seconds by step and memory. Next: `bench.refit` prints them.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pyarrow as pa

from bench.peers.ours import warm_up
from bench.peers.worker import peak_mb
from reelstream.batch import refit as refits
from reelstream.settings import Settings
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from reelstream.store.schemas import RATINGS, REJECTS


def store(settings: Settings, table: pa.Table) -> None:
    """Puts ratings (user_id, movie_id, rating, rated_at int64 in ms) into the ratings store, as the stream would."""
    rows = table.num_rows
    columns = {
        **{name: table[name] for name in ("user_id", "movie_id", "rating")},
        "rated_at": table["rated_at"].cast(pa.timestamp("ms", tz="UTC")),
        "topic": pa.repeat("ratings", rows),
        "partition": pa.repeat(0, rows),
        "offset": pa.array(range(rows), pa.int64()),
    }
    RatingsStore(settings.warehouse).append(
        pa.table(columns).cast(RATINGS), REJECTS.empty_table(), {"ratings": {0: rows}}
    )


def measured(settings: Settings, rounds: int) -> dict[str, Any]:
    """Refits of what is stored, each without a version before it, and one more that has one:
    {"rounds": seconds by step of each, "again": of that one, "peak_mb": …, "quality": …}.

    quality: what the last of the rounds measured on its held-out ratings, beside the baselines: seconds say little without.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_refits, settings, rounds).result()


def _refits(settings: Settings, rounds: int) -> dict[str, Any]:
    warm_up()
    seconds = []
    for _ in range(rounds):
        for directory in ("models", "recommendations"):
            shutil.rmtree(settings.warehouse / directory, ignore_errors=True)
        seconds.append(_timed(settings))
    peak = peak_mb()
    metrics = RecommendationsStore(settings.warehouse).current().info["metrics"]
    return {"rounds": seconds, "again": _timed(settings), "peak_mb": peak, "quality": metrics and quality(metrics)}


def quality(metrics: Mapping[str, Any]) -> dict[str, float]:
    """rmse and ndcg_at_10 beside those of the baselines."""
    baselines = metrics["baselines"]
    figures = {
        "rmse": metrics["rmse"],
        "ndcg_at_10": metrics["ndcg_at_10"],
        "bias_only_rmse": baselines["bias_only"]["rmse"],
        "popularity_ndcg_at_10": baselines["popularity"]["ndcg_at_10"],
    }
    return {name: round(figure, 4) for name, figure in figures.items() if figure is not None}


def _timed(settings: Settings) -> Mapping[str, float]:
    """One refit's seconds, by step; `all` from the call to its return."""
    began = time.perf_counter()
    version = refits.refit(settings)
    return {**version.info["seconds"], "all": round(time.perf_counter() - began, 3)}
