"""How soon a rating counts: from the broker's acknowledgement until the user's fresh list is readable through the pointer.

    python -m bench.freshness --rate 10 --seconds 60 --json
    python -m bench.freshness --rate 10 --seconds 60 --background 1000

A pipeline with the 100,004 real ratings and a published version takes live ratings, of known and of new users in turn, with
`--background` while a replay of so many events a second runs. Each list is read as a reader would, and must be a folded-in
one without the movie just rated. `where` says where the time of a micro-batch with events goes, as medians: queue (in Kafka,
until the micro-batch begins), read (Spark and Kafka), parse (measured apart, on as many events), store, score (live
quality), fold_in and publish.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import functions as F

from bench._report import print_report
from bench.pipeline import running, temporary_settings, wait_until_stored
from reelstream.batch.refit import refit
from reelstream.cli.demo import real_ratings
from reelstream.cli.replay import replay_file
from reelstream.events import RatingEvent
from reelstream.producer.send import RatingProducer, new_user_id
from reelstream.settings import Settings, to_env
from reelstream.spark_session import close_session, open_session
from reelstream.store import run_files
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from reelstream.store.updates import Updates
from reelstream.stream.parse import parse

POLL_S = 0.004
WAIT_S = 30.0
LEAD_IN_S = 5.0
PARSE_ROUNDS = 40


@dataclass
class Sent:
    kind: str
    user_id: int
    movie_id: int
    partition: int
    offset: int
    acknowledged: float
    batch: int | None = None
    """Once it is in the store: a micro-batch that it had come by."""
    seconds: float | None = None
    """Once it counts."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=10, help="live ratings a second")
    parser.add_argument("--seconds", type=float, default=60, help="how long to send")
    parser.add_argument("--background", type=float, default=0, help="events a second that a replay sends meanwhile")
    parser.add_argument("--json", action="store_true", help="kept for symmetry: a bench always prints JSON")
    asked = parser.parse_args()
    started = time.perf_counter()
    with (
        temporary_settings(refit_after_ratings=10**9, refit_after_minutes=10**6) as settings,
        running(settings) as live,
        tempfile.TemporaryDirectory() as directory,
    ):
        ratings, _ = real_ratings(Path(directory))
        wait_until_stored(live, replay_all(live, ratings))
        refit(live)
        time.sleep(2)
        with _replaying(live, ratings, asked.background):
            done = measure(live, asked.rate, asked.seconds)
            where = (run_files.read(live.warehouse, "stream") or {})["median_batch"]
        batches = RatingsStore(live.warehouse).state().batch
        where["parse_s"] = parse_seconds(live, max(1, round(where["events"])))
    if late := sum(s.seconds is None for s in done):
        raise SystemExit(f"{late} ratings did not count within {WAIT_S} s")
    figures = {kind: summary([s for s in done if s.kind == kind]) for kind in ("known", "new")}
    print_report(
        "freshness",
        {
            "rate_per_s": asked.rate,
            "background_per_s": asked.background,
            "all": summary(done),
            "by_user": figures,
            "where": where,
            "micro_batches": batches,
        },
        seconds=time.perf_counter() - started,
    )


def replay_all(live: Settings, ratings: Path) -> int:
    """Sends the whole file at once; how many events that were, acknowledged."""
    sent = replay_file(live, ratings, rate=None, speed=None, limit=None, resume=False, strict=True, quiet=True)
    return sent.acked


@contextmanager
def _replaying(live: Settings, ratings: Path, rate: float) -> Iterator[None]:
    """A replay of the file at the rate, in a process of its own as a user's would be, while the block runs."""
    if not rate:
        yield
        return
    command = [sys.executable, "-P", "-m", "reelstream", "replay", str(ratings), "--rate", str(rate), "--json"]
    process = subprocess.Popen(command, env={**os.environ, **to_env(live)}, stdout=subprocess.DEVNULL)
    try:
        time.sleep(LEAD_IN_S)
        yield
        if process.poll() is not None:
            raise SystemExit(
                "the replay ended before the live ratings did; ask for fewer --seconds or a lower --background"
            )
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def parse_seconds(settings: Settings, events: int) -> float:
    """Median seconds that Spark takes longer for so many events with parsing than without, in a session of its own."""
    spark = open_session(settings)
    try:
        value = RatingEvent(1, 1, settings.rating_max, 0).to_json().decode()
        columns = {"value": F.lit(value).cast("binary"), "topic": F.lit("t"), "partition": F.lit(0)}
        records = (
            spark.range(events)
            .select(*(column.alias(name) for name, column in columns.items()), F.col("id").alias("offset"))
            .withColumn("timestamp", F.current_timestamp())
        )
        parsed = parse(records, rating_min=settings.rating_min, rating_max=settings.rating_max)
        took: dict[str, list[float]] = {"with": [], "without": []}
        for _ in range(PARSE_ROUNDS):
            for name, table in (("with", parsed), ("without", records)):
                began = time.perf_counter()
                table.toArrow()
                took[name].append(time.perf_counter() - began)
    finally:
        close_session(spark)
    warm = PARSE_ROUNDS // 2
    return round(statistics.median(took["with"][warm:]) - statistics.median(took["without"][warm:]), 4)


