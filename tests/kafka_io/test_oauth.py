"""SASL OAUTHBEARER: both clients log in with tokens that an identity provider signs, and a real Kafka checks them."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from pyspark.sql import SparkSession

from reelstream.broker import embedded
from reelstream.broker import server_properties as plain
from reelstream.broker.loopback import choose_ports
from reelstream.errors import BrokerUnavailable
from reelstream.kafka_io.oauth import ClientCredentials
from reelstream.kafka_io.properties import kafka_python_options, load_command_config
from reelstream.kafka_io.topic import ensure_topic
from reelstream.producer.send import RatingProducer
from reelstream.settings import load
from reelstream.store.ratings import RatingsStore
from reelstream.stream.source import TopicSource
from tests.fixtures.kafka_broker import fresh_topic

CLIENT, SECRET = "reelstream", "s3cret-of-a-test"
AUDIENCE = "kafka"
LISTENER = """
listeners=PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{secure_port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{secure_port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=OAUTHBEARER
sasl.oauthbearer.jwks.endpoint.url={jwks}
sasl.oauthbearer.expected.audience={audience}
listener.name.sasl_plaintext.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.{module} required;
listener.name.sasl_plaintext.oauthbearer.sasl.server.callback.handler.class=org.apache.kafka.common.security.oauthbearer.{validator}
"""


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class IdentityProvider:
    """Gives signed tokens at /token, and the key to check them by at /keys. `asked`: the bodies of what was asked for."""

    url: str = ""
    life_s: int = 300
    asked: list[str] = field(default_factory=list)
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    def keys(self) -> dict[str, object]:
        numbers = self.key.public_key().public_numbers()
        n, e = (_text(value.to_bytes((value.bit_length() + 7) // 8, "big")) for value in (numbers.n, numbers.e))
        return {"keys": [{"kty": "RSA", "kid": "1", "alg": "RS256", "use": "sig", "n": n, "e": e}]}

    def token(self) -> str:
        now = int(time.time())
        claims = {"sub": CLIENT, "aud": AUDIENCE, "iat": now, "exp": now + self.life_s, "scope": "ratings"}
        head = {"alg": "RS256", "kid": "1", "typ": "JWT"}
        signed = ".".join(_text(json.dumps(part).encode()) for part in (head, claims))
        return f"{signed}.{_text(self.key.sign(signed.encode(), padding.PKCS1v15(), SHA256()))}"


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    running = IdentityProvider()
    login = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()

    class Tokens(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(200, running.keys())

        def do_POST(self) -> None:
            running.asked.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            if self.headers["Authorization"] != login:
                return self.answer(401, {"error": "invalid_client"})
            token = {"access_token": running.token(), "expires_in": running.life_s, "token_type": "Bearer"}
            return self.answer(200, token)

        def answer(self, status: int, value: object) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(value).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Tokens)
    running.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield running
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def kafka(provider: IdentityProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a listener that takes the provider's tokens alone."""
    secure_port, _ = choose_ports(None, None)

    def with_listener(port: int, controller_port: int, log_directory: str = plain.LOG_DIRECTORY) -> str:
        return plain.server_properties(port, controller_port, log_directory) + LISTENER.format(
            **{"port": port, "secure_port": secure_port, "controller_port": controller_port},
            **{"jwks": f"{provider.url}/keys", "audience": AUDIENCE},
            **{"module": "OAuthBearerLoginModule", "validator": "OAuthBearerValidatorCallbackHandler"},
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded, "server_properties", with_listener)
        allowed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={provider.url}/keys"
        patch.setenv("JDK_JAVA_OPTIONS", allowed)
        with embedded.EmbeddedBroker(tmp_path_factory.mktemp("oauth") / "broker"):
            patch.delenv("JDK_JAVA_OPTIONS")
            yield f"127.0.0.1:{secure_port}"


def properties(path: Path, provider: IdentityProvider, secret: str = SECRET) -> Path:
    path.write_text(
        "security.protocol=SASL_PLAINTEXT\n"
        "sasl.mechanism=OAUTHBEARER\n"
        f"sasl.oauthbearer.token.endpoint.url={provider.url}/token\n"
        "sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required "
        f'clientId="{CLIENT}" clientSecret="{secret}" scope="ratings";\n'
    )
    return path


def test_both_clients_log_in_with_tokens(
    kafka: str, provider: IdentityProvider, tmp_path: Path, warehouse: Path, spark: SparkSession
) -> None:
    config = properties(tmp_path / "client.properties", provider)
    topic = fresh_topic()
    assert ensure_topic(kafka, topic, 1, load_command_config(config)) == 1
    with RatingProducer(kafka, topic, load_command_config(config)) as producer:
        producer.rate_live(7, [(1, 5.0), (2, 4.0)])
    assert "grant_type=client_credentials&scope=ratings" in provider.asked

    settings = load(warehouse=warehouse, bootstrap_servers=kafka, topic=topic, command_config=config)
    records = TopicSource(settings, kafka, RatingsStore(warehouse)).records(spark)
    taken: list[int] = []
    query = records.writeStream.trigger(availableNow=True).option("checkpointLocation", str(tmp_path / "checkpoint"))
    query.foreachBatch(lambda batch, _: taken.append(batch.count())).start().awaitTermination(120)  # type: ignore[arg-type]
    assert sum(taken) == 2


def test_a_secret_that_is_wrong_is_told_in_a_sentence(kafka: str, provider: IdentityProvider, tmp_path: Path) -> None:
    wrong = load_command_config(properties(tmp_path / "client.properties", provider, "wrong"))
    told = rf"the token endpoint {provider.url}/token gives no token \(HTTP 401\)"
    with pytest.raises(BrokerUnavailable, match=told) as caught:
        ensure_topic(kafka, "ratings", 1, wrong)
    assert "wrong" not in str(caught.value)


def test_a_token_that_kafka_does_not_trust_is_a_login_refused(
    kafka: str, provider: IdentityProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider, "key", rsa.generate_private_key(65537, 2048))
    config = load_command_config(properties(tmp_path / "client.properties", provider))
    with pytest.raises(BrokerUnavailable, match=f"Kafka at {kafka} refuses the login"):
        ensure_topic(kafka, "ratings", 1, config)


def test_a_token_is_used_again_until_most_of_its_life_is_over(
    provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = {"clientId": CLIENT, "clientSecret": SECRET, "extension_logicalCluster": "lkc-1"}
    tokens = ClientCredentials(f"{provider.url}/token", login)
    before = len(provider.asked)
    first = tokens.token()
    assert tokens.token() == first
    assert len(provider.asked) == before + 1
    now = time.monotonic()
    monkeypatch.setattr("reelstream.kafka_io.oauth.time.monotonic", lambda: now + 0.9 * provider.life_s)
    tokens.token()
    assert len(provider.asked) == before + 2
    assert tokens.extensions() == {"logicalCluster": "lkc-1"}


def test_nothing_shows_the_secret(provider: IdentityProvider, tmp_path: Path) -> None:
    config = load_command_config(properties(tmp_path / "client.properties", provider))
    assert SECRET not in repr(kafka_python_options("a:1", config)) + repr(config)
