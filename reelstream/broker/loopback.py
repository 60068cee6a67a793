"""Ports on the loopback address: which is free, and whether a Kafka broker answers on one.

In: port numbers. Out: port numbers, or a yes or no. Next: `reelstream.broker.embedded`.
"""

from __future__ import annotations

import errno
import socket
import struct

from reelstream.errors import UsageError

HOST = "127.0.0.1"
ANSWER_TIMEOUT_S = 2.0

_API_VERSIONS = 18
_CORRELATION_ID = 0x5EE1


def choose_ports(port: int | None, last: tuple[int, int] | None) -> tuple[int, int]:
    """(port, controller port): what was asked for, else the last ones where they are still free, else any free ones.

    Raises UsageError if the port that was asked for is taken or not allowed.
    """
    last_port, last_controller_port = last or (0, 0)
    if port is not None:
        _check_free(port)
    chosen = port or (last_port if last_port and _free(last_port) else _any_free())
    if last_controller_port and last_controller_port != chosen and _free(last_controller_port):
        return chosen, last_controller_port
    while (controller_port := _any_free()) == chosen:
        pass
    return chosen, controller_port


def _check_free(port: int) -> None:
    try:
        _bind(port)
    except OSError as error:
        why = "taken by another program" if error.errno == errno.EADDRINUSE else f"not allowed ({error.strerror})"
        raise UsageError(f"port {port} is {why}; give another one, or none to get any free one.") from None
    except OverflowError:
        raise UsageError(f"port {port} is not a port; give one from 1 to 65535.") from None


def _free(port: int) -> bool:
    try:
        _bind(port)
    except (OSError, OverflowError):
        return False
    return True


def _any_free() -> int:
    return _bind(0)


def _bind(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the JVM does: a port in TIME_WAIT is free
        probe.bind((HOST, port))
        bound: int = probe.getsockname()[1]
        return bound


def kafka_answers(port: int) -> bool:
    """Whether something that speaks Kafka's protocol answers an ApiVersions request; waits 2 s at most."""
    header = struct.pack(">hhih", _API_VERSIONS, 0, _CORRELATION_ID, -1)  # version 0, no client id
    try:
        with socket.create_connection((HOST, port), ANSWER_TIMEOUT_S) as connection:
            connection.sendall(struct.pack(">i", len(header)) + header)
            with connection.makefile("rb") as answer:
                start = answer.read(10)  # length, correlation id, error code
    except OSError:
        return False
    return len(start) == 10 and struct.unpack(">ih", start[4:]) == (_CORRELATION_ID, 0)