def measure(
    settings: Settings, rate_per_s: float, seconds: float, *, poll_s: float = POLL_S, wait_s: float = WAIT_S
) -> list[Sent]:
    """Sends at the rate and returns each rating with the seconds until it counted; None where it did not within `wait_s`
    after the last one was sent. Looks for it each `poll_s` seconds."""
    waiting: deque[Sent] = deque()
    ended = threading.Event()
    choose = random.Random(42)
    producer = RatingProducer(settings.bootstrap_servers or "", settings.topic, {})
    with ThreadPoolExecutor(1) as pool, producer:
        watcher = pool.submit(_watch, settings, waiting, ended, poll_s, wait_s)
        try:
            begin = time.perf_counter()
            for number in range(int(rate_per_s * seconds)):
                time.sleep(max(0.0, begin + number / rate_per_s - time.perf_counter()))
                known = number % 2 == 0
                user_id = choose.randint(1, 671) if known else new_user_id()
                movie_id = choose.choice((1, 50, 110, 260, 296, 318, 356, 480, 527, 589, 593, 2571))
                [(partition, offset)] = producer.rate_live(user_id, [(movie_id, 4.5)])
                acknowledged = time.perf_counter()
                waiting.append(Sent("known" if known else "new", user_id, movie_id, partition, offset, acknowledged))
                if watcher.done():
                    break  # it has failed
        finally:
            ended.set()
        return watcher.result()


def _watch(
    settings: Settings, waiting: deque[Sent], ended: threading.Event, poll_s: float, wait_s: float
) -> list[Sent]:
    """Takes the ratings out of `waiting` as they count in the version that the pointer names at that moment."""
    store, published = RatingsStore(settings.warehouse), RecommendationsStore(settings.warehouse)
    done: list[Sent] = []
    give_up, last_look = math.inf, None
    while waiting or not ended.is_set():
        if ended.is_set():
            give_up = min(give_up, time.perf_counter() + wait_s)
        if time.perf_counter() > give_up:
            return [*done, *waiting]
        time.sleep(poll_s)
        open_ones = list(waiting)
        look = (len(open_ones), *_moved_at(published.path))
        if look == last_look:
            continue
        last_look = look
        if any(one.batch is None for one in open_ones):
            state = store.state()
            taken = state.offsets.get(settings.topic, {})
            for one in open_ones:
                if one.batch is None and taken.get(one.partition, 0) > one.offset:
                    one.batch = state.batch
        if all(one.batch is None for one in open_ones):
            continue
        version = published.current()
        folded = max(version.batch, Updates(version.path).batch())
        for one in open_ones:
            if one.batch is not None and one.batch <= folded:
                movies = published.read_users(version, [one.user_id]).to_pylist()
                assert movies, f"user {one.user_id} has no list"
                seen_by_refit = one.batch <= version.batch
                assert seen_by_refit or movies[0]["source"] == "fold_in", f"user {one.user_id} has an old list"
                assert one.movie_id not in {movie["movie_id"] for movie in movies}, f"user {one.user_id} has seen it"
                one.seconds = time.perf_counter() - one.acknowledged
                waiting.remove(one)
                done.append(one)
    return done


def _moved_at(published: Path) -> Iterator[int]:
    """When the pointers that make a list readable were moved last: cheap enough to ask all the time."""
    for pointer in ("CURRENT", "latest/updates/CURRENT"):
        try:
            yield (published / pointer).stat().st_mtime_ns
        except FileNotFoundError:
            yield 0


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
