"""Where the HTTP API listens, and for whom.

In: settings. Out: an address, or an error that says what is missing. Next: `reelstream.serve.server` listens there.
"""

from __future__ import annotations

import ipaddress
import socket

from reelstream.errors import UsageError
from reelstream.settings import Settings

PORT = 8000
"""Taken where it is free and no other is asked for."""

MIN_TOKEN = 16
"""Characters of a token."""


def is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_token(settings: Settings) -> None:
    """Raises UsageError where others could ask and no token is set, or one that is too short."""
    token = settings.serve_token
    if token is None and not is_loopback(settings.serve_host):
        raise UsageError(
            f"{settings.serve_host} is open to others: set REELSTREAM_SERVE_TOKEN to a long random word, which clients send "
            "as `Authorization: Bearer …`, or serve on 127.0.0.1."
        )
    if token is not None and len(token) < MIN_TOKEN:
        raise UsageError(f"serve_token has {len(token)} characters; take {MIN_TOKEN} or more, at random.")


def listening(settings: Settings) -> socket.socket:
    """A socket that listens: on `serve_port`, or without one on PORT if it is free, else on any.

    Raises UsageError if the port that was asked for is taken or the host is not this machine's.
    """
    host, port = settings.serve_host, settings.serve_port
    for candidate in [port] if port is not None else [PORT, 0]:
        try:
            return _bound(host, candidate)
        except OSError as error:
            why = error.strerror or str(error)
    raise UsageError(
        f"can't listen on {host}:{port if port is not None else PORT} ({why}); give another --port or --host."
    )


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener
