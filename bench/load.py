"""A heavy load for a while: does the stream keep up, and stay fresh, while refits go on?

    python -m bench.load --rate 5000 --seconds 600 --refit-every 300000 --json

`reelstream up` has the 100,004 real ratings and a published version. Then `reelstream replay FILE --rate R`, in a process of
its own, sends events of new users, who rate by the tastes of `bench.synthetic` and within a minute each, and of a few known
ones. Meanwhile two live ratings a second are measured as in `bench.freshness`, and each second are noted: lag (events in
Kafka that are not in the store), refits, files that a reader opens, and memory.

A trend is the median of the last minute beside that of the second minute; of a quarter of the time, where that is short.
"""

from __future__ import annotations

import argparse
import functools
import json
import operator
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.csv as pcsv

from bench import harness
from bench.fast_forward import files_opened
from bench.freshness import measure
from bench.harness import LEAD_IN_S, Figures
from bench.synthetic import generate
from reelstream.store import run_files
from reelstream.store.ratings import RatingsStore

LIVE_PER_S, POLL_S, WAIT_S = 2.0, 0.02, 60.0
KNOWN_SHARE, FIRST_NEW_USER, STAY_S, SEED = 0.02, 10**6, 60.0, 9
EVERY_S = 1.0
ROLES = {"kafka.Kafka": "broker", "SparkSubmit": "stream, Spark", "refit": "refits", "reelstream up": "stream, Python"}
"""What a command line with these words is."""
REFITS = ("published", "held back", "failed", "running")


def main() -> None:
    parser = harness.options(__doc__)
    parser.add_argument("--rate", type=float, default=5_000, help="events a second")
    parser.add_argument("--seconds", type=float, default=600, help="how long they are sent")
    parser.add_argument("--refit-every", type=int, default=300_000, help="ratings from one refit to the next")
    parser.add_argument("--events", type=Path, help="write the events into this ratings.csv, and send nothing")
    if lost := harness.run("load", parser, load).get("lost"):
        raise SystemExit(f"{lost} events are not in the store")


def load(asked: argparse.Namespace) -> Figures:
    if asked.events:
        return {"events": write_events(asked.events, asked.rate, asked.seconds)}
    with harness.real_pipeline(refit_after_ratings=asked.refit_every) as (live, real):
        store, csv = RatingsStore(live.warehouse), real.with_name("events.csv")
        before = store.state()
        write_events(csv, asked.rate, asked.seconds)
        samples, live_s = list[Figures](), max(1.0, asked.seconds - LEAD_IN_S)
        with harness.replaying(live, csv, asked.rate) as replay, ThreadPoolExecutor(1) as beside:
            time.sleep(LEAD_IN_S)
            rated = beside.submit(measure, live, LIVE_PER_S, live_s, POLL_S, WAIT_S)
            while replay.poll() is None or not rated.done():
                samples.append({**sample(live.warehouse), "sending": replay.poll() is None})
                time.sleep(EVERY_S)
            said = json.loads(replay.communicate()[0])
        sent = before.accepted + said["acked"] + int(LIVE_PER_S * live_s)
        harness.wait_until_stored(live, sent)
        state = store.state()
    return {
        "refit_after_ratings": asked.refit_every,
        "rate_per_s": asked.rate,
        "sent_per_s": round(said["events_per_s"]),
        "events_sent": sent,
        "events_stored": state.accepted,
        "lost": sent - state.accepted,
        "micro_batches": state.batch - before.batch,
        "freshness": rated.result(),
        **figures(samples),
    }


def write_events(csv: Path, rate: float, seconds: float) -> int:
    """A ratings.csv in time order: users of `bench.synthetic`, each of whom rates within STAY_S, and now and then any known
    user. The movie that is the most popular there is the one that is the most popular in the real ratings, and so on."""
    draw, count = np.random.default_rng(SEED), int(rate * seconds)
    made = generate(count, SEED)  # sorted by user
    order = np.argsort(np.arange(count) + draw.random(count) * STAY_S * rate)
    users, movies, stars = (made[name].to_numpy()[order] for name in ("user_id", "movie_id", "rating"))
    _, place, counts = np.unique(movies, return_inverse=True, return_counts=True)
    rank = np.argsort(np.argsort(-counts, kind="stable"))[place]
    real_users, real_movies = (harness.ratings()[0][name].to_numpy() for name in ("user_id", "movie_id"))
    real_ids, real_counts = np.unique(real_movies, return_counts=True)
    popular = real_ids[np.argsort(-real_counts, kind="stable")]
    begin_ms = time.time_ns() // 1_000_000 - int(seconds * 1000)
    table = {
        "userId": np.where(draw.random(count) < KNOWN_SHARE, draw.choice(real_users, count), FIRST_NEW_USER + users),
        "movieId": popular[rank % len(popular)],
        "rating": stars,
        "rated_at": begin_ms + (np.arange(count) * 1000 / rate).astype(np.int64),
    }
    pcsv.write_csv(pa.table(table), csv)
    return count


def sample(warehouse: Path) -> Figures:
    """What the pipeline says and takes at this moment; memory in MB (10^6 bytes)."""
    status, refit = (run_files.read(warehouse, name) or {} for name in ("stream", "refit"))
    up, memory_mb = psutil.Process(status["pid"]), Counter[str]()
    for process in (up, *up.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # it has ended
            words = " ".join(process.cmdline())
            role = next((role for word, role in ROLES.items() if word in words), "others")
            memory_mb[role] += round(process.memory_info().rss / 1e6)
    said = {"lag": status["lag_events"], "error": status["error"], "median_batch": status.get("median_batch", {})}
    return {"at": time.monotonic(), **said, "refit": refit, "opened": files_opened(warehouse), "memory_mb": memory_mb}


def figures(samples: Sequence[Figures]) -> Figures:
    """Seconds, events, MB."""
    at, lags = np.array([(s["at"], s["lag"]) for s in samples if s["sending"] and s["lag"] is not None]).T
    minute = min(60.0, (at[-1] - at[0]) / 4)
    trend = {"second_minute": (at >= at[0] + minute) & (at < at[0] + 2 * minute), "last_minute": at >= at[-1] - minute}
    lag = {"median": np.median(lags), "p95": np.quantile(lags, 0.95), "max": lags.max()}
    lag |= {name: np.median(lags[within]) for name, within in trend.items() if within.any()}
    started = {s["refit"].get("started_at"): s["refit"] for s in samples}
    refits = [refit for at, refit in started.items() if at != samples[0]["refit"].get("started_at")]
    return {
        "lag_events": {name: round(float(events)) for name, events in lag.items()},
        "refits": {how.replace(" ", "_"): sum(one["state"] == how for one in refits) for how in REFITS},
        "refit_seconds": [one["seconds"]["all"] for one in refits if "seconds" in one],
        "refits_said": [one[why] for one in refits for why in ("error", "reasons") if one.get(why)],
        "errors": list(dict.fromkeys(s["error"] for s in samples if s["error"])),
        "median_batch": samples[-1]["median_batch"],
        "most_files_opened": functools.reduce(operator.or_, (s["opened"] for s in samples)),
        "most_memory_mb": functools.reduce(operator.or_, (s["memory_mb"] for s in samples)),
    }


if __name__ == "__main__":
    main()
