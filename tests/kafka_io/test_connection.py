from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from reelstream.errors import BrokerUnavailable, UsageError
from reelstream.kafka_io import properties as properties_module
from reelstream.kafka_io import topic
from reelstream.kafka_io.connection import admin_client
from reelstream.kafka_io.properties import kafka_python_options, load_command_config, spark_options
from reelstream.kafka_io.topic import ensure_topic
from tests.fixtures.kafka_broker import fresh_topic

PASSWORD = 'pa"ss; wörd'
SASL = r"""
# a comment
! another
bootstrap.servers = elsewhere:9092
security.protocol: SASL_SSL
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \
    username="ann" \
    password="pa\\"ss; w\u00f6rd";
ssl.truststore.type=PEM
ssl.truststore.location=/some/where/ca.pem
ssl.endpoint.identification.algorithm=
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "client.properties"
    path.write_text(text, "utf-8")
    return path


def test_sasl_over_tls_for_kafka_python(tmp_path: Path) -> None:
    options = kafka_python_options("a:1, b:2", load_command_config(write(tmp_path, SASL)))
    assert options == {
        "bootstrap_servers": ["a:1", "b:2"],
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "ann",
        "sasl_plain_password": PASSWORD,
        "ssl_cafile": "/some/where/ca.pem",
        "ssl_check_hostname": False,
    }


def test_sasl_over_tls_for_spark(tmp_path: Path) -> None:
    options = spark_options("a:1", load_command_config(write(tmp_path, SASL)))
    assert options["kafka.bootstrap.servers"] == "a:1"
    assert options["kafka.security.protocol"] == "SASL_SSL"
    assert options["kafka.sasl.jaas.config"].endswith(r'username="ann" password="pa\"ss; wörd";')
    assert options["kafka.ssl.endpoint.identification.algorithm"] == ""


def test_a_ca_file_becomes_a_pem_truststore_for_spark() -> None:
    properties = {"security.protocol": "SSL", "ssl.ca.location": "ca.pem"}
    assert kafka_python_options("a:1", properties)["ssl_cafile"] == "ca.pem"
    assert spark_options("a:1", properties) == {
        "kafka.bootstrap.servers": "a:1",
        "kafka.security.protocol": "SSL",
        "kafka.ssl.truststore.location": "ca.pem",
        "kafka.ssl.truststore.type": "PEM",
    }


def test_every_option_is_one_that_kafka_python_knows(tmp_path: Path) -> None:
    from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

    for client in (KafkaAdminClient, KafkaConsumer, KafkaProducer):
        assert set(properties_module._SAME_MEANING.values()) <= set(client.DEFAULT_CONFIG)


def test_nothing_shows_a_secret(tmp_path: Path) -> None:
    properties = load_command_config(write(tmp_path, SASL))
    shown = repr(properties) + repr(kafka_python_options("a:1", properties)) + repr(spark_options("a:1", properties))
    assert "pa" + '"ss' not in shown
    assert "wörd" not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ssl.truststore.password=hidden", "ssl.truststore.password .* is not supported"),
        ("ssl.truststore.location=store.jks", "ssl.truststore.location is a JKS file"),
        ("ssl.keystore.location=k.p12\nssl.keystore.type=PKCS12", "ssl.keystore.location is a PKCS12 file"),
    ],
)
def test_what_cannot_be_honoured_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        load_command_config(write(tmp_path, text))
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"security.protocol": "TLS"}, "security.protocol TLS is unknown"),
        ({"security.protocol": "SASL_SSL"}, r"sasl.mechanism \(missing\) is not supported"),
        ({"security.protocol": "SASL_SSL", "sasl.mechanism": "DIGEST"}, "DIGEST is not supported"),
        (
            {"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER"},
            "OAUTHBEARER needs sasl.oauthbearer.token",
        ),
        (
            {
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": "PLAIN",
                "sasl.jaas.config": 'x required password="hidden";',
            },
            'sasl.jaas.config needs username="…"',
        ),
    ],
)
def test_a_login_that_cannot_work_is_explained(properties: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        kafka_python_options("a:1", properties)
    assert "hidden" not in str(caught.value)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    assert load_command_config(None) == {}
    with pytest.raises(UsageError, match=r"none\.properties can't be read \(No such file"):
        load_command_config(tmp_path / "none.properties")


def test_a_file_that_is_no_properties_file_is_refused_without_its_words(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"client\.properties has a \\u without four hex digits") as caught:
        load_command_config(write(tmp_path, r"ssl.key.password=\usecret"))
    assert "usec" not in str(caught.value)
    path = tmp_path / "latin.properties"
    path.write_bytes("client.id=müller".encode("latin-1"))
    with pytest.raises(UsageError, match="it is not UTF-8"):
        load_command_config(path)


def test_the_file_is_read_by_the_rules_of_java(tmp_path: Path) -> None:
    text = "".join(
        (
            "client.id\\\n   = \\\r\n \\u0020a\\tb\\:c\u2028\n",
            "! client.id=x\n",
            "security.protocol   SSL\n",
            "sasl.mechanism",
        )
    )
    assert load_command_config(write(tmp_path, text)) == {
        "client.id": " a\tb:c\u2028",
        "security.protocol": "SSL",
        "sasl.mechanism": "",
    }


def test_a_topic_is_made_once_and_keeps_its_events(bootstrap_servers: str) -> None:
    from kafka.admin import ConfigResource

    name = fresh_topic()
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(ensure_topic(bootstrap_servers, name, n, {})))
        for n in (2, 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [2, 2]
    assert ensure_topic(bootstrap_servers, name, 5, {}) == 2
    with admin_client({"bootstrap_servers": bootstrap_servers}, 5000) as admin:
        described = admin.describe_configs([ConfigResource("TOPIC", name)])
    assert described["topic"][name]["retention.ms"]["value"] == "-1"


def test_a_topic_that_kafka_refuses(bootstrap_servers: str) -> None:
    with pytest.raises(UsageError, match=r"refuses topic no spaces \(InvalidTopicError\)"):
        ensure_topic(bootstrap_servers, "no spaces", 1, {})


def test_nothing_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic, "CONNECT_TIMEOUT_MS", 500)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(BrokerUnavailable, match=f"no Kafka answers at {address}"):
            ensure_topic(address, "ratings", 1, {})
    assert time.monotonic() - started < 10
