"""Connections to a Kafka: an admin client that leaves nothing open, and our errors for kafka-python's.

In: the options of `reelstream.kafka_io.properties`. Out: a client that is connected. Next: `reelstream.kafka_io.topic`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from reelstream.errors import BrokerUnavailable
from reelstream.kafka_io.preflight import refused

CONNECT_TIMEOUT_MS = 10_000
REQUEST_TIMEOUT_MS = 20_000


def unreachable(error: Exception, bootstrap_servers: str) -> BrokerUnavailable:
    """Our error for one of kafka-python's; only its type is quoted, for its text may hold options."""
    from kafka.errors import SaslAuthenticationFailedError

    if isinstance(error, SaslAuthenticationFailedError):
        return refused(bootstrap_servers)
    return BrokerUnavailable(
        f"no Kafka answers at {bootstrap_servers} ({type(error).__name__}); check that it runs, the address, and the "
        "security settings."
    )


@contextmanager
def admin_client(options: Mapping[str, Any], connect_timeout_ms: int) -> Iterator[Any]:
    """A connected KafkaAdminClient. Raises KafkaError if no Kafka answers in time.

    kafka-python leaves a thread and its sockets behind when its constructor fails; the client inside is kept hold of
    here, and closed.
    """
    from kafka import KafkaAdminClient
    from kafka.net.compat import KafkaNetClient

    inside: list[Any] = []

    def connection(**configs: Any) -> Any:
        inside.append(KafkaNetClient(**configs))
        return inside[0]

    try:
        with KafkaAdminClient(
            **options,
            bootstrap_timeout_ms=connect_timeout_ms,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            kafka_client=connection,
        ) as admin:
            yield admin
    finally:
        for client in inside:
            client.close()
