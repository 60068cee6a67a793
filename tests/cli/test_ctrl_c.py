"""Ctrl-C on the commands that run until it is pressed: on a real terminal they end silently, and leave nothing behind."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reelstream.settings import Settings, load, to_env
from tests.fixtures.processes import descendants, running
from tests.fixtures.published import publish

CTRL_C = b"\x03"
LIMIT_S = 90.0
IN_A_SESSION_OF_ITS_OWN = "import os, sys; os.login_tty(0); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"


class Terminal:
    """A command on a pseudo-terminal, and all that it has shown there."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self.shown = b""
        self._master = master

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def read_until(self, words: str) -> None:
        deadline = time.monotonic() + LIMIT_S
        while words.encode() not in self.shown:
            assert time.monotonic() < deadline, f"{words!r} is not in {plain(self.shown)}"
            assert self._read(1.0), f"ended before {words!r}: {plain(self.shown)}"

    def read_to_the_end(self) -> str:
        """What it showed from now on, without colours and cursor movements."""
        before = len(self.shown)
        deadline = time.monotonic() + LIMIT_S
        while self._read(1.0) or self.process.poll() is None:
            assert time.monotonic() < deadline, f"has not ended: {plain(self.shown)}"
        return plain(self.shown[before:])

    def _read(self, wait_s: float) -> bool:
        """False once the command has ended and all that it showed is read."""
        if not select.select([self._master], [], [], wait_s)[0]:
            return self.process.poll() is None
        try:
            self.shown += os.read(self._master, 65536)
        except OSError:  # how Linux says that nobody has the other end any more
            return False
        return True


@contextmanager
def on_a_terminal(settings: Settings, *command: str) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    keep_what_was_shown(slave)
    process = subprocess.Popen(
        [sys.executable, "-c", IN_A_SESSION_OF_ITS_OWN, "-P", "-m", "reelstream", *command],
        env={**os.environ, **to_env(settings), "TERM": "xterm", "COLUMNS": "200"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(master)


def keep_what_was_shown(slave: int) -> None:
    """Else each Ctrl-C makes the terminal drop what nobody has read yet, perhaps half of a cursor movement."""
    attributes = termios.tcgetattr(slave)
    attributes[3] |= termios.NOFLSH
    termios.tcsetattr(slave, termios.TCSANOW, attributes)


def plain(shown: bytes) -> str:
    """Without colours, cursor movements, and the status line, which is erased in the end."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode(errors="replace"))
    return re.sub(r"[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏][^\r\n^]*", "", text)


def is_silent(shown: str) -> bool:
    """Nothing but the echo of the keys."""
    return not set(shown) - set("^C\r\n")


@pytest.mark.parametrize("presses", [1, 2])
def test_up_ends_silently_and_leaves_no_process(warehouse: Path, presses: int) -> None:
    publish(warehouse)
    with on_a_terminal(load(warehouse=warehouse, topic="live"), "up") as terminal:
        terminal.read_until("ready, Ctrl-C ends")
        left = descendants(terminal.process.pid)
        assert len(left) >= 3, "broker, Spark and server"
        for _ in range(presses):
            terminal.type(CTRL_C)
            time.sleep(0.3)
        shown = terminal.read_to_the_end()
    assert is_silent(shown), shown
    assert terminal.process.returncode == 0
    assert not running(left)


@pytest.mark.parametrize(("words", "wait_s"), [("starting …", 0.0), ("starting …", 1.0), ("starting Spark …", 1.0)])
def test_up_that_is_still_starting_ends_silently_too(warehouse: Path, words: str, wait_s: float) -> None:
    with on_a_terminal(load(warehouse=warehouse), "up") as terminal:
        terminal.read_until(words)
        time.sleep(wait_s)
        left = descendants(terminal.process.pid)
        while terminal.process.poll() is None:  # also while Python itself ends
            terminal.type(CTRL_C)
            time.sleep(0.02)
        shown = terminal.read_to_the_end()
    assert is_silent(shown), shown
    assert terminal.process.returncode == 0
    assert not running(left)


@pytest.mark.parametrize("presses", [1, 2])
def test_serve_ends_silently(warehouse: Path, presses: int) -> None:
    publish(warehouse)
    with on_a_terminal(load(warehouse=warehouse), "serve") as terminal:
        terminal.read_until("; Ctrl-C ends")
        for _ in range(presses):
            terminal.type(CTRL_C)
            time.sleep(0.3)
        shown = terminal.read_to_the_end()
    assert is_silent(shown), shown
    assert terminal.process.returncode == 0
