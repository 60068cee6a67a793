"""How fast a ratings.csv goes into Kafka, against a bare kafka-python send loop.

In: nothing, or the address of a Kafka. Out: JSON on standard output. Next: README and docs quote it.

    python -m bench.replay [--events 1000000] [--rounds 5] [--bootstrap-servers HOST:PORT]

The events are split over the rounds. Each round replays a file of its own (reading, sorting by time, sending, all
acknowledged), and sends the same bytes with the same keys, acks and compression in a bare loop that has them ready in
memory, to topics of their own. Which of the two goes first changes with each round.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import uuid
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from kafka import KafkaProducer

from bench._report import print_report
from reelstream.broker.embedded import EmbeddedBroker
from reelstream.kafka_io.topic import ensure_topic
from reelstream.producer.send import replay
from tests.fixtures.csv_events import read

PARTITIONS = 4
RATING_MIN, RATING_MAX = 0.5, 5.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.replay", description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000, help="events to replay, over all rounds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bootstrap-servers", help="a Kafka to use; without it, an embedded broker")
    given = parser.parse_args()

    started = time.perf_counter()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = given.bootstrap_servers
        if servers is None:
            servers = stack.enter_context(EmbeddedBroker(directory / "broker")).bootstrap_servers
        count = given.events // given.rounds
        rates = [_round(number, count, servers, directory) for number in range(given.rounds)]
    replayed, bare = [rate for rate, _ in rates], [rate for _, rate in rates]
    figures = {
        "events": count * given.rounds,
        "rounds": given.rounds,
        "replay_events_per_s": round(statistics.median(replayed)),
        "bare_events_per_s": round(statistics.median(bare)),
        "ratio": round(statistics.median(ours / theirs for ours, theirs in rates), 3),
        "replay_events_per_s_by_round": [round(rate) for rate in replayed],
        "bare_events_per_s_by_round": [round(rate) for rate in bare],
    }
    print_report("replay", figures, seconds=time.perf_counter() - started)


def _round(number: int, count: int, servers: str, directory: Path) -> tuple[float, float]:
    """Events per second of the replay and of the bare loop."""
    path = directory / f"ratings-{number}.csv"
    _write_csv(path, count, seed=number)
    if number % 2:
        bare = _bare(path, servers)
        return _replay(path, servers), bare
    return _replay(path, servers), _bare(path, servers)


def _write_csv(path: Path, count: int, seed: int) -> None:
    """`count` rows like MovieLens': sorted by user, a hundred ratings each, times spread over twenty years."""
    rng = np.random.default_rng(seed)
    columns = (
        np.arange(count) // 100 + 1,
        rng.integers(1, 60_000, count),
        rng.integers(1, 11, count) / 2,
        rng.integers(850_000_000, 1_480_000_000, count),
    )
    with path.open("w") as file:
        file.write("userId,movieId,rating,timestamp\n")
        file.writelines(f"{u},{m},{r},{t}\n" for u, m, r, t in zip(*(c.tolist() for c in columns), strict=True))


def _replay(path: Path, servers: str) -> float:
    result = replay(
        path,
        bootstrap_servers=servers,
        topic=_new_topic(servers),
        state_path=path.with_suffix(".json"),
        rating_min=RATING_MIN,
        rating_max=RATING_MAX,
    )
    return result.acked / result.seconds


def _bare(path: Path, servers: str) -> float:
    now_ms = time.time_ns() // 1_000_000
    events = [
        event for _, event in read(path, rating_min=RATING_MIN, rating_max=RATING_MAX, now_ms=now_ms, on_bad=print)
    ]
    events.sort(key=lambda event: event.rated_at_ms)
    records = [(event.key(), event.to_json()) for event in events]
    del events  # or the garbage collector walks them while the loop runs
    topic = _new_topic(servers)
    started = time.perf_counter()
    producer = KafkaProducer(
        bootstrap_servers=servers, acks="all", compression_type="lz4", linger_ms=20, batch_size=1 << 17
    )
    for key, value in records:
        producer.send(topic, value, key)
    producer.flush()
    seconds = time.perf_counter() - started
    producer.close()
    return len(records) / seconds


def _new_topic(servers: str) -> str:
    topic = f"bench-replay-{uuid.uuid4().hex[:12]}"
    ensure_topic(servers, topic, PARTITIONS, {})
    return topic


if __name__ == "__main__":
    main()
