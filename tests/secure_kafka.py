"""A real Kafka with a SASL_SSL listener, its certificates made by the JDK's keytool.

In: a folder. Out: `SecureKafka`: an embedded broker that has, beside its plain listener, one that asks for a login.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

from reelstream.embedded import broker as embedded
from reelstream.embedded import server_properties as plain
from reelstream.embedded.java import find_java
from reelstream.embedded.loopback import choose_ports
from reelstream.kafka_client import admin_client

USER, PASSWORD = "films", "Tr0ub4dor-and-3-horses"
MODULES = {"PLAIN": "plain.PlainLoginModule", "SCRAM-SHA-256": "scram.ScramLoginModule"}
STORE_PASSWORD = "keystore-password"  # keytool asks for one

LISTENER = """
listeners=PLAINTEXT://127.0.0.1:{port},SASL_SSL://127.0.0.1:{secure_port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SASL_SSL://127.0.0.1:{secure_port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.{plain} required user_{user}="{password}";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.{scram} required;
ssl.keystore.location={keystore}
ssl.keystore.type=PKCS12
ssl.keystore.password={store_password}
ssl.key.password={store_password}
"""


@dataclass(frozen=True, slots=True)
class SecureKafka:
    """`address` asks for TLS and a login; `plain_address` for nothing. `ca` signed its certificate, `other_ca` did not."""

    address: str
    plain_address: str
    ca: Path
    other_ca: Path

    def client_properties(
        self, path: Path, *, mechanism: str = "PLAIN", password: str = PASSWORD, ca: Path | None = None
    ) -> Path:
        """Writes what both clients read, and returns its path."""
        module = f"org.apache.kafka.common.security.{MODULES[mechanism]}"
        path.write_text(
            "security.protocol=SASL_SSL\n"
            f"sasl.mechanism={mechanism}\n"
            f'sasl.jaas.config={module} required username="{USER}" password="{password}";\n'
            f"ssl.truststore.location={ca or self.ca}\n"
            "ssl.truststore.type=PEM\n"
        )
        return path


@contextmanager
def secure_kafka(folder: Path) -> Iterator[SecureKafka]:
    """Runs as long as the block. Both mechanisms know USER with PASSWORD."""
    folder.mkdir(parents=True)
    keystore, ca, other_ca = _certificates(folder)
    secure_port, _ = choose_ports(None, None)

    def with_listener(port: int, controller_port: int, log_folder: str = plain.LOG_FOLDER) -> str:
        return plain.server_properties(port, controller_port, log_folder) + LISTENER.format(
            **{"port": port, "secure_port": secure_port, "controller_port": controller_port},
            **{"user": USER, "password": PASSWORD, "keystore": keystore, "store_password": STORE_PASSWORD},
            **{"plain": MODULES["PLAIN"], "scram": MODULES["SCRAM-SHA-256"]},
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded, "server_properties", with_listener)
        with embedded.EmbeddedBroker(folder / "broker") as broker:
            with admin_client({"bootstrap_servers": broker.bootstrap_servers}, 10_000) as admin:
                login = UserScramCredentialUpsertion(USER, ScramMechanism.SCRAM_SHA_256, PASSWORD)
                assert admin.alter_user_scram_credentials([login]) == {USER: None}
            yield SecureKafka(f"127.0.0.1:{secure_port}", broker.bootstrap_servers, ca, other_ca)


def _certificates(folder: Path) -> tuple[Path, Path, Path]:
    """(the broker's key store, the CA that signed it as PEM, another CA as PEM)."""

    def keytool(*words: str, given: bytes | None = None) -> bytes:
        command = [str(find_java().with_name("keytool")), *words, "-storetype", "PKCS12", "-storepass", STORE_PASSWORD]
        return subprocess.run(command, cwd=folder, input=given, capture_output=True, check=True).stdout

    key = ("-genkeypair", "-keyalg", "EC", "-validity", "2", "-alias")
    for name in ("ca", "other"):
        authority = ("-ext", "bc:c=ca:true", "-ext", "ku:c=keyCertSign")
        keytool(*key, name, "-dname", f"CN={name} of a test", *authority, "-keystore", f"{name}.p12")
        (folder / f"{name}.pem").write_bytes(keytool("-exportcert", "-rfc", "-alias", name, "-keystore", f"{name}.p12"))
    keytool(*key, "broker", "-dname", "CN=broker of a test", "-keystore", "broker.p12")
    request = keytool("-certreq", "-alias", "broker", "-keystore", "broker.p12")
    name = ("-ext", "san=ip:127.0.0.1")
    signed = keytool("-gencert", "-rfc", "-validity", "2", "-alias", "ca", *name, "-keystore", "ca.p12", given=request)
    chain = (folder / "ca.pem").read_bytes() + signed
    keytool("-importcert", "-noprompt", "-alias", "ca", "-file", "ca.pem", "-keystore", "broker.p12")
    keytool("-importcert", "-noprompt", "-alias", "broker", "-keystore", "broker.p12", given=chain)
    return folder / "broker.p12", folder / "ca.pem", folder / "other.pem"
