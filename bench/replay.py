"""How fast a ratings.csv goes into Kafka, against a bare kafka-python send loop.

    python -m bench.replay [--events 1000000] [--rounds 5] [--bootstrap-servers HOST:PORT]

The events are split over the rounds. Each round replays a file of its own, of `bench.synthetic` (reading, sorting by time,
sending, all acknowledged), and sends the same bytes with the same keys, acks and compression in a bare loop that has them
ready in memory, to topics of their own. Which of the two goes first changes with each round.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import uuid
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
from kafka import KafkaProducer

from bench.harness import Figures, options, run
from bench.synthetic import generate, write_csv
from reelstream.broker.embedded import EmbeddedBroker
from reelstream.events import RatingEvent
from reelstream.kafka_io.topic import ensure_topic
from reelstream.producer.send import replay

PARTITIONS = 4


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="events to replay, over all rounds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bootstrap-servers", help="a Kafka to use; without it, an embedded broker")
    run("replay", parser, both)


def both(asked: argparse.Namespace) -> Figures:
    count, ways, rates = asked.events // asked.rounds, {"replay": _replay, "bare": _bare}, list[dict[str, float]]()
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        own = None if asked.bootstrap_servers else stack.enter_context(EmbeddedBroker(Path(directory) / "broker"))
        servers = own.bootstrap_servers if own else asked.bootstrap_servers
        for number in range(asked.rounds):
            csv, table = Path(directory) / f"ratings-{number}.csv", generate(count, seed=number)
            write_csv(table, csv)
            rates.append({name: ways[name](csv, table, servers) for name in sorted(ways, reverse=number % 2 == 0)})
    return {
        "events": count * asked.rounds,
        "rounds": asked.rounds,
        **{f"{name}_events_per_s": round(statistics.median(each[name] for each in rates)) for name in ways},
        "ratio": round(statistics.median(each["replay"] / each["bare"] for each in rates), 3),
        **{f"{name}_events_per_s_by_round": [round(each[name]) for each in rates] for name in ways},
    }


def _replay(csv: Path, _table: pa.Table, servers: str) -> float:
    """Events per second."""
    topic, state = _new_topic(servers), csv.with_suffix(".json")
    sent = replay(csv, bootstrap_servers=servers, topic=topic, state_path=state, rating_min=0.5, rating_max=5.0)
    return sent.events_per_s


def _bare(_csv: Path, table: pa.Table, servers: str) -> float:
    rows = zip(*(column.to_pylist() for column in table.sort_by("rated_at").columns), strict=True)
    records = [(event.key(), event.to_json()) for event in (RatingEvent(*row) for row in rows)]
    topic, started = _new_topic(servers), time.perf_counter()
    kafka = KafkaProducer(
        bootstrap_servers=servers, acks="all", compression_type="lz4", linger_ms=20, batch_size=1 << 17
    )
    for key, value in records:
        kafka.send(topic, value, key)
    kafka.flush()
    seconds = time.perf_counter() - started
    kafka.close()
    return len(records) / seconds


def _new_topic(servers: str) -> str:
    topic = f"bench-replay-{uuid.uuid4().hex[:12]}"
    ensure_topic(servers, topic, PARTITIONS, {})
    return topic


if __name__ == "__main__":
    main()
