"""Connections to a Kafka: clients of kafka-python that leave nothing open, and our errors for theirs.

In: the options of `reelstream.kafka_io.properties`. Out: a client that is connected. Next: `reelstream.kafka_io.topic`,
`reelstream.producer.rating_producer` and `reelstream.producer.resume`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

from reelstream.errors import BrokerUnavailable
from reelstream.kafka_io.preflight import check_connection, refused

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


def connected(client: Callable[..., Any], options: Mapping[str, Any], connect_timeout_ms: int) -> Any:
    """A client of kafka-python, of the class `client`. Raises KafkaError if no Kafka answers in time.

    When its constructor fails, kafka-python leaves a thread and sockets behind. They belong to the client inside, which
    is closed here.
    """
    from kafka.net.compat import KafkaNetClient

    inside: list[Any] = []

    def connection(**configs: Any) -> Any:
        inside.append(KafkaNetClient(**configs))
        return inside[-1]

    try:
        return client(**options, bootstrap_timeout_ms=connect_timeout_ms, kafka_client=connection)
    except BaseException:
        for opened in inside:
            opened.close()
        raise


def connect(client: Callable[..., Any], options: Mapping[str, Any]) -> Any:
    """The same for a KafkaProducer or KafkaConsumer, with errors for the user: raises BrokerUnavailable if no broker answers
    within CONNECT_TIMEOUT_MS, or if it refuses TLS or the login."""
    from kafka.errors import KafkaError

    check_connection(options)
    try:
        return connected(client, options, CONNECT_TIMEOUT_MS)
    except KafkaError as error:
        raise unreachable(error, ",".join(options["bootstrap_servers"])) from None


@contextmanager
def admin_client(options: Mapping[str, Any], connect_timeout_ms: int) -> Iterator[Any]:
    """A KafkaAdminClient, closed in the end. Raises KafkaError if no Kafka answers in time."""
    from kafka import KafkaAdminClient

    options = {**options, "request_timeout_ms": REQUEST_TIMEOUT_MS}
    with closing(connected(KafkaAdminClient, options, connect_timeout_ms)) as admin:
        yield admin
