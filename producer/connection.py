"""A client of kafka-python that leaves nothing open when it cannot connect.

In: the class of a client and its arguments. Out: the client, connected. Next: `reelstream.producer.rating_producer` and
`reelstream.producer.resume`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kafka.errors import KafkaError
from kafka.net.compat import KafkaNetClient

from reelstream.kafka_io.connection import unreachable
from reelstream.kafka_io.preflight import check_connection

CONNECT_TIMEOUT_S = 10.0


def connect(client: Callable[..., Any], options: Mapping[str, Any]) -> Any:
    """A KafkaProducer or KafkaConsumer. Raises BrokerUnavailable if no broker answers within CONNECT_TIMEOUT_S, or if
    it refuses TLS or the login.

    When its constructor fails, kafka-python leaves a thread and sockets behind. They belong to the client inside, which
    is closed here.
    """
    inside: list[Any] = []

    def connection(**configs: Any) -> Any:
        inside.append(KafkaNetClient(**configs))
        return inside[-1]

    check_connection(options)
    try:
        return client(**options, bootstrap_timeout_ms=int(CONNECT_TIMEOUT_S * 1000), kafka_client=connection)
    except BaseException as error:
        for opened in inside:
            opened.close()
        if isinstance(error, KafkaError):
            raise unreachable(error, ",".join(options["bootstrap_servers"])) from None
        raise
