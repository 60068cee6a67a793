"""How fast a backlog drains: ratings of `bench.synthetic` that wait in Kafka until all are in the Parquet ratings store.

    python -m bench.ingest --events 2000000

The clock starts when the stream is up, and stops when the store's pointer covers every event; sending is not counted.
"""

from __future__ import annotations

import argparse
import time
from uuid import UUID

from bench.harness import Figures, options, run, temporary_settings, wait_until_stored
from bench.synthetic import generate
from reelstream.cli.up import embedded_broker
from reelstream.events import RatingEvent
from reelstream.kafka_io.topic import ensure_topic
from reelstream.producer.send import RatingProducer
from reelstream.store.ratings import RatingsStore
from reelstream.stream.ingest import BatchReport
from reelstream.stream.run import Stream


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--events", type=int, default=2_000_000, help="size of the backlog")
    parser.add_argument("--text-ids", action="store_true", help="a UUID for each user, and tt… for each movie")
    run("ingest", parser, ingest)


def ingest(asked: argparse.Namespace) -> Figures:
    with temporary_settings() as settings, embedded_broker(settings) as broker:
        address, table = broker.bootstrap_servers, generate(asked.events).sort_by("rated_at")
        ensure_topic(address, settings.topic, settings.partitions, {})
        with RatingProducer(address, settings.topic, {}) as producer:
            for user, movie, *rest in zip(*(column.to_pylist() for column in table.columns), strict=True):
                ids = (str(UUID(int=user << 80)), f"tt{movie:07d}") if asked.text_ids else (user, movie)
                producer.send(RatingEvent(*ids, *rest))
        reports: list[BatchReport] = []
        with Stream(settings, address, on_batch=reports.append):
            up = time.perf_counter()
            wait_until_stored(settings, asked.events)
            drained_s = time.perf_counter() - up
        store = RatingsStore(settings.warehouse)
        state, rows = store.state(), store.read(columns=["partition", "offset"])
        assert (state.accepted, state.rejected) == (asked.events, 0)
        assert state.snapshot or rows.group_by(["partition", "offset"]).aggregate([]).num_rows == asked.events
    return {
        "events": asked.events,
        "drained_s": round(drained_s, 2),
        "events_per_s": round(asked.events / drained_s),
        "micro_batches": len(reports),
        "events_per_s_by_batch": [round((r.accepted + r.rejected) / r.seconds) for r in reports if r.accepted],
    }


if __name__ == "__main__":
    main()
