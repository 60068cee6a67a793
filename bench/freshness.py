"""How soon a rating counts: from the broker's acknowledgement until the user's fresh list is readable through the pointer.

    python -m bench.freshness --rate 10 --seconds 60 --json

A pipeline with the 100,004 real ratings and a published version takes live ratings, of known and of new users in turn. Each
list is read as a reader would, and must be a folded-in one without the film just rated.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from batch.refit import refit
from bench._report import print_report
from bench.pipeline import running, temporary_settings, wait_until_stored
from cli.demo import real_ratings
from cli.replay import replay_file
from producer.send import RatingProducer, new_user_id
from reelstream.settings import Settings
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore, Updates

POLL_S = 0.004
WAIT_S = 30.0


@dataclass
class Sent:
    kind: str
    user_id: int
    movie_id: int
    partition: int
    offset: int
    acknowledged: float
    seconds: float | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=10, help="live ratings a second")
    parser.add_argument("--seconds", type=float, default=60, help="how long to send")
    parser.add_argument("--json", action="store_true", help="kept for symmetry: a bench always prints JSON")
    asked = parser.parse_args()
    started = time.perf_counter()
    with (
        temporary_settings(refit_after_ratings=10**9, refit_after_minutes=10**6) as settings,
        running(settings) as live,
    ):
        with tempfile.TemporaryDirectory() as folder:
            ratings, _ = real_ratings(Path(folder))
            sent = replay_file(live, ratings, rate=None, speed=None, limit=None, resume=False, strict=True, quiet=True)
        wait_until_stored(live, sent.acked)
        refit(live)
        time.sleep(2)
        done = measure(live, asked.rate, asked.seconds)
        batches = RatingsStore(live.warehouse).state().batch
    figures = {kind: summary([s for s in done if s.kind == kind]) for kind in ("known", "new")}
    print_report(
        "freshness",
        {"rate_per_s": asked.rate, "all": summary(done), "by_user": figures, "micro_batches": batches},
        seconds=time.perf_counter() - started,
    )


def measure(settings: Settings, rate_per_s: float, seconds: float) -> list[Sent]:
    """Sends at the rate and returns each rating with the seconds until it counted."""
    waiting: deque[Sent] = deque()
    done: list[Sent] = []
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(settings, waiting, done, ended))
    watcher.start()
    choose = random.Random(42)
    with RatingProducer(settings.bootstrap_servers or "", settings.topic, {}) as producer:
        begin = time.perf_counter()
        for number in range(int(rate_per_s * seconds)):
            time.sleep(max(0.0, begin + number / rate_per_s - time.perf_counter()))
            known = number % 2 == 0
            user_id = choose.randint(1, 671) if known else new_user_id()
            movie_id = choose.choice((1, 50, 110, 260, 296, 318, 356, 480, 527, 589, 593, 2571))
            [(partition, offset)] = producer.rate_live(user_id, [(movie_id, 4.5)])
            acknowledged = time.perf_counter()
            waiting.append(Sent("known" if known else "new", user_id, movie_id, partition, offset, acknowledged))
    ended.set()
    watcher.join()
    return done


def _watch(settings: Settings, waiting: deque[Sent], done: list[Sent], ended: threading.Event) -> None:
    store, published = RatingsStore(settings.warehouse), RecommendationsStore(settings.warehouse)
    version = published.current()
    updates = Updates(version.path)
    folded, give_up = 0, None
    while waiting or not ended.is_set():
        if ended.is_set() and give_up is None:
            give_up = time.perf_counter() + WAIT_S
        if give_up and time.perf_counter() > give_up:
            raise SystemExit(f"{len(waiting)} ratings did not count within {WAIT_S} s")
        time.sleep(POLL_S)
        batch = updates.batch()
        if batch == folded:
            continue
        state = store.state()
        if state.batch != batch:
            continue  # the store is one micro-batch ahead of the lists
        folded = batch
        taken = state.offsets[settings.topic]
        for one in [s for s in list(waiting) if taken.get(s.partition, 0) > s.offset]:
            films = published.read_users(version, [one.user_id]).to_pylist()
            assert films, f"user {one.user_id} has no list"
            assert films[0]["source"] == "fold_in", f"user {one.user_id} has an old list"
            assert one.movie_id not in {film["movie_id"] for film in films}
            one.seconds = time.perf_counter() - one.acknowledged
            waiting.remove(one)
            done.append(one)


def summary(sent: list[Sent]) -> dict[str, float | int]:
    seconds = sorted(s.seconds for s in sent if s.seconds is not None)
    return {
        "ratings": len(seconds),
        "median_s": round(statistics.median(seconds), 3),
        "p95_s": round(seconds[int(0.95 * (len(seconds) - 1))], 3),
        "max_s": round(seconds[-1], 3),
    }


if __name__ == "__main__":
    main()
