"""How fast a backlog drains: events that wait in Kafka until the last of them is in the Parquet ratings store.

    python -m bench.ingest --events 2000000

The clock starts when the stream is up, and stops when the store's pointer covers every event; sending is not counted.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np

from bench._report import print_report
from bench.pipeline import temporary_settings, wait_until_stored
from reelstream.cli.up import embedded_broker
from reelstream.events import RatingEvent
from reelstream.kafka_io.topic import ensure_topic
from reelstream.producer.send import RatingProducer
from reelstream.settings import Settings
from reelstream.store.ratings import RatingsStore
from reelstream.stream.ingest import BatchReport
from reelstream.stream.run import Stream


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2_000_000, help="size of the backlog")
    asked = parser.parse_args()
    started = time.perf_counter()
    with temporary_settings() as settings, embedded_broker(settings) as broker:
        ensure_topic(broker.bootstrap_servers, settings.topic, settings.partitions, {})
        send(settings, broker.bootstrap_servers, asked.events)
        reports: list[BatchReport] = []
        with Stream(settings, broker.bootstrap_servers, on_batch=reports.append):
            up = time.perf_counter()
            wait_until_stored(settings, asked.events)
            drained_s = time.perf_counter() - up
        store = RatingsStore(settings.warehouse)
        rows = store.read(columns=["partition", "offset"])
        places = set(zip(rows["partition"].to_pylist(), rows["offset"].to_pylist(), strict=True))
        state = store.state()
        assert (state.accepted, state.rejected) == (asked.events, 0)
        assert state.snapshot or len(places) == asked.events
    print_report(
        "ingest",
        {
            "events": asked.events,
            "drained_s": round(drained_s, 2),
            "events_per_s": round(asked.events / drained_s),
            "micro_batches": len(reports),
            "events_per_s_by_batch": [round((r.accepted + r.rejected) / r.seconds) for r in reports if r.accepted],
            "of_which_s": {
                "read_and_parse": round(sum(r.read_s for r in reports), 2),
                "store": round(sum(r.store_s for r in reports), 2),
                "fold_in": round(sum(r.folded.fold_in_s + r.folded.publish_s for r in reports), 2),
            },
            "folders": len(state.directories),
        },
        seconds=time.perf_counter() - started,
    )


def send(settings: Settings, bootstrap_servers: str, events: int) -> None:
    """Ratings of 20,000 users on 10,000 movies."""
    random = np.random.default_rng(42)
    users = random.integers(1, 20_000, events).tolist()
    movies = random.integers(1, 10_000, events).tolist()
    stars = (random.integers(1, 11, events) / 2).tolist()
    with RatingProducer(bootstrap_servers, settings.topic, {}) as producer:
        for number, (user, movie, rating) in enumerate(zip(users, movies, stars, strict=True)):
            producer.send(RatingEvent(user, movie, rating, 1_000_000_000_000 + number))
            if number % 200_000 == 0:
                print(f"sent {number:,} of {events:,}", file=sys.stderr)


if __name__ == "__main__":
    main()
