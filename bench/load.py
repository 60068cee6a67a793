"""A heavy load for a while: does the stream keep up, and stay fresh, while refits go on?

    python -m bench.load --rate 5000 --seconds 600 --refit-every 300000 --json

`reelstream up` has the 100,004 real ratings and a published version. Then `reelstream replay FILE --rate R`, in a process of
its own, sends events of new users, who rate by the tastes of `bench.synthetic` and within a minute each, and of a few known
ones. Meanwhile two live ratings a second are measured as in `bench.freshness`, and each second are noted: lag (events in
Kafka that are not in the store), refits, files that a reader opens, memory and CPU time of each process.

A trend is the median of the last minute beside that of the second minute; of a quarter of the time, where that is short.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv

from bench._report import print_report
from bench.freshness import Sent, measure, replay_all, summary
from bench.load_samples import sampling
from bench.pipeline import running, temporary_settings, wait_until_stored
from bench.soak_events import real_rows
from bench.synthetic import generate
from reelstream.batch.refit import refit
from reelstream.cli.demo import real_ratings
from reelstream.errors import Busy
from reelstream.producer.ratings_csv import RatingRows
from reelstream.settings import Settings, to_env
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore

LIVE_PER_S, POLL_S, WAIT_S = 2.0, 0.02, 60.0
LEAD_IN_S = 5.0
KNOWN_SHARE = 0.02
FIRST_NEW_USER, STAY_S = 10**6, 60.0
SEED = 9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=5_000, help="events a second")
    parser.add_argument("--seconds", type=float, default=600, help="how long they are sent")
    parser.add_argument("--refit-every", type=int, default=300_000, help="ratings from one refit to the next")
    parser.add_argument("--json", action="store_true", help="kept for symmetry: a bench always prints JSON")
    asked = parser.parse_args()
    started = time.perf_counter()
    with (
        temporary_settings(refit_after_ratings=asked.refit_every, refit_after_minutes=10**6) as settings,
        tempfile.TemporaryDirectory() as directory,
        running(settings) as live,
    ):
        figures = load(live, Path(directory), asked.rate, asked.seconds)
    print_report("load", {"refit_after_ratings": asked.refit_every, **figures}, seconds=time.perf_counter() - started)
    if figures["lost"]:
        raise SystemExit(f"{figures['lost']} events are not in the store")


def load(live: Settings, directory: Path, rate: float, seconds: float) -> dict[str, Any]:
    """The figures of a run on a pipeline that has just started."""
    store = RatingsStore(live.warehouse)
    ratings, _ = real_ratings(directory)
    before = replay_all(live, ratings)
    wait_until_stored(live, before)
    _publish(live)
    first_batch = store.state().batch
    events = directory / "events.csv"
    write_events(events, real_rows(ratings), rate, seconds)
    with (
        _replaying(live, events, rate) as replay,
        sampling(live, {replay.pid: "replay", os.getpid(): "bench"}) as samples,
    ):
        time.sleep(LEAD_IN_S)
        rated = measure(live, LIVE_PER_S, max(1.0, seconds - LEAD_IN_S), poll_s=POLL_S, wait_s=WAIT_S)
        said = json.loads(replay.communicate()[0])
        samples.sending_ended()
        sent = before + said["acked"] + len(rated)
        wait_until_stored(live, sent)
    state = store.state()
    return {
        "rate_per_s": rate,
        "sent_per_s": round(said["events_per_s"]),
        "events_sent": sent,
        "events_stored": state.accepted,
        "lost": sent - state.accepted,
        "micro_batches": state.batch - first_batch,
        "freshness": _freshness(rated),
        **samples.figures(),
    }


def write_events(csv: Path, real: RatingRows, rate: float, seconds: float) -> None:
    """A ratings.csv in time order: users of `bench.synthetic`, each of whom rates within STAY_S, and now and then any known
    user. The movie that is the most popular there is the one that is the most popular in the real ratings, and so on."""
    draw, count = np.random.default_rng(SEED), int(rate * seconds)
    made = generate(count, SEED)  # sorted by user
    order = np.argsort(np.arange(count) + draw.random(count) * STAY_S * rate)
    users, movies, stars = (made[name].to_numpy()[order] for name in ("user_id", "movie_id", "rating"))
    movie_ids, place = np.unique(movies, return_inverse=True)
    rank = np.empty(len(movie_ids), np.int64)
    rank[np.argsort(-np.bincount(place), kind="stable")] = np.arange(len(movie_ids))
    real_ids, counts = np.unique(real["movie_id"], return_counts=True)
    by_popularity = real_ids[np.argsort(-counts, kind="stable")]
    known, anyone = draw.random(count) < KNOWN_SHARE, real["user_id"][draw.integers(0, len(real), count)]
    begin_ms = time.time_ns() // 1_000_000 - int(seconds * 1000)
    table = {
        "userId": np.where(known, anyone, FIRST_NEW_USER + users),
        "movieId": by_popularity[rank[place] % len(by_popularity)],
        "rating": stars,
        "rated_at": begin_ms + (np.arange(count) * 1000 / rate).astype(np.int64),
    }
    pcsv.write_csv(pa.table(table), csv)


def _publish(live: Settings) -> None:
    try:
        refit(live)
    except Busy:  # the stream's own first refit, where one comes so early
        while RecommendationsStore(live.warehouse).current_or_none() is None:
            time.sleep(0.2)
    time.sleep(2)


@contextmanager
def _replaying(live: Settings, csv: Path, rate: float) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-P", "-m", "reelstream", "replay", str(csv), "--rate", str(rate), "--json"]
    with subprocess.Popen(
        command,
        env={**os.environ, **to_env(live)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)


def _freshness(rated: list[Sent]) -> dict[str, Any]:
    counted = [one for one in rated if one.seconds is not None]
    kinds = {kind: [one for one in counted if one.kind == kind] for kind in ("known", "new")}
    figures = {kind: summary(ones) for kind, ones in {"all": counted, **kinds}.items() if ones}
    return {"not_counted": len(rated) - len(counted), **figures}


if __name__ == "__main__":
    main()
