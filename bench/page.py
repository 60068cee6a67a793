"""How soon the list changes in the browser: from the click on a star until the list that counts it is drawn.

    python -m bench.page [--clicks 100]

`reelstream up` with the 100,004 real ratings and a published version serves the page to a real Chromium, in which a new user
rates movie after movie. The page itself takes the time, from the click until the list has changed and the browser has drawn
the frame. Chromium: $CHROMIUM, or the one that `python -m tools.chromium` finds.
"""

from __future__ import annotations

import argparse
import urllib.error
import urllib.request
from contextlib import suppress

import numpy as np
from playwright.sync_api import Page

from bench.harness import Figures, options, real_pipeline, run, wait_until
from reelstream.broker.loopback import choose_ports
from tools.chromium import chromium

READY_S = 60.0
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
    parser = options(__doc__)
    parser.add_argument("--clicks", type=int, default=100)
    run("page", parser, measure)


def measure(asked: argparse.Namespace) -> Figures:
    port, _ = choose_ports(None, None)
    url = f"http://127.0.0.1:{port}"
    with real_pipeline("up", serve_port=port), chromium() as browser:
        wait_until(lambda: ready(url), "the page is not served; run reelstream up by hand to see why", READY_S)
        took = clicks(browser.new_page(bypass_csp=True), url, asked.clicks)
    quantiles = {"median": np.median(took), "p95": np.quantile(took, 0.95), "max": max(took)}
    return {
        "clicks": len(took),
        "click_to_list_ms": {name: round(float(ms), 1) for name, ms in quantiles.items()},
        "mean_ms": round(float(np.mean(took)), 1),
    }


def ready(url: str) -> bool:
    with suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(f"{url}/ready"):
        return True
    return False


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
            found = [one for one in page.locator("#results > li").all() if one.get_attribute("data-key") not in rated]
            if found:
                break
        else:
            raise SystemExit("no unrated movie is found any more; ask for fewer --clicks")
        rated.add(found[0].get_attribute("data-key") or "")
        found[0].locator("label").nth(5 + done % 5).click()
        page.wait_for_function("done => window.took.length === done", arg=done)
    took: list[float] = page.evaluate("window.took")
    return took


if __name__ == "__main__":
    main()
