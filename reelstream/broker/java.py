"""Finds the Java that runs the embedded broker and Spark.

In: JAVA_HOME, PATH, the usual places, and what was fetched. Out: the path of a `java` that fits: new enough, and with the
module that Spark asks for at its start. Next: `reelstream.broker.java_setup` gets one where there is none.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from reelstream.broker.cache_directory import cache_directory
from reelstream.errors import MissingRequirement

OLDEST_VERSION = 17
NEEDED_MODULE = "jdk.incubator.vector"
ASK_TIMEOUT_S = 30


class _Java(NamedTuple):
    """What a `java` says of itself: `version` 0 where it does not run; `unfit` is why it can't be used, or empty."""

    version: int
    path: Path
    unfit: str


def find_java() -> Path:
    """The Java of JAVA_HOME, else of PATH, if it fits; else the newest that fits. As `JAVA_HOME/bin/java`.

    Raises MissingRequirement that says what to do if there is none.
    """
    asked: dict[Path, _Java] = {}
    for chosen in _runnable(_chosen()):
        asked[chosen] = _ask(chosen)
        if not asked[chosen].unfit:
            return asked[chosen].path
    asked |= {path: _ask(path) for path in _runnable(_installed()) if path not in asked}
    fitting = [java for java in asked.values() if not java.unfit]
    if fitting:
        return max(fitting, key=lambda java: java.version).path
    unfit = "; ".join(f"{path} {java.unfit}" for path, java in asked.items())
    raise MissingRequirement(
        f"Java {OLDEST_VERSION} or newer is needed and {f'none fits ({unfit})' if unfit else 'none was found'}; "
        f"`{sys.executable} -m reelstream.broker.java_setup` gets one; or install it (Debian or Ubuntu: apt install "
        "openjdk-17-jre-headless; Fedora: dnf install java-21-openjdk-headless; macOS: brew install --cask temurin), or "
        "point JAVA_HOME at one."
    )


def _chosen() -> Iterator[Path]:
    home = os.environ.get("JAVA_HOME")
    if home:
        yield Path(home) / "bin" / "java"
    on_path = shutil.which("java")
    if on_path:
        yield Path(on_path)


def _installed() -> Iterator[Path]:
    if sys.platform == "darwin":
        yield from _macos_homes()
    for directory in (*usual_places(), fetched_javas()):
        yield from sorted(directory.glob("*/bin/java"))
        yield from sorted(directory.glob("*/Contents/Home/bin/java"))


def usual_places() -> tuple[Path, ...]:
    """Directories that hold one directory for each installed Java."""
    return Path("/usr/lib/jvm"), Path("/usr/java"), Path("/opt/java"), Path("/opt/homebrew/opt"), Path("/usr/local/opt")


def fetched_javas() -> Path:
    """The directory that holds one directory for each Java that `reelstream.broker.java_setup` fetched."""
    return cache_directory() / "java"


def _macos_homes() -> Iterator[Path]:
    tool = Path("/usr/libexec/java_home")
    if not tool.is_file():
        return
    answer = subprocess.run([tool, "-v", f"{OLDEST_VERSION}+"], capture_output=True, text=True, check=False)
    if answer.returncode == 0 and answer.stdout.strip():
        yield Path(answer.stdout.strip()) / "bin" / "java"


def _runnable(paths: Iterator[Path]) -> Iterator[Path]:
    return (path for path in paths if path.is_file() and os.access(path, os.X_OK))


def _ask(candidate: Path) -> _Java:
    return _ask_once(candidate, candidate.stat().st_mtime_ns)


@functools.cache
def _ask_once(candidate: Path, _mtime_ns: int) -> _Java:
    # The properties tell the real home even where `candidate` is the shim script of a version manager.
    questions = ["-XshowSettings:properties", "-version"]
    answer, failed = _run(candidate, f"--add-modules={NEEDED_MODULE}", *questions)
    has_module = not failed
    if failed:
        answer, failed = _run(candidate, *questions)
    version = re.search(r'version "(?:1\.)?(\d+)', answer)
    if failed or not version:
        return _Java(0, candidate, f"does not run ({failed or 'it names no version'})")
    home = re.search(r"^\s*java\.home = (.+)$", answer, re.MULTILINE)
    own = Path(home[1].strip()) / "bin" / "java" if home else candidate.resolve()
    major = int(version[1])
    unfit = f"is Java {major}" if major < OLDEST_VERSION else "" if has_module else f"has no module {NEEDED_MODULE}"
    return _Java(major, own if own.is_file() else candidate.resolve(), unfit)


def _run(candidate: Path, *words: str) -> tuple[str, str]:
    """(what it says, why it failed or nothing)."""
    try:
        ran = subprocess.run(
            [str(candidate), *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=ASK_TIMEOUT_S,
            start_new_session=True,  # Ctrl-C in the terminal does not reach it
        )
    except OSError as error:
        return "", error.strerror or str(error)
    except subprocess.TimeoutExpired:
        return "", f"no answer in {ASK_TIMEOUT_S} s"
    return ran.stderr + ran.stdout, f"exit code {ran.returncode}" if ran.returncode else ""
