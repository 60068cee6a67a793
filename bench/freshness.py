"""How soon a rating counts: from the broker's acknowledgement until the user's fresh list is readable through the pointer.

    python -m bench.freshness --rate 10 --seconds 60 --json
    python -m bench.freshness --rate 10 --seconds 60 --background 1000
    python -m bench.freshness --rate 10 --seconds 30 --searching

A pipeline with the 100,004 real ratings and a published version takes live ratings, of known and of new users in turn, with
`--background` while a replay of so many events a second runs. Each list is read as a reader would, and must be a folded-in
one without the movie just rated. With `--searching` the refit that searches for better settings runs meanwhile; `beside` says
what the newest refit was at when the last rating was sent. `where` says where the time of a micro-batch with events goes, as
medians: queue (in Kafka, until the micro-batch begins), read (Spark and Kafka, with parsing), store, score (live quality),
fold_in and publish.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext

from bench.harness import LEAD_IN_S, Figures, options, real_pipeline, replaying, run
from reelstream.producer.send import RatingProducer, new_user_id
from reelstream.settings import Settings
from reelstream.store import pointer, run_files
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from reelstream.store.updates import Updates

POLL_S, WAIT_S, MOST_WAITING = 0.004, 30.0, 500
MOVIES = (1, 50, 110, 260, 296, 318, 356, 480, 527, 589, 593, 2571)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--rate", type=float, default=10, help="live ratings a second")
    parser.add_argument("--seconds", type=float, default=60, help="how long to send")
    parser.add_argument("--background", type=float, default=0, help="events a second that a replay sends meanwhile")
    parser.add_argument("--searching", action="store_true", help="beside the refit that searches for better settings")
    run("freshness", parser, freshness)


def freshness(asked: argparse.Namespace) -> Figures:
    with real_pipeline(self_tuning=asked.searching) as (live, csv):
        with replaying(live, csv, asked.background) if asked.background else nullcontext() as replay:
            time.sleep(LEAD_IN_S if replay else 0)
            figures = measure(live, asked.rate, asked.seconds)
            beside = (run_files.read(live.warehouse, "refit") or {}).get("step")
            where = (run_files.read(live.warehouse, "stream") or {})["median_batch"]
            if replay and replay.poll() is not None:
                raise SystemExit("the replay ended before the live ratings; ask for fewer --seconds or --background")
        batches = RatingsStore(live.warehouse).state().batch
    if late := figures.pop("not_counted"):
        raise SystemExit(f"{late} ratings did not count within {WAIT_S} s")
    of_all, rates = figures.pop("all"), {"rate_per_s": asked.rate, "background_per_s": asked.background}
    return {**rates, "beside": beside, "all": of_all, "by_user": figures, "where": where, "micro_batches": batches}


def measure(
    settings: Settings, rate_per_s: float, seconds: float, poll_s: float = POLL_S, wait_s: float = WAIT_S
) -> Figures:
    """Sends at the rate, and looks each `poll_s` seconds whether a rating counts: `not_counted` within `wait_s`, and of those
    that counted the seconds until then: of `all`, of `known` and of `new` users."""
    choose, counted = random.Random(42), list[Future[float | None]]()
    with (
        ThreadPoolExecutor(MOST_WAITING) as pool,
        RatingProducer(settings.bootstrap_servers or "", settings.topic, {}) as producer,
    ):
        begin = time.perf_counter()
        for number in range(int(rate_per_s * seconds)):
            time.sleep(max(0.0, begin + number / rate_per_s - time.perf_counter()))
            user_id, movie_id = new_user_id() if number % 2 else choose.randint(1, 671), choose.choice(MOVIES)
            [place] = producer.rate_live(user_id, [(movie_id, 4.5)])
            sent = user_id, movie_id, place, time.perf_counter()
            counted.append(pool.submit(seconds_until_it_counts, settings, sent, poll_s, wait_s))
        took = [one.result() for one in counted]
    figures: Figures = {"not_counted": took.count(None)}
    for kind, some in {"all": took, "known": took[::2], "new": took[1::2]}.items():
        if found := sorted(one for one in some if one is not None):
            p95 = found[int(0.95 * (len(found) - 1))]
            times = {"median_s": statistics.median(found), "p95_s": p95, "max_s": found[-1]}
            figures[kind] = {"ratings": len(found), **{name: round(time_s, 3) for name, time_s in times.items()}}
    return figures


def seconds_until_it_counts(
    settings: Settings, sent: tuple[int, int, tuple[int, int], float], poll_s: float, wait_s: float
) -> float | None:
    """Until the version that the pointer names at that moment counts the rating; None: not in time.

    sent: user, movie, (partition, offset), and when it was acknowledged.
    """
    (user_id, movie_id, place, began), batch, last_look = sent, None, None
    store, published = RatingsStore(settings.warehouse), RecommendationsStore(settings.warehouse)
    updates = published.path / "latest/updates/CURRENT"
    while time.perf_counter() < began + wait_s:
        time.sleep(poll_s)
        look = published.stamp(), pointer.stamp(updates)  # cheap enough to ask all the time
        if look == last_look:
            continue
        last_look, state = look, store.state()
        if batch is None and state.has(settings.topic, place):
            batch = state.batch  # one that it had come by
        version = published.current()
        if batch is not None and batch <= max(version.batch, Updates(version.path).batch()):
            movies = published.read_users(version, [user_id]).to_pylist()
            assert movies, f"user {user_id} has no list"
            seen_by_refit = batch <= version.batch
            assert seen_by_refit or movies[0]["source"] == "fold_in", f"user {user_id} has an old list"
            assert movie_id not in {movie["movie_id"] for movie in movies}, f"user {user_id} has seen it"
            return time.perf_counter() - began
    return None


if __name__ == "__main__":
    main()
