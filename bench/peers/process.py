"""The parent's side of a contestant's process.

In: a Job and the Python that has its library. Out: answers to orders. Next: `compare` gives the orders.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.peers.protocol import Job

ROOT = Path(__file__).resolve().parents[2]
AT_HOME = ("ours", "mllib")
"""They run in this Python."""
OWN_THREADS = ("implicit", "cmfrec")
"""They start threads that each call BLAS, which must not start more."""
END_S = 30
INSTALL = """Install the peers, then give --peers-python peers/bin/python:
    python -m venv peers && peers/bin/pip install -r requirements/peers.txt"""


class Worker:
    """`bench.peers.worker` for one contestant; a context manager that ends it."""

    def __init__(self, job: Job, python: Path) -> None:
        self.job = job
        self.python = Path(sys.executable if job.library in AT_HOME else python).absolute()

    def __enter__(self) -> Worker:
        try:
            self.process = subprocess.Popen(
                [self.python, "-m", "bench.peers.worker", json.dumps(asdict(self.job))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
                env={**os.environ, **thread_limits(self.job)},
            )
        except OSError as error:
            raise SystemExit(f"{self.python} does not start ({error.strerror}). {INSTALL}") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self.process.stdin
        assert self.process.stdout
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        finally:
            self.process.stdout.close()

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """The answer to one order. Raises SystemExit if the library is missing or fails."""
        assert self.process.stdin
        assert self.process.stdout
        print(f"{self.job.name}: {do}", file=sys.stderr, flush=True)
        try:
            print(json.dumps({"do": do, **more}), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            raise SystemExit(self._ended()) from None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(self._ended())
        answer: dict[str, Any] = json.loads(line)
        if "missing" in answer:
            raise SystemExit(f"{self.python} cannot import {self.job.library} ({answer['missing']}). {INSTALL}")
        if "error" in answer:
            raise SystemExit(f"{self.job.name} failed at {do}:\n{answer['error']}")
        return answer

    def _ended(self) -> str:
        code = self.process.wait()
        return f"the process of {self.job.name} ended with code {code}; what it said is above."


def thread_limits(job: Job) -> dict[str, str]:
    """Environment by which all libraries use as many threads."""
    blas = "1" if job.library in OWN_THREADS else str(job.threads)
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "LK_NUM_THREADS")
    one = ("LK_NUM_PROCS", "LK_NUM_BACKEND_THREADS")
    return {"OPENBLAS_NUM_THREADS": blas, **dict.fromkeys(names, str(job.threads)), **dict.fromkeys(one, "1")}
