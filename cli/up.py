"""`up`, `stream` and `broker`: the long-running commands. Each ends in order on Ctrl-C or SIGTERM.

The order of `up`: broker, stream, trigger, server; it ends the other way round. The refits and the server are processes
of their own, so that one that fails, or is killed, takes nothing with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Protocol

from rich.text import Text

from reelstream import child_process
from reelstream.broker.embedded import EmbeddedBroker
from reelstream.cli.options import broker_address, broker_directory, err
from reelstream.cli.serve import served
from reelstream.errors import BrokerUnavailable, HeldBack, ReelstreamError
from reelstream.serve.listener import check_token, listening
from reelstream.settings import Settings
from reelstream.store.recommendations import RecommendationsStore
from reelstream.stream.ingest import BatchReport
from reelstream.stream.run import Stream
from reelstream.stream.trigger import Trigger

LOG_EVERY_S = 10.0
REFIT_NICENESS = 10
"""Of a refit that has a version before it: ingestion and answers come first."""
WATCH_S = 0.1


class Say(Protocol):
    """Says how it stands; `often` marks what is said at each micro-batch."""

    def __call__(self, text: str, often: bool = False) -> None: ...


def up(settings: Settings, *, accept_data_loss: bool = False, serve: bool = True) -> None:
    """Broker (unless one is given), stream, refits, HTTP API and page, until Ctrl-C."""
    if serve:
        check_token(settings)
        listening(settings).close()
    with _ending() as ending, ExitStack() as stack, _say("starting …") as say:
        own = embedded_broker(settings, ending.check) if not settings.bootstrap_servers else None
        broker = stack.enter_context(own) if own else None
        address = settings.bootstrap_servers or broker_address(settings)
        say(f"Kafka at {address}; starting Spark …")
        stream = stack.enter_context(_stream(settings, address, say, accept_data_loss, ending.check))
        stack.enter_context(Trigger(settings, refit_in_child(settings)))
        url = stack.enter_context(served(settings, address, _tell))(ending.check) if serve else None
        page = f"page at {url}; " if url else ""
        say(f"{page}Kafka at {address}; tables in {settings.warehouse}; ready, Ctrl-C ends")
        _until_asked(ending, stream, broker)
        say("ending in order …")


def stream(settings: Settings, *, accept_data_loss: bool = False) -> None:
    """The stream alone, on a broker that runs already."""
    with _ending() as ending, _say("starting Spark …") as say:
        address = broker_address(settings)
        with _stream(settings, address, say, accept_data_loss, ending.check) as running:
            say(f"Kafka at {address}; tables in {settings.warehouse}; ready, Ctrl-C ends")
            _until_asked(ending, running, None)


def broker(settings: Settings) -> None:
    """The embedded broker alone."""
    with _ending() as ending, _say("starting Kafka …") as say, embedded_broker(settings, ending.check) as running:
        say(f"Kafka at {running.bootstrap_servers}; data in {broker_directory(settings)}; Ctrl-C ends")
        _until_asked(ending, None, running)


def embedded_broker(settings: Settings, while_starting: Callable[[], None] = lambda: None) -> EmbeddedBroker:
    return EmbeddedBroker(
        broker_directory(settings), port=settings.broker_port, progress=err.print, while_starting=while_starting
    )


def refit_in_child(settings: Settings) -> Callable[[threading.Event], None]:
    """A function that refits in a process of its own and raises ReelstreamError with what it said, if it fails. One that
    is held back has not failed: it is in the status."""

    def refit(stopping: threading.Event) -> None:
        child = subprocess.Popen(
            child_process.command("refit", "--json"),
            env=child_process.environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        if RecommendationsStore(settings.warehouse).current_or_none():  # else everybody waits for it
            lower_priority(child.pid)
        said: list[str] = []
        reader = threading.Thread(target=lambda: said.extend(child.stderr or ()), daemon=True)
        reader.start()
        while child.poll() is None:
            if stopping.wait(0.1):
                child.terminate()
                child.wait()
        reader.join()
        if child.stderr:
            child.stderr.close()
        if child.returncode not in (0, HeldBack.exit_code) and not stopping.is_set():
            last = next((text.strip() for text in reversed(said) if text.strip()), "")
            raise ReelstreamError(last or f"the refit ended with exit code {child.returncode}")

    return refit


def lower_priority(pid: int) -> None:
    """Linux may share time between sessions and look at niceness only within each: then the session is told too (sched(7))."""
    os.setpriority(os.PRIO_PROCESS, pid, REFIT_NICENESS)
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(REFIT_NICENESS))


def line(report: BatchReport) -> str:
    """One micro-batch in a line."""
    return (
        f"batch {report.state.batch}: {report.accepted:,} ratings, {report.rejected:,} rejects, "
        f"{report.folded.users:,} users folded in, {report.seconds:.2f} s; {report.state.accepted:,} in all"
    )


def _stream(
    settings: Settings, address: str, say: Say, accept_data_loss: bool, while_starting: Callable[[], None]
) -> Stream:
    return Stream(
        settings,
        address,
        on_batch=lambda report: say(line(report), often=True),
        accept_data_loss=accept_data_loss,
        notice=_tell,
        while_starting=while_starting,
    )


class _Ending:
    """What Ctrl-C and SIGTERM do: they only leave a mark, any number of times. An exception raised wherever the program
    happens to be could leave a lock taken, or a call to Spark's JVM half done; so could an Event, which has a lock."""

    def __init__(self) -> None:
        self.asked = False
        self._answer_to(self._ask)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True

    def check(self) -> None:
        """Called between the steps of a start. Raises KeyboardInterrupt once it was asked to end."""
        if self.asked:
            raise KeyboardInterrupt

    def ignore(self) -> None:
        """While Python ends it would put the system's own answer back in the place of ours, but not of this one."""
        self._answer_to(signal.SIG_IGN)

    @staticmethod
    def _answer_to(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, handler)


@contextmanager
def _ending() -> Iterator[_Ending]:
    """Being asked to end is how these commands end, so it is no error."""
    ending = _Ending()
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield ending
    finally:
        ending.ignore()


def _until_asked(ending: _Ending, stream: Stream | None, broker: EmbeddedBroker | None) -> None:
    while not ending.asked:
        if stream and stream.wait(0):
            return
        if broker and not broker.alive():
            raise BrokerUnavailable(f"the broker has ended by itself; its log is {broker.log_path}.")
        time.sleep(WATCH_S)


@contextmanager
def _say(first: str) -> Iterator[Say]:
    """One status line that changes in place on a terminal; elsewhere lines in a log, one each LOG_EVERY_S at the most.

    Nobody reading, or a deleted log, is no reason to stop.
    """
    if err.is_terminal:
        with err.status(first) as status:
            yield lambda text, often=False: status.update(Text(text))
        return
    last = -LOG_EVERY_S

    def log(text: str, often: bool = False) -> None:
        nonlocal last
        now = time.monotonic()
        if often and now - last < LOG_EVERY_S:
            return
        last = now
        _tell(text)

    log(first)
    yield log


def _tell(text: str) -> None:
    with contextlib.suppress(OSError):
        err.print(text, soft_wrap=True, markup=False)
