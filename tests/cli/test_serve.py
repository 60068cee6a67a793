"""`reelstream serve` as a process: it says where it is, answers, and ends in order; `up` keeps one running."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from reelstream.cli.main import app
from reelstream.cli.serve import served
from reelstream.settings import Settings, load, to_env
from tests.fixtures.processes import running, wait_until
from tests.serve.conftest import publish


@contextmanager
def serve(settings: Settings, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and the first line that it says."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "reelstream", "serve", *words],
        env={**os.environ, **to_env(settings)},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    assert process.stdin
    try:
        yield process, process.stderr.readline()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
        process.stdin.close()


def url_in(said: str) -> str:
    found = re.fullmatch(r"reelstream serves (http://127\.0\.0\.1:\d+); Ctrl-C ends\n", said)
    assert found, said
    return found[1]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return publish(tmp_path_factory.mktemp("serve") / "warehouse")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_answers_and_ends_in_order_though_somebody_listens(settings: Settings, number: int) -> None:
    with serve(settings) as (process, said):
        url = url_in(said)
        assert httpx.get(f"{url}/v1/users/7/recommendations").json()["source"] == "refit"
        assert f"page       {url}" in status(settings)
        with httpx.stream("GET", f"{url}/v1/events") as listening:
            lines = listening.iter_lines()
            next(lines)
            process.send_signal(number)
            assert process.wait(20) == 0
    assert "page " not in status(settings)


def status(settings: Settings) -> str:
    return CliRunner().invoke(app, ["status", "--warehouse", str(settings.warehouse)]).stdout


def test_it_ends_with_its_standard_input_where_that_is_asked_for(settings: Settings) -> None:
    with serve(settings, "--while-stdin") as (process, said):
        url_in(said)
        assert process.stdin
        process.stdin.close()
        assert process.wait(20) == 0


def test_a_missing_token_a_taken_port_and_no_warehouse_are_one_sentence(settings: Settings, tmp_path: Path) -> None:
    with serve(settings) as (_, said):
        port = url_in(said).rpartition(":")[2]
        with serve(settings, "--port", port) as (second, error):
            assert "give another --port" in error
            assert second.wait(20) == 2
    with serve(settings, "--host", "0.0.0.0") as (process, error):
        assert "REELSTREAM_SERVE_TOKEN" in error
        assert process.wait(20) == 2
    with serve(load(warehouse=tmp_path / "none")) as (process, error):
        assert "there is no warehouse" in error
        assert process.wait(20) == 3


def test_one_that_is_killed_is_started_again_and_the_last_one_ends_with_the_block(settings: Settings) -> None:
    told: list[str] = []
    with served(settings, "127.0.0.1:1", told.append) as url_of:
        first = url_of()
        assert first
        pid = server_of(first)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: any("started again" in text for text in told), "it is told")
        wait_until(lambda: (url_of() or "") and answers(url_of() or ""), "another one answers")
        second = server_of(url_of() or "")
        assert second != pid
    assert not running({second})


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/live").status_code == 200
    except httpx.TransportError:
        return False


def server_of(url: str) -> int:
    """The id of the process that listens there, by its command line and its parent, which is this one."""
    port = int(url.rpartition(":")[2])
    inode = next(
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
    )
    for fd in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(fd.readlink()) == f"socket:[{inode}]":
                return int(fd.parts[2])
        except OSError:
            continue
    raise AssertionError(f"nobody listens on {port}")
