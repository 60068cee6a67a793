"""Fixtures that several rooms share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reelstream.kafka_client import ensure_topic
from tests.kafka_broker import fresh_topic, running_kafka, which_kafka

TOPIC_PARTITIONS = 3

# Warnings are errors. These come from inside libraries, each is named as narrowly as it can be.
LIBRARY_WARNINGS = (
    # kafka-python reads its message schemas with functions that Python 3.11 and 3.12 warn of.
    "ignore:read_text is deprecated:DeprecationWarning:kafka.protocol.schemas.load_json",
    "ignore:open_text is deprecated:DeprecationWarning:importlib.resources._legacy",
)


def pytest_configure(config: pytest.Config) -> None:
    for warning in LIBRARY_WARNINGS:
        config.addinivalue_line("filterwarnings", warning)


def pytest_report_header() -> str:
    return f"kafka: {which_kafka()}"


@pytest.fixture(scope="session")
def bootstrap_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real broker, started when the first test asks for it."""
    with running_kafka(tmp_path_factory.mktemp("kafka") / "broker") as address:
        yield address


@pytest.fixture
def topic(bootstrap_servers: str, request: pytest.FixtureRequest) -> str:
    """A topic of this test alone, with 3 partitions; `indirect` parameters give another number."""
    name = fresh_topic()
    ensure_topic(bootstrap_servers, name, getattr(request, "param", TOPIC_PARTITIONS), {})
    return name


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    return tmp_path / "warehouse"
