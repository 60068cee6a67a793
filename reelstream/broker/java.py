"""Finds the Java that runs the embedded broker and Spark.

In: JAVA_HOME, PATH and the usual places. Out: the path of a `java` that is new enough.
Next: `reelstream.broker.jars`.

The set-up also runs this file by its path, before anything is installed: standard library only.
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

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from reelstream.errors import MissingRequirement

OLDEST_VERSION = 17
ASK_TIMEOUT_S = 30


def find_java() -> Path:
    """The first Java ≥ 17 of JAVA_HOME, PATH and the usual places, as `JAVA_HOME/bin/java`.

    Raises MissingRequirement that says what to install if there is none.
    """
    too_old = []
    for candidate in _candidates():
        version, java = _ask(candidate)
        if version >= OLDEST_VERSION:
            return java
        if version:
            too_old.append(f"{candidate} is Java {version}")
    found = f"only too old ones are here ({'; '.join(too_old)})" if too_old else "none was found"
    raise MissingRequirement(
        f"Java {OLDEST_VERSION} or newer is needed and {found}; install it (Debian or Ubuntu: apt install "
        "openjdk-17-jre-headless; Fedora: dnf install java-21-openjdk-headless; macOS: brew install --cask temurin), "
        "or point JAVA_HOME at one."
    )


def _candidates() -> Iterator[Path]:
    """Every `java` worth asking, best first, each once."""
    seen = set()
    for path in _places():
        if path not in seen and path.is_file() and os.access(path, os.X_OK):
            seen.add(path)
            yield path


def _places() -> Iterator[Path]:
    home = os.environ.get("JAVA_HOME")
    if home:
        yield Path(home) / "bin" / "java"
    on_path = shutil.which("java")
    if on_path:
        yield Path(on_path)
    if sys.platform == "darwin":
        yield from _macos_homes()
    for folder in usual_places():
        yield from sorted(folder.glob("*/bin/java"), reverse=True)


def usual_places() -> tuple[Path, ...]:
    """Folders that hold one folder for each installed Java."""
    return Path("/usr/lib/jvm"), Path("/usr/java"), Path("/opt/java"), Path("/opt/homebrew/opt"), Path("/usr/local/opt")


def _macos_homes() -> Iterator[Path]:
    tool = Path("/usr/libexec/java_home")
    if not tool.is_file():
        return
    answer = subprocess.run([tool, "-v", f"{OLDEST_VERSION}+"], capture_output=True, text=True, check=False)
    if answer.returncode == 0 and answer.stdout.strip():
        yield Path(answer.stdout.strip()) / "bin" / "java"


def _ask(candidate: Path) -> tuple[int, Path]:
    """(major version, its own `bin/java`) of a Java; version 0 if it does not run."""
    return _ask_once(candidate, candidate.stat().st_mtime_ns)


@functools.cache
def _ask_once(candidate: Path, _mtime_ns: int) -> tuple[int, Path]:
    # The properties tell the real home even where `candidate` is the shim script of a version manager.
    command = [str(candidate), "-XshowSettings:properties", "-version"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=ASK_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return 0, candidate
    said = answer.stderr + answer.stdout
    version = re.search(r'version "(?:1\.)?(\d+)', said)
    if answer.returncode or not version:
        return 0, candidate
    home = re.search(r"^\s*java\.home = (.+)$", said, re.MULTILINE)
    own = Path(home[1].strip()) / "bin" / "java" if home else candidate.resolve()
    return int(version[1]), own if own.is_file() else candidate.resolve()


if __name__ == "__main__":
    try:
        find_java()
    except MissingRequirement as missing:
        sys.stderr.write(f"reelstream: {missing}\n")
        sys.exit(missing.exit_code)
