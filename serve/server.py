"""The server's process: listens, answers, and ends in order.

In: settings. Out: nothing. Next: the client.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pyarrow as pa
import uvicorn

from reelstream.serve.app import make_app
from reelstream.serve.listener import check_token, listening, url_of
from reelstream.settings import Settings
from reelstream.store import run_files

_M_ARENA_MAX = -8
"""mallopt(3): how many pools of memory there may be."""

GRACE_S = 3
"""Seconds that answers under way have when the server is to end."""


def run(settings: Settings, kafka_address: Callable[[], str], ready: Callable[[str], None]) -> None:
    """Serves until SIGINT or SIGTERM. `ready` is told the URL once it listens; `run/serve.json`
    says it too.

    Raises UsageError if it can't listen there, or if a token is missing.
    """
    check_token(settings)
    _be_sparing()
    with listening(settings) as listener:
        server: uvicorn.Server
        app = make_app(settings, kafka_address, closing=lambda: server.should_exit)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
            loop="uvloop",
            http="httptools",
            ws="none",
            timeout_graceful_shutdown=GRACE_S,
            timeout_keep_alive=30,
            limit_concurrency=1000,
        )

        def listens() -> None:
            url = url_of(listener)
            status = {"state": "running", "pid": os.getpid(), "url": url, "started_at": datetime.now(UTC).isoformat()}
            run_files.write(settings.warehouse, "serve", status)
            ready(url)

        server = _Server(config, listens)
        server.run(sockets=[listener])


def _be_sparing() -> None:
    """Has memory that was used for a moment go back to the system: a new version is read while the old one still answers,
    and glibc would keep what that took once for each thread. After four refits the process has 306 MB; without the first
    line 345, without the second 330 (`bench.serve`)."""
    pa.set_memory_pool(pa.system_memory_pool())
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's own, which raises the signal again in the end, as if it had not been the way to end. Any further one
        changes nothing while the process ends."""
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self.handle_exit)
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._tell()
