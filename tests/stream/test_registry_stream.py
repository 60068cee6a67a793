"""A topic of Avro in a real Kafka: without the registry the stream waits and takes nothing, with it each record once."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from kafka import KafkaProducer

from reelstream.broker.loopback import choose_ports
from reelstream.events import RatingEvent
from reelstream.settings import load
from reelstream.store import run_files
from reelstream.store.ratings import RatingsStore
from reelstream.store.ratings_state import RatingsState
from tests.fixtures.processes import reelstream, wait_until
from tests.fixtures.rows import triples
from tests.fixtures.schema_registry_server import RegistryServer, framed, serving
from tests.stream.test_registry_values import RATING, RECORD, avro


def test_without_the_registry_nothing_is_taken_and_with_it_all(
    warehouse: Path, bootstrap_servers: str, topic: str
) -> None:
    registry = RegistryServer(port=choose_ports(None, None)[0])
    registry.add(1, RATING)
    settings = load(
        warehouse=warehouse,
        bootstrap_servers=bootstrap_servers,
        topic=topic,
        value_format="avro",
        schema_registry=registry.url,
        fields="user_id=uid,movie_id=item,rating=score,rated_at=at",
    )
    producer = KafkaProducer(bootstrap_servers=bootstrap_servers, acks="all")
    for user in range(1, 51):
        producer.send(topic, framed(1, avro(RATING, {**RECORD, "uid": user})), key=struct.pack(">q", user))
    unknown = framed(99, avro(RATING, RECORD))
    for value in (unknown, RatingEvent(60, 8, 4.5, 1_600_000_000_000).to_json(), None):
        producer.send(topic, value, key=b"60")
    producer.close()
    store = RatingsStore(warehouse)

    def says(status: dict[str, Any] | None, text: str) -> bool:
        return status is not None and text in (status.get("error") or "")

    with reelstream(settings, "stream") as process:
        waits = f"the schema registry at {registry.url} does not answer"
        wait_until(lambda: says(run_files.read(warehouse, "stream"), waits), "status says what it waits for", process)
        assert store.state() == RatingsState()
        with serving(registry):
            wait_until(lambda: store.state().tombstones == 1, "all is taken", process)
            wait_until(
                lambda: not says(run_files.read(warehouse, "stream"), waits), "status says that it is over", process
            )

    assert sorted(triples(store.read())) == [(user, 8, 4.5) for user in [*range(1, 51), 60]]
    [reject] = store.read_rejects().to_pylist()
    assert (reject["reason"], reject["raw"]) == ("unknown_schema", unknown)
    assert store.state().tombstones == 1
