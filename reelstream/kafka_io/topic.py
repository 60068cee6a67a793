"""A topic that is there.

In: a Kafka, the topic's name. Out: how many partitions it has. Next: the producer sends to it, the stream reads from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from reelstream.errors import UsageError
from reelstream.kafka_io.connection import CONNECT_TIMEOUT_MS, admin_client, unreachable
from reelstream.kafka_io.preflight import check_connection
from reelstream.kafka_io.properties import kafka_python_options, load_command_config
from reelstream.settings import Settings


def prepare_topic(settings: Settings, bootstrap_servers: str) -> dict[str, str]:
    """Makes the topic of the settings if it is missing; returns the properties with which a client connects.

    Raises as `ensure_topic`, and UsageError for a --command-config that can't be read.
    """
    properties = load_command_config(settings.command_config)
    ensure_topic(bootstrap_servers, settings.topic, settings.partitions, properties)
    return properties


def prepare_topics(settings: Settings, bootstrap_servers: str) -> dict[str, str]:
    """The same for all topics that the stream reads."""
    properties = prepare_topic(settings, bootstrap_servers)
    for topic in settings.topics[1:]:
        ensure_topic(bootstrap_servers, topic, settings.partitions, properties)
    return properties


def ensure_topic(bootstrap_servers: str, topic: str, partitions: int, properties: Mapping[str, str]) -> int:
    """Makes the topic if it is missing; returns how many partitions it has, which may be other than `partitions`.

    A topic made here keeps its events for ever (retention.ms=-1): it is the first record of each rating. Others may do
    the same at the same time. Raises BrokerUnavailable if nothing answers in 10 s or Kafka refuses TLS or the login, and
    UsageError if it refuses the topic.
    """
    from kafka.errors import BrokerResponseError, KafkaError, RetriableError, SaslAuthenticationFailedError

    options = kafka_python_options(bootstrap_servers, properties)
    check_connection(options)
    try:
        with admin_client(options, CONNECT_TIMEOUT_MS) as admin:
            return _partitions(admin, topic) or _create(admin, topic, partitions)
    except (KafkaError, OSError) as error:
        if isinstance(error, BrokerResponseError) and not isinstance(
            error, (RetriableError, SaslAuthenticationFailedError)
        ):
            raise UsageError(
                f"Kafka at {bootstrap_servers} refuses topic {topic} ({type(error).__name__}); have it made with "
                f"{partitions} partitions and retention.ms=-1, or use another --topic."
            ) from None
        raise unreachable(error, bootstrap_servers) from None


def cleanup_policy(settings: Settings, bootstrap_servers: str, topic: str) -> str:
    """The topic's `cleanup.policy`; Kafka's default where it is not told, or may not be asked for."""
    from kafka.admin import ConfigResource, ConfigResourceType
    from kafka.errors import KafkaError

    options = kafka_python_options(bootstrap_servers, load_command_config(settings.command_config))
    asked = ConfigResource(ConfigResourceType.TOPIC, topic, {"cleanup.policy": None})
    with suppress(KafkaError, OSError, KeyError, ValueError), admin_client(options, CONNECT_TIMEOUT_MS) as admin:
        [found] = admin.describe_configs([asked], config_filter="all").values()
        return str(found[topic]["cleanup.policy"]["value"])
    return "delete"


def _partitions(admin: Any, topic: str) -> int:
    """How many partitions the topic has; 0 if there is no such topic."""
    from kafka.errors import NoError, UnknownTopicOrPartitionError, for_code

    (described,) = admin.describe_topics([topic])
    error = for_code(described["error_code"])
    if error is UnknownTopicOrPartitionError:
        return 0
    if error is not NoError:
        raise error(topic)
    return len(described["partitions"])


def _create(admin: Any, topic: str, partitions: int) -> int:
    from kafka.errors import TopicAlreadyExistsError

    wanted = {"num_partitions": partitions, "replication_factor": -1, "configs": {"retention.ms": "-1"}}
    with suppress(TopicAlreadyExistsError):  # made by another process in between
        admin.create_topics({topic: wanted})
    admin.wait_for_topics([topic])
    return _partitions(admin, topic)
