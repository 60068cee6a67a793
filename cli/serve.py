"""`serve`: the HTTP API and the page, alone or as a child of `up`."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from reelstream import child_process
from reelstream.cli.options import (
    Bootstrap,
    CommandConfig,
    Topic,
    Warehouse,
    broker_address,
    err,
    existing_warehouse,
    settings_of,
)

if TYPE_CHECKING:
    from reelstream.settings import Settings

AGAIN_S = 2.0
"""A child that ended by itself is started again so much later."""
STOP_S = 10.0
START_S = 30.0
POLL_S = 0.1

READY = "reelstream serves "
"""What it says once it listens begins so; its address follows."""

Host = Annotated[
    str | None,
    typer.Option("--host", help="Where to listen. Any other than loopback needs a token. \\[default: 127.0.0.1]"),
]
Port = Annotated[int | None, typer.Option("--port", help="Its port. \\[default: 8000 if free, else any]")]


def serve(
    warehouse: Warehouse = None,
    bootstrap_servers: Bootstrap = None,
    command_config: CommandConfig = None,
    topic: Topic = None,
    host: Host = None,
    port: Port = None,
    while_stdin: Annotated[
        bool, typer.Option("--while-stdin", hidden=True, help="End when standard input does: the parent has ended.")
    ] = False,
) -> None:
    """Serve the HTTP API and the page. Part of `reelstream up` too. Ctrl-C ends it.

    Others than this machine need a token: set REELSTREAM_SERVE_TOKEN to a long random word.

    Examples: `reelstream serve` · `reelstream serve --host 0.0.0.0 --port 8080`
    """
    from reelstream.serve.server import run

    settings = settings_of(warehouse, bootstrap_servers, command_config, topic, serve_host=host, serve_port=port)
    existing_warehouse(settings)
    if while_stdin:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    run(settings, lambda: broker_address(settings), _said)


def _said(url: str) -> None:
    err.print(f"{READY}{url}; Ctrl-C ends", soft_wrap=True, markup=False)


def _end_with_stdin() -> None:
    # Not by sys.stdin: Python could not end while this thread holds the lock of its buffer.
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def served(
    settings: Settings, bootstrap_servers: str, tell: Callable[[str], None]
) -> Iterator[Callable[..., str | None]]:
    """A child that serves while the `with` lasts, started again if it ends by itself. Gives a function that waits for it
    to listen, START_S at the most, and returns its URL; what it is given it calls while it waits, and what that raises
    ends the wait. `tell` gets what the child says is wrong."""
    child = _Child({**child_process.environment(settings), "REELSTREAM_BOOTSTRAP_SERVERS": bootstrap_servers}, tell)
    child.start()
    try:
        yield child.wait_for_url
    finally:
        child.stop()


class _Child(threading.Thread):
    def __init__(self, env: dict[str, str], tell: Callable[[str], None]) -> None:
        super().__init__(name="serve", daemon=True)
        self.url: str | None = None
        self._env = env
        self._tell = tell
        self._stopping = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._listens = threading.Event()

    def wait_for_url(self, while_waiting: Callable[[], None] = lambda: None) -> str | None:
        deadline = time.monotonic() + START_S
        while not self._listens.wait(POLL_S) and time.monotonic() < deadline:
            while_waiting()
        return self.url

    def run(self) -> None:
        while not self._stopping.is_set():
            with self._lock:
                if self._stopping.is_set():
                    return
                self._process = process = subprocess.Popen(
                    child_process.command("serve", "--while-stdin"),
                    env=self._env,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                    text=True,
                )
            said = self._follow(process)
            self._listens.set()
            if not self._stopping.is_set():
                why = said or f"exit code {process.returncode}"
                self._tell(f"the server of the page has ended ({why}); it is started again")
                self._stopping.wait(AGAIN_S)

    def stop(self) -> None:
        self._stopping.set()
        with self._lock:
            process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
            process.kill()
        self.join()

    def _follow(self, process: subprocess.Popen[str]) -> str:
        """Reads what it says to its end; returns the last line."""
        last = ""
        with process:
            for line in process.stderr or ():
                if line.startswith(READY):
                    self.url = line.removeprefix(READY).split(";")[0]
                    self._listens.set()
                elif line.strip():
                    last = line.strip()
                    self._tell(last)
        self.url = None
        return last
