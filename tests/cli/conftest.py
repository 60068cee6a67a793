from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from reelstream.cli import options
from reelstream.cli.main import run


class Answer(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Reelstream = Callable[..., Answer]


@pytest.fixture
def reelstream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Reelstream:
    """The command, as its console script runs it: 80 columns wide, in an empty directory, no variable of ours set."""
    for name in list(os.environ):
        if name.startswith("REELSTREAM_") and name != "REELSTREAM_SELF_TUNING":
            monkeypatch.delenv(name)
    directory = tmp_path / "cwd"
    directory.mkdir()
    monkeypatch.chdir(directory)
    for console in (options.out, options.err):
        monkeypatch.setattr(console, "_width", 80)

    def ask(*words: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["reelstream", *map(str, words)])
        capsys.readouterr()
        code = 0
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            run()
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            # A command that ends leaves them ignored, and children would inherit that.
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return Answer(code, *capsys.readouterr())

    return ask
