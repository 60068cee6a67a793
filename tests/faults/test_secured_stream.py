"""The pipeline on a Kafka that asks for TLS and a login, at debug level: all of it works, and nothing shows the password."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reelstream.errors import BrokerUnavailable
from reelstream.kafka_io.connection import admin_client
from reelstream.settings import Settings, load, to_env
from reelstream.store import run_files
from reelstream.store.ratings import RatingsStore
from tests.fixtures.processes import stream_runs, wait_until
from tests.fixtures.secure_kafka import PASSWORD, SecureKafka, secure_kafka

WRONG = "not-the-password"
AT_DEBUG_LEVEL = "import logging; logging.basicConfig(level=logging.DEBUG); from reelstream.cli.main import run; run()"
SPARK_AT_DEBUG_LEVEL = """
appender.err.type = Console
appender.err.name = err
appender.err.target = SYSTEM_ERR
appender.err.layout.type = PatternLayout
appender.err.layout.pattern = %p %c: %m%n%ex
rootLogger.level = debug
rootLogger.appenderRef.err.ref = err
logger.spark.name = org.apache.spark
logger.spark.level = debug
logger.kafka.name = org.apache.kafka
logger.kafka.level = debug
# These two say a thousand times a second that they ask for the newest offset.
logger.network.name = org.apache.kafka.clients.NetworkClient
logger.network.level = info
logger.admin.name = org.apache.kafka.clients.admin.KafkaAdminClient
logger.admin.level = info
"""
RATINGS_CSV = "userId,movieId,rating,timestamp\n" + "".join(f"{user},296,4.5,100000{user}000\n" for user in range(1, 9))


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[SecureKafka]:
    with secure_kafka(tmp_path / "kafka") as running:
        yield running


def test_all_of_it_works_and_nothing_shows_the_password(kafka: SecureKafka, warehouse: Path, tmp_path: Path) -> None:
    (tmp_path / "spark").mkdir()
    (tmp_path / "spark" / "log4j2.properties").write_text(SPARK_AT_DEBUG_LEVEL)
    (tmp_path / "ratings.csv").write_text(RATINGS_CSV)
    said = tmp_path / "said"
    said.mkdir()

    def settings(name: str, at: Path = warehouse, **login: str) -> Settings:
        path = kafka.client_properties(tmp_path / f"{name}.properties", **login)
        return load(warehouse=at, bootstrap_servers=kafka.address, command_config=path)

    @contextmanager
    def running(given: Settings, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        environment = {**os.environ, **to_env(given), "SPARK_CONF_DIR": str(tmp_path / "spark")}
        name = f"{len(list(said.iterdir()))}-{words[0]}"
        with (said / name).open("wb") as output:
            command = [sys.executable, "-c", AT_DEBUG_LEVEL, *words]
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)

    def ended(given: Settings, *words: str) -> int:
        with running(given, *words) as process:
            return process.wait(120)

    good = settings("scram", mechanism="SCRAM-SHA-256")
    store = RatingsStore(warehouse)
    with running(good, "stream") as stream:
        wait_until(lambda: stream_runs(good, stream), "the stream runs", stream)
        assert ended(settings("plain"), "replay", str(tmp_path / "ratings.csv")) == 0
        assert ended(good, "rate", "9", "1=5", "2=4", "-n", "0") == 0
        wait_until(lambda: store.state().accepted == 8 + 2, "all events are in the store", stream)
        for words in (("status",), ("status", "--json"), ("settings",), ("settings", "--json")):
            assert ended(good, *words) == 0

        wrong = settings("wrong", tmp_path / "other warehouse", password=WRONG)
        for words in (("replay", str(tmp_path / "ratings.csv")), ("rate", "9", "1=5"), ("stream",)):
            assert ended(wrong, *words) == BrokerUnavailable.exit_code, words
        lines = [line for path in said.iterdir() for line in path.read_text().splitlines()]
        assert sum(line.startswith(f"reelstream: Kafka at {kafka.address} refuses the login") for line in lines) == 3

        with admin_client({"bootstrap_servers": kafka.plain_address}, 10_000) as admin:
            admin.delete_topics([good.topic])  # the query fails, and everybody says why
        wait_until(lambda: stream.poll() or (run_files.read(warehouse, "stream") or {})["error"], "it is in the status")
        assert ended(good, "status", "--json") == 0

    spark_log = (warehouse / "run" / "spark.log").read_text()
    assert "DEBUG org.apache.kafka" in spark_log
    assert "DEBUG org.apache.spark" in spark_log
    assert "sasl.jaas.config = [hidden]" in spark_log
    assert any("DEBUG:kafka" in path.read_text() for path in said.iterdir())
    shown = [path for path in files(warehouse, said, tmp_path / "other warehouse") if shows(path)]
    assert not shown
    for path in said.glob("*-settings"):
        assert "command_config" in path.read_text()
    assert json.loads((warehouse / "run" / "stream.json").read_text())["accepted"] == 8 + 2


def files(*directories: Path) -> list[Path]:
    found = [path for directory in directories for path in directory.rglob("*") if path.is_file()]
    assert len(found) > 20
    return found


def shows(path: Path) -> bool:
    content = path.read_bytes()
    return any(secret.encode() in content for secret in (PASSWORD, WRONG))
