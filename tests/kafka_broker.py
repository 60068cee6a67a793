"""A real Kafka for the tests; there is always one, so no test is ever skipped for want of it.

In: REELSTREAM_TEST_BOOTSTRAP_SERVERS, a Docker engine, or nothing. Out: the address of a broker, in this order: the one
that is given; a container, if an engine answers and has the image already; the embedded broker.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from reelstream.embedded.broker import EmbeddedBroker

IMAGE = "confluentinc/cp-kafka:8.2.0"
ENGINE_TIMEOUT_S = 5


@contextmanager
def running_kafka(folder: Path) -> Iterator[str]:
    """`bootstrap_servers` of a broker that runs as long as the block; `folder` is for the embedded one's data."""
    given = os.environ.get("REELSTREAM_TEST_BOOTSTRAP_SERVERS")
    if given:
        yield given
    elif image_is_local(IMAGE):
        yield from _container()
    else:
        with EmbeddedBroker(folder) as broker:
            yield broker.bootstrap_servers


def which_kafka() -> str:
    """What `running_kafka` takes, for the head of the test report."""
    given = os.environ.get("REELSTREAM_TEST_BOOTSTRAP_SERVERS")
    return given or (f"container of {IMAGE}" if image_is_local(IMAGE) else "embedded broker")


def fresh_topic() -> str:
    return f"ratings-{uuid.uuid4().hex[:12]}"


@cache
def image_is_local(image: str) -> bool:
    """Whether a Docker engine answers and has the image. Nothing is ever pulled."""
    docker = shutil.which("docker")
    if not docker:
        return False
    command = [docker, "image", "inspect", "--format", "{{.Id}}", image]
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=ENGINE_TIMEOUT_S).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _container() -> Iterator[str]:
    from testcontainers.community.kafka import KafkaContainer
    from testcontainers.core.config import testcontainers_config

    if not image_is_local(testcontainers_config.ryuk_image):
        testcontainers_config.ryuk_disabled = True  # its reaper would be pulled
    with KafkaContainer(IMAGE).with_kraft() as kafka:
        yield kafka.get_bootstrap_server()
