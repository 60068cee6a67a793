"""How soon the list changes in the browser: from the click on a star until the list that counts it is drawn.

    python -m bench.page [--clicks 100]

`reelstream up` with the 100,004 real ratings and a published version serves the page to a real Chromium, in which a new user
rates movie after movie. The page itself takes the time, from the click until the list has changed and the browser has drawn
the frame. Chromium: $CHROMIUM, or the one that `python -m tools.chromium` finds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
from playwright.sync_api import Page

from bench._report import print_report
from bench.freshness import replay_all
from bench.pipeline import running, temporary_settings, wait_until_stored
from reelstream.batch.refit import refit
from reelstream.broker.loopback import choose_ports
from reelstream.cli.demo import real_ratings
from reelstream.store.movies import MoviesStore, read_csv
from tools.chromium import chromium

WORDS = ("star", "love", "man", "night", "king", "last", "american", "dead", "life", "story", "day", "girl", "city")

# The click is taken before the page sees it, the change of the list after it is made; two frames later it is drawn.
WATCH = """() => {
  window.took = [];
  let clicked = null;
  document.addEventListener('click', (event) => {
    if (event.target.closest('.stars label')) clicked = performance.now();
  }, true);
  const fresh = document.getElementById('freshness');
  new MutationObserver(() => {
    if (clicked === null) return;
    const from = clicked;
    clicked = null;
    requestAnimationFrame(() => requestAnimationFrame(() => window.took.push(performance.now() - from)));
  }).observe(fresh, { attributes: true, childList: true });
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clicks", type=int, default=100)
    asked = parser.parse_args()
    started = time.perf_counter()
    port, _ = choose_ports(None, None)
    with (
        temporary_settings(refit_after_ratings=10**9, refit_after_minutes=10**6, serve_port=port) as settings,
        tempfile.TemporaryDirectory() as directory,
        running(settings, "up") as live,
    ):
        ratings, movies = real_ratings(Path(directory))
        MoviesStore(live.warehouse).load(read_csv(movies))
        wait_until_stored(live, replay_all(live, ratings))
        refit(live)
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url)
        with chromium() as browser:
            took = clicks(browser.new_page(bypass_csp=True), url, asked.clicks)
    p50, p95 = (float(q) for q in np.quantile(took, (0.5, 0.95)))
    print_report(
        "page",
        {
            "clicks": len(took),
            "click_to_list_ms": {"median": round(p50, 1), "p95": round(p95, 1), "max": round(max(took), 1)},
            "mean_ms": round(statistics.mean(took), 1),
        },
        seconds=time.perf_counter() - started,
    )


def clicks(page: Page, url: str, number: int) -> list[float]:
    """Milliseconds of each click on a star of a movie that was not rated before."""
    page.goto(url)
    page.wait_for_selector("#recommendations li")
    page.evaluate(WATCH)
    rated: set[str] = set()
    for done in range(1, number + 1):
        for word in WORDS[done % len(WORDS) :] + WORDS:
            page.get_by_label("Search movies").fill(word)
            page.wait_for_timeout(350)
            row = next(
                (one for one in page.locator("#results > li").all() if one.get_attribute("data-key") not in rated), None
            )
            if row is not None:
                break
        else:
            raise SystemExit("no unrated movie is found any more; ask for fewer --clicks")
        rated.add(row.get_attribute("data-key") or "")
        row.locator("label").nth(5 + done % 5).click()
        page.wait_for_function("done => window.took.length === done", arg=done)
    took: list[float] = page.evaluate("window.took")
    return took


def wait_until_ready(url: str, limit_s: float = 60.0) -> None:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/ready"):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    raise SystemExit("the page is not served; run reelstream up by hand to see why")


if __name__ == "__main__":
    main()
