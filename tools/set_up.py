"""The set-up of `make`: a virtual environment, a Java, the Kafka jars, and for the tests a Chromium.

    python3 tools/set_up.py demo|test [VENV]

1. what the machine must bring   2. the virtual environment, with uv in it   3. side by side: packages, Java, jars
4. side by side: Spark, which has to be built, the compiled kernels, and a Chromium for the tests
Every step shows how it stands, and an earlier set-up that was interrupted is continued. Standard library only: nothing is
installed yet. Ends with 0, with 4 and one sentence if something can't be had, with 130 after Ctrl-C.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from reelstream.broker import apt  # noqa: E402

OLDEST_PYTHON = (3, 11)
NEEDED_MB = {"demo": 2600, "test": 3600}
SHOW_EVERY_S = 0.2
LOG_EVERY_S = 5.0
EXIT_MISSING, EXIT_INTERRUPTED = 4, 130


class Missing(Exception):
    """Something that the set-up needs can't be had; the message says what to do."""


class Interruption:
    """What Ctrl-C does: it only leaves a mark. An exception, wherever the program happens to be, could come between the
    start of a command and the moment from which it is known."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGINT, self._ask)

    def _ask(self, _number: int, _frame: object) -> None:
        self.asked = True

    def check(self) -> None:
        if self.asked:
            raise KeyboardInterrupt


class Step:
    """A command that runs beside others; `state` is what to show of it."""

    def __init__(
        self, name: str, command: Sequence[str | Path], read: Callable[[str], str | None] | None = None
    ) -> None:
        self.name = name
        self.state = "…"
        self.error = ""
        self.seconds = 0.0
        self._read = read or (lambda line: line)
        self._since = time.monotonic()
        self._process = subprocess.Popen(
            list(map(str, command)),
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._follow, daemon=True)
        self._reader.start()

    @property
    def runs(self) -> bool:
        return self._reader.is_alive()

    def end(self) -> None:
        """Ends the command and all that it started."""
        try:
            os.killpg(self._process.pid, signal.SIGTERM)
        except ProcessLookupError:
            return
        self._process.wait()

    def _follow(self) -> None:
        said = []
        with self._process as process:
            for line in process.stderr or ():
                said.append(line.strip())
                self.state = self._read(line.strip()) or self.state
        code = self._process.returncode
        self.seconds = time.monotonic() - self._since
        if code:
            ours = [line.removeprefix("reelstream: ") for line in said if line.startswith("reelstream: ")]
            self.error = ours[-1] if ours else " ".join(line for line in said[-3:] if line) or f"exit code {code}"


class Screen:
    """One line that shows all running steps on a terminal; elsewhere a line now and then."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._started_at = self._logged_at = time.monotonic()

    def show(self, steps: Sequence[Step]) -> None:
        states = "  ·  ".join(f"{step.name}: {step.state}" for step in steps if step.runs)
        now = time.monotonic()
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write("\r\x1b[K" + f"{now - self._started_at:3.0f} s  {states}"[:width])
        elif now - self._logged_at > LOG_EVERY_S:
            self._logged_at = now
            sys.stderr.write(f"  {states}\n")
        sys.stderr.flush()

    def say(self, line: str) -> None:
        if self._terminal:
            sys.stderr.write("\r\x1b[K")
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def main(purpose: str, venv: Path) -> int:
    screen, interruption = Screen(), Interruption()
    steps: list[Step] = []
    try:
        check_machine(purpose)  # 1
        python = make_venv(venv, screen)  # 2
        interruption.check()
        requirements = ROOT / "requirements" / f"{'dev' if purpose == 'test' else 'demo'}.txt"
        wheels = Step("packages", [python, "-m", "tools.packages", "wheels", requirements])  # 3
        java = Step("Java", [python, "-m", "reelstream.broker.java_setup"])
        jars = Step("Kafka jars", [python, "-m", "reelstream.broker.jars"])
        steps += [wheels, java, jars]
        wait(steps, screen, interruption, until=wheels)
        steps.append(Step("Spark", [python, "-m", "tools.packages", "all", requirements]))  # 4
        steps.append(Step("kernels", [python, "-m", "reelstream.als"], lambda _line: "compiling"))
        if purpose == "test":
            steps.append(Step("Chromium", [python, "-m", "tools.chromium"]))
        wait(steps, screen, interruption)
    except (Missing, KeyboardInterrupt) as error:
        if interruption.asked:
            screen.say("interrupted; the next make goes on from here")
            return EXIT_INTERRUPTED
        screen.say(f"reelstream: {error}")
        return EXIT_MISSING
    finally:
        for step in steps:
            if step.runs:
                step.end()
    return 0


def check_machine(purpose: str) -> None:
    if sys.version_info < OLDEST_PYTHON:
        raise Missing(
            f"Python {sys.version.split()[0]} is too old; install Python 3.11 or newer, or run make PYTHON=python3.11."
        )
    free_mb = shutil.disk_usage(ROOT).free // 10**6
    if free_mb < NEEDED_MB[purpose]:
        raise Missing(f"this disk has {free_mb} MB left; the set-up needs {NEEDED_MB[purpose]}. Free some first.")


def make_venv(venv: Path, screen: Screen) -> Path:
    """The environment's Python; pip and uv are in it, uv with its pinned hash."""
    python = venv / "bin" / "python"
    if not (venv / "bin" / "uv").exists():
        try:
            import ensurepip  # noqa: F401  Debian has it in a package of its own
        except ImportError:
            version = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
            not_installed = apt.install([version, "python3-venv"], screen.say)
            if not_installed:
                raise Missing(
                    f"Python's venv is missing, and {not_installed}; on Debian or Ubuntu: apt install python3-venv."
                ) from None
        screen.say(f"setting up {venv}; the packages are downloaded once …")
        run([sys.executable, "-m", "venv", venv], "the virtual environment can't be made")
        pip: list[str | Path] = [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--require-hashes",
        ]
        run([*pip, "-r", ROOT / "requirements" / "bootstrap.txt"], "uv can't be installed; check the network")
    return python


def run(command: Sequence[str | Path], failed: str) -> None:
    ran = subprocess.run(
        list(map(str, command)),
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        said = [line for line in (ran.stdout + ran.stderr).splitlines() if re.search("error|no matching", line, re.I)]
        raise Missing(f"{failed} ({said[-1].strip() if said else f'exit code {ran.returncode}'}).")


def wait(steps: Sequence[Step], screen: Screen, interruption: Interruption, until: Step | None = None) -> None:
    """Until the one step is done, or all are. Raises Missing as soon as one fails, KeyboardInterrupt after Ctrl-C."""
    told = [step for step in steps if step.seconds]
    while any(step.runs for step in steps) if until is None else until.runs:
        time.sleep(SHOW_EVERY_S)
        interruption.check()
        for step in steps:
            if step.error:
                raise Missing(step.error)
            if not step.runs and step not in told:
                told.append(step)
                screen.say(f"{step.name}: done in {step.seconds:.0f} s")
        screen.show(steps)
    for step in steps:
        if step.error:
            raise Missing(step.error)


def environment() -> dict[str, str]:
    """What the user has set for pip counts for uv too."""
    return {**os.environ, "PYTHONPATH": "", "PYTHONUNBUFFERED": "1"}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2] if len(sys.argv) > 2 else ".venv")))
