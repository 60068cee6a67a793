"""A real Chromium: the machine's own, or the one that playwright has installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Error, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@contextmanager
def chromium() -> Iterator[Browser]:
    """CHROMIUM names another one. Raises RuntimeError that says what to install where there is none."""
    path = os.environ.get("CHROMIUM") or next((found for name in NAMES if (found := shutil.which(name))), None)
    with sync_playwright() as playwright:
        options: dict[str, Any] = {"executable_path": path} if path else {}
        if os.geteuid() == 0:  # Chromium's sandbox does not work for root
            options["args"] = ["--no-sandbox"]
        try:
            browser = playwright.chromium.launch(**options)
        except Error as error:
            raise RuntimeError(
                "no Chromium to test the page with; install one (Debian, Ubuntu: apt install chromium), set CHROMIUM to its "
                "path, or run .venv/bin/playwright install chromium."
            ) from error
        try:
            yield browser
        finally:
            browser.close()
