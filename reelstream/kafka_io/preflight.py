"""Preflight check of a Kafka before a client is made: does it speak TLS with us, and does it take the login.

In: the options of a client of kafka-python. Out: nothing, or BrokerUnavailable or UsageError that says what is wrong.
Next: `ensure_topic` and the producer make their clients.

kafka-python itself tries again until its time limit, leaves a socket open each time TLS fails, and often misses why: what
Kafka says just before it ends the connection is thrown away there.
"""

from __future__ import annotations

import itertools
import socket
import ssl
import struct
from collections.abc import Mapping
from typing import Any

from reelstream.errors import BrokerUnavailable, UsageError

TIMEOUT_S = 5.0

_HANDSHAKE, _AUTHENTICATE = 17, 36  # api keys
_UNSUPPORTED_MECHANISM = 33


def check_connection(options: Mapping[str, Any]) -> None:
    """Tries TLS and the login once, with the first server that accepts a connection; where none does, does nothing.

    options: those of `reelstream.kafka_io.properties.kafka_python_options`. A GSSAPI login is not tried.
    Raises BrokerUnavailable if TLS or the login is refused, UsageError for a file or mechanism that does not fit.
    """
    protocol = options["security_protocol"]
    context = _context(options) if protocol.endswith("SSL") else None
    login = protocol.startswith("SASL") and options.get("sasl_mechanism") != "GSSAPI"
    for server in options["bootstrap_servers"] if context or login else ():
        host, _, port = server.rpartition(":")
        host = host.strip("[]")
        try:
            with (
                socket.create_connection((host, int(port)), TIMEOUT_S) as bare,
                context.wrap_socket(bare, server_hostname=host) if context else bare as connection,
            ):
                if login:
                    _log_in(connection, server, options)
            return
        except ssl.SSLCertVerificationError as error:
            raise BrokerUnavailable(
                f"the certificate of Kafka at {server} is not trusted ({error.verify_message}); check "
                "ssl.truststore.location in the --command-config file, and the address."
            ) from None
        except (ssl.SSLError, ConnectionResetError) as error:
            reason = f" ({error.reason})" if isinstance(error, ssl.SSLError) else ""
            raise BrokerUnavailable(
                f"Kafka at {server} ends the connection{reason}; check the port, and security.protocol in the "
                "--command-config file."
            ) from None
        except (OSError, ValueError):
            continue  # the client will say that nobody answers


def refused(server: str) -> BrokerUnavailable:
    return BrokerUnavailable(
        f"Kafka at {server} refuses the login; check the user and password in the --command-config file."
    )


def _context(options: Mapping[str, Any]) -> ssl.SSLContext:
    """As kafka-python makes it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = options.get("ssl_check_hostname", True)
    try:
        if "ssl_cafile" in options:
            context.load_verify_locations(options["ssl_cafile"])
        else:
            context.load_default_certs()
        if "ssl_certfile" in options:
            context.load_cert_chain(options["ssl_certfile"], password=options.get("ssl_password"))
    except OSError as error:  # ssl.SSLError is one
        files = " and ".join(options[name] for name in ("ssl_cafile", "ssl_certfile") if name in options)
        raise UsageError(f"{files} can't be used for TLS ({error.strerror}); give readable PEM files.") from None
    return context


def _log_in(connection: socket.socket, server: str, options: Mapping[str, Any]) -> None:
    """SaslHandshake version 1 with the mechanism's name, then SaslAuthenticate version 0 until it is done."""
    from kafka.net.sasl import get_sasl_mechanism

    name = options["sasl_mechanism"]
    numbers = itertools.count()
    answer = _ask(connection, _HANDSHAKE, 1, next(numbers), struct.pack(">h", len(name)) + name.encode())
    (code,) = struct.unpack_from(">h", answer)
    if code == _UNSUPPORTED_MECHANISM:
        raise UsageError(f"Kafka at {server} does not offer sasl.mechanism={name}; give one that it has.")
    mechanism = get_sasl_mechanism(name)(host=server.rpartition(":")[0], **options)
    while not code and not mechanism.is_done():
        token = mechanism.auth_bytes()
        answer = _ask(connection, _AUTHENTICATE, 0, next(numbers), struct.pack(">i", len(token)) + token)
        code, message_bytes = struct.unpack_from(">hh", answer)  # the message is null, of length -1, where all is well
        if not code:
            mechanism.receive(answer[8 + max(message_bytes, 0) :])
    if code or not mechanism.is_authenticated():
        raise refused(server)


def _ask(connection: socket.socket, key: int, version: int, number: int, body: bytes) -> bytes:
    """The body of the answer to one request. Raises ConnectionResetError if there is none."""
    header = struct.pack(">hhih", key, version, number, -1)  # no client id
    connection.sendall(struct.pack(">i", len(header) + len(body)) + header + body)
    (length,) = struct.unpack(">i", _read(connection, 4))
    return _read(connection, length)[4:]  # after the request's number


def _read(connection: socket.socket, n_bytes: int) -> bytes:
    parts = bytearray()
    while len(parts) < n_bytes:
        part = connection.recv(n_bytes - len(parts))
        if not part:
            raise ConnectionResetError
        parts += part
    return bytes(parts)
