"""The Chromium that the tests of the page and `bench.page` drive.

In: CHROMIUM, PATH, what playwright has fetched. Out: a browser. Next: the tests of the page, `bench.page`.
`python -m tools.chromium` gets one where there is none: by apt, as root on Debian; else by playwright's own download.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from reelstream.broker import apt
from reelstream.errors import MissingRequirement

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> Path | None:
    """CHROMIUM, else one on PATH that runs, else playwright's own; None if there is none."""
    given = os.environ.get("CHROMIUM")
    candidates = [given] if given else [shutil.which(name) for name in NAMES]
    return next((Path(path) for path in (*candidates, _of_playwright()) if path and _runs(path)), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser that runs as long as the block. Raises MissingRequirement where there is none."""
    from playwright.sync_api import sync_playwright

    path = find_chromium()
    if not path:
        raise MissingRequirement(
            f"there is no Chromium; `{sys.executable} -m tools.chromium` gets one, or set CHROMIUM."
        )
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # it does not work for root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=sandbox)
        try:
            yield browser
        finally:
            browser.close()


def ensure_chromium(tell: Callable[[str], None]) -> Path:
    """Raises MissingRequirement that says what to do where none can be had, or where playwright can't drive it."""
    _ensure_driver(tell)
    found = find_chromium()
    if found:
        return found
    # Ubuntu's package of this name only fetches a snap, which needs a running snapd.
    not_installed = "its package here is a snap" if _is_ubuntu() else apt.install(["chromium"], tell)
    if not_installed:
        tell("fetching playwright's Chromium, about 170 MB, once …")
        words = [
            "install",
            *(["--with-deps"] if _is_ubuntu() and not apt.why_not() else []),
            "--only-shell",
            "chromium",
        ]
        fetched = subprocess.run(
            [sys.executable, "-m", "playwright", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if fetched.returncode:
            why = next(
                (line for line in (fetched.stderr + fetched.stdout).splitlines() if "rror" in line), "no reason given"
            )
            raise MissingRequirement(
                f"no Chromium to test the page with: {not_installed}, and playwright's own can't be fetched ({why.strip()}); "
                "install one (Debian: apt install chromium), or set CHROMIUM to its path."
            )
    found = find_chromium()
    if not found:
        raise MissingRequirement(
            "the Chromium that was installed does not run; set CHROMIUM to the path of one that does."
        )
    return found


def _ensure_driver(tell: Callable[[str], None]) -> None:
    """playwright's driver is a Node.js of its own, which needs a library that a bare Debian lacks."""
    lacks = _driver_error()
    if lacks and "libatomic" in lacks:
        apt.install(["libatomic1"], tell)
        lacks = _driver_error()
    if lacks:
        raise MissingRequirement(
            f"playwright, which tests the page, does not run ({lacks}); on Debian or Ubuntu: apt install libatomic1."
        )


def _driver_error() -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "playwright", "--version"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.stderr.strip().rpartition("\n")[2] or "no reason given" if ran.returncode else ""


def _of_playwright() -> str | None:
    """The newest that playwright has fetched, by the places that its documentation names."""
    caches = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    browsers = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or caches / "ms-playwright")
    found = [*browsers.glob("chromium*/*/chrome"), *browsers.glob("chromium*/*/*headless*shell")]
    return str(max(found, key=lambda path: path.stat().st_mtime)) if found else None


def _runs(path: str) -> bool:
    try:
        return subprocess.run([path, "--version"], capture_output=True, check=False, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _is_ubuntu() -> bool:
    try:
        return "ID=ubuntu" in Path("/etc/os-release").read_text("utf-8").splitlines()
    except OSError:
        return False


def main() -> int:
    def tell(line: str) -> None:
        sys.stderr.write(f"{line}\n")

    try:
        tell(str(ensure_chromium(tell)))
    except MissingRequirement as missing:
        tell(f"reelstream: {missing}")
        return missing.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
