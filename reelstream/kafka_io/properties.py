"""One Java client.properties for kafka-python and for Spark.

In: `bootstrap_servers` and the properties of `load_command_config`. Out: arguments for kafka-python's clients, options
for Spark's Kafka source. Next: `reelstream.kafka_io.connection` and `reelstream.stream.source`.

Passwords are `Secret`s: strings that show as *** in every repr, so also where a client logs its options. The loggers that
tell at debug level what is sent to Kafka and to Spark's JVM, a login too, say nothing at that level.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reelstream.errors import UsageError

_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_PASSWORD_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_TOKEN_ENDPOINT = "sasl.oauthbearer.token.endpoint.url"
_LOGIN_CALLBACK = "sasl.login.callback.handler.class"
_LOGIN_CALLBACK_HANDLER = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler"
_SECRET_KEYS = ("sasl.jaas.config", "ssl.key.password")
_SAME_MEANING = {  # property → kafka-python's argument
    "security.protocol": "security_protocol",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.kerberos.service.name": "sasl_kerberos_service_name",
    "ssl.truststore.location": "ssl_cafile",
    "ssl.ca.location": "ssl_cafile",
    "ssl.keystore.location": "ssl_certfile",
    "ssl.key.password": "ssl_password",
    "client.id": "client_id",
}
_OWN_MEANING = (
    "sasl.jaas.config",
    _TOKEN_ENDPOINT,
    _LOGIN_CALLBACK,
    "ssl.endpoint.identification.algorithm",
    "ssl.truststore.type",
    "ssl.keystore.type",
    "bootstrap.servers",  # the address comes from the settings; many files hold one all the same
)


class Secret(str):
    """A string that never shows itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def load_command_config(path: Path | None) -> dict[str, str]:
    """The keys and values of a Java client.properties (UTF-8); empty for None.

    Raises UsageError if the file cannot be read, or for a key that kafka-python or Spark could not honour.
    """
    if path is None:
        return {}
    import javaproperties

    try:
        properties = javaproperties.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{path} can't be read ({error.strerror}); name a Java client.properties.") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} can't be read (it is not UTF-8); name a Java client.properties.") from None
    except javaproperties.InvalidUEscapeError:  # which quotes what may be a password
        raise UsageError(rf"{path} has a \u without four hex digits; write \\u for a backslash before a u.") from None
    properties = {key: Secret(value) if _is_secret(key) else value for key, value in properties.items()}
    _check_keys(properties)
    return properties


def kafka_python_options(bootstrap_servers: str, properties: Mapping[str, str]) -> dict[str, Any]:
    """Arguments for any client of kafka-python 3. Raises UsageError that names a property which does not fit."""
    _check_keys(properties)
    options: dict[str, Any] = {"bootstrap_servers": [server.strip() for server in bootstrap_servers.split(",")]}
    options |= {_SAME_MEANING[key]: value for key, value in properties.items() if key in _SAME_MEANING and value}
    protocol = options.get("security_protocol", "PLAINTEXT").upper()
    if protocol not in _PROTOCOLS:
        raise UsageError(f"security.protocol {protocol} is unknown; give one of {', '.join(_PROTOCOLS)}.")
    options["security_protocol"] = protocol
    if protocol.startswith("SASL"):
        _keep_from_debug_logs("kafka.net.connection", "kafka.protocol.parser")
        options |= _sasl(properties)
    if properties.get("ssl.endpoint.identification.algorithm") == "":
        options["ssl_check_hostname"] = False
    return options


def spark_options(bootstrap_servers: str, properties: Mapping[str, str]) -> dict[str, str]:
    """Options of Spark's Kafka source and sink. Raises UsageError that names a property which does not fit."""
    _check_keys(properties)
    _keep_from_debug_logs("py4j.java_gateway", "py4j.clientserver")
    options = {f"kafka.{key}": value for key, value in properties.items() if key != "ssl.ca.location"}
    if "ssl.ca.location" in properties:
        options["kafka.ssl.truststore.location"] = properties["ssl.ca.location"]
        options["kafka.ssl.truststore.type"] = "PEM"
    if properties.get("sasl.mechanism") == "OAUTHBEARER":
        options.setdefault(f"kafka.{_LOGIN_CALLBACK}", _LOGIN_CALLBACK_HANDLER)
    options["kafka.bootstrap.servers"] = bootstrap_servers
    return options


def _above_debug(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


def _keep_from_debug_logs(*loggers: str) -> None:
    for name in loggers:
        logging.getLogger(name).addFilter(_above_debug)


def _is_secret(key: str) -> bool:
    return key in _SECRET_KEYS or "password" in key or "secret" in key


def _check_keys(properties: Mapping[str, str]) -> None:
    for key in properties:
        if key not in _SAME_MEANING and key not in _OWN_MEANING:
            known = ", ".join(sorted({*_SAME_MEANING, *_OWN_MEANING}))
            raise UsageError(f"{key} in the --command-config file is not supported; remove it. Supported are {known}.")
    for store in ("truststore", "keystore"):
        given = properties.get(f"ssl.{store}.type", "JKS").upper()
        if f"ssl.{store}.location" in properties and given != "PEM":
            raise UsageError(
                f"ssl.{store}.location is a {given} file, which kafka-python can't read; give a PEM file, and with it "
                f"ssl.{store}.type=PEM."
            )


def _sasl(properties: Mapping[str, str]) -> dict[str, Any]:
    mechanism = properties.get("sasl.mechanism", "")
    if mechanism == "GSSAPI":
        return {}
    if mechanism == "OAUTHBEARER":
        return {"sasl_oauth_token_provider": _token_provider(properties)}
    if mechanism not in _PASSWORD_MECHANISMS:
        known = ", ".join((*_PASSWORD_MECHANISMS, "OAUTHBEARER", "GSSAPI"))
        raise UsageError(f"sasl.mechanism {mechanism or '(missing)'} is not supported; give one of {known}.")
    login = dict(_login_options(properties.get("sasl.jaas.config", "")))
    if "username" not in login or "password" not in login:
        raise UsageError(f'sasl.jaas.config needs username="…" and password="…" for sasl.mechanism={mechanism}.')
    return {"sasl_plain_username": login["username"], "sasl_plain_password": Secret(login["password"])}


def _token_provider(properties: Mapping[str, str]) -> Any:
    from reelstream.kafka_io.oauth import ClientCredentials

    login = dict(_login_options(properties.get("sasl.jaas.config", "")))
    endpoint = properties.get(_TOKEN_ENDPOINT, "")
    if not endpoint.startswith(("http://", "https://")) or not {"clientId", "clientSecret"} <= login.keys():
        raise UsageError(
            f'sasl.mechanism=OAUTHBEARER needs {_TOKEN_ENDPOINT}=https://…, and clientId="…" and clientSecret="…" in '
            "sasl.jaas.config."
        )
    if properties.get(_LOGIN_CALLBACK, _LOGIN_CALLBACK_HANDLER).rpartition(".")[2] != "OAuthBearerLoginCallbackHandler":
        raise UsageError(f"{_LOGIN_CALLBACK} is not supported but for {_LOGIN_CALLBACK_HANDLER}; remove it.")
    return ClientCredentials(endpoint, login)


def _login_options(jaas: str) -> Iterator[tuple[str, str]]:
    for name, quoted, bare in re.findall(r'(\w+)\s*=\s*(?:"((?:\\.|[^"\\])*)"|([^\s;"]+))', jaas):
        yield name, re.sub(r"\\(.)", r"\1", quoted) if quoted else bare
