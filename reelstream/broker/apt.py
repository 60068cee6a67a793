"""Packages of Debian and Ubuntu, installed where that is possible and allowed.

In: package names. Out: installed packages, or the reason why not. Next: `reelstream.broker.java_setup`.
Standard library only: the set-up uses it before anything is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from os import geteuid

FORBIDDEN = "REELSTREAM_NO_INSTALL"
LOCK_TIMEOUT_S = 600


def why_not() -> str:
    """Why nothing can be installed system-wide; empty if it can."""
    if os.environ.get(FORBIDDEN, "0") not in ("", "0"):
        return f"{FORBIDDEN} forbids to install it"
    if not shutil.which("apt-get"):
        return "this system has no apt-get"
    return "" if geteuid() == 0 else "installing it needs root"


def install(choices: Sequence[str], tell: Callable[[str], None]) -> str:
    """Installs the first of these packages that this system's archives have. Returns why not, or an empty string.

    `tell` gets a line that says what is installed system-wide, before it is.
    """
    reason = why_not()
    if reason:
        return reason
    package = _first_available(choices)
    if not package:
        failed = _apt("update")
        package = _first_available(choices)
        if not package:
            return failed or f"apt knows none of {', '.join(choices)}"
    tell(f"installing {package} on this system by apt ({FORBIDDEN}=1 forbids it) …")
    return _apt("install", "-y", "--no-install-recommends", package)


def _first_available(choices: Sequence[str]) -> str | None:
    for package in choices:
        shown = subprocess.run(["apt-cache", "show", package], capture_output=True, check=False)
        if shown.returncode == 0 and shown.stdout:
            return package
    return None


def _apt(*words: str) -> str:
    """The last error line if it fails, else an empty string. Waits for another apt that is under way."""
    ran = subprocess.run(
        ["apt-get", "-q", "-o", f"DPkg::Lock::Timeout={LOCK_TIMEOUT_S}", *words],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode == 0:
        return ""
    said = [line for line in (ran.stdout + ran.stderr).splitlines() if line.startswith(("E:", "W:"))]
    return f"apt-get {words[0]} failed ({said[0][3:].strip() if said else f'exit code {ran.returncode}'})"
