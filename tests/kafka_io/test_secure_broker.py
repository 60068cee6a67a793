"""Both of our Kafka clients, and every command that talks to Kafka, over TLS with a login."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from reelstream.errors import BrokerUnavailable, UsageError
from reelstream.kafka_io.properties import load_command_config
from reelstream.kafka_io.topic import ensure_topic
from reelstream.producer.resume import end_offsets
from reelstream.producer.send import RatingProducer
from tests.fixtures.kafka_broker import fresh_topic
from tests.fixtures.secure_kafka import MODULES, PASSWORD, SecureKafka, secure_kafka

WRONG = "not-the-password"


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    with secure_kafka(tmp_path_factory.mktemp("secure") / "kafka") as running:
        yield running


@pytest.mark.parametrize("mechanism", MODULES)
def test_topic_and_producer_with_a_login(kafka: SecureKafka, tmp_path: Path, mechanism: str) -> None:
    properties = load_command_config(kafka.client_properties(tmp_path / "client.properties", mechanism=mechanism))
    topic = fresh_topic()
    assert ensure_topic(kafka.address, topic, 3, properties) == 3
    with RatingProducer(kafka.address, topic, properties) as producer:
        assert len(producer.rate_live(7, [(1, 5.0), (2, 4.0)])) == 2
    assert sum(end_offsets(kafka.plain_address, topic, {}).values()) == 2


@pytest.mark.parametrize("mechanism", MODULES)
def test_a_wrong_password_is_refused_in_a_sentence(kafka: SecureKafka, tmp_path: Path, mechanism: str) -> None:
    path = kafka.client_properties(tmp_path / "client.properties", mechanism=mechanism, password=WRONG)
    refused = f"Kafka at {kafka.address} refuses the login; check the user and password in the --command-config file."
    fails(kafka.address, path, BrokerUnavailable, refused)


def test_a_certificate_of_another_ca_is_refused_in_a_sentence(kafka: SecureKafka, tmp_path: Path) -> None:
    path = kafka.client_properties(tmp_path / "client.properties", ca=kafka.other_ca)
    fails(kafka.address, path, BrokerUnavailable, f"the certificate of Kafka at {kafka.address} is not trusted (")


def test_a_name_that_the_certificate_does_not_have(kafka: SecureKafka, tmp_path: Path) -> None:
    path = kafka.client_properties(tmp_path / "client.properties")
    address = kafka.address.replace("127.0.0.1", "localhost")
    fails(address, path, BrokerUnavailable, f"the certificate of Kafka at {address} is not trusted (Hostname mismatch")


def test_a_port_without_tls(kafka: SecureKafka, tmp_path: Path) -> None:
    path = kafka.client_properties(tmp_path / "client.properties")
    fails(kafka.plain_address, path, BrokerUnavailable, f"Kafka at {kafka.plain_address} ends the connection")


def test_a_ca_file_that_is_missing(kafka: SecureKafka, tmp_path: Path) -> None:
    path = kafka.client_properties(tmp_path / "client.properties", ca=tmp_path / "none.pem")
    fails(kafka.address, path, UsageError, "none.pem can't be used for TLS (No such file or directory)")


def test_a_mechanism_that_kafka_does_not_offer(kafka: SecureKafka, tmp_path: Path) -> None:
    path = kafka.client_properties(tmp_path / "client.properties", mechanism="SCRAM-SHA-256")
    path.write_text(path.read_text().replace("SCRAM-SHA-256", "SCRAM-SHA-512"))
    fails(kafka.address, path, UsageError, f"Kafka at {kafka.address} does not offer sasl.mechanism=SCRAM-SHA-512")


def test_the_debug_logs_of_a_client_do_not_show_the_login(
    kafka: SecureKafka, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    properties = load_command_config(kafka.client_properties(tmp_path / "client.properties"))
    ensure_topic(kafka.address, fresh_topic(), 1, properties)
    assert "Starting KafkaAdminClient with configuration" in caplog.text
    assert PASSWORD not in caplog.text


def fails(address: str, path: Path, kind: type[Exception], sentence: str) -> None:
    """Each client raises it, and nowhere in the chain of errors is a password."""
    properties = load_command_config(path)
    for client in (
        lambda: ensure_topic(address, "ratings", 1, properties),
        lambda: RatingProducer(address, "ratings", properties),
    ):
        with pytest.raises(kind, match=re.escape(sentence)) as caught:
            client()
        shown = "".join(traceback.format_exception(caught.value))
        assert PASSWORD not in shown
        assert WRONG not in shown
