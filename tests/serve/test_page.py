"""The page as its users see it, in a real Chromium: before a real stream, and against hostile titles and failures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from reelstream.broker.loopback import choose_ports
from reelstream.settings import Settings, load
from reelstream.store.quality import QualityStore
from tests.fixtures.camps import FIRST_MOVIE
from tests.fixtures.live_quality import minutes
from tests.fixtures.processes import reelstream, wait_until
from tests.serve.conftest import publish, served
from tests.serve.test_errors import TOKEN
from tools.chromium import chromium

WAIT_MS = 30_000
VIEWS = {"#/": "#recommendations li", f"#/movie/{FIRST_MOVIE}": "#similar li", "#/pipeline": "#live-quality svg"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that fails its test on any error in the browser's console."""
    context = browser.new_context()
    one = context.new_page()
    one.set_default_timeout(WAIT_MS)
    wrong: list[str] = []
    one.on("pageerror", lambda error: wrong.append(str(error)))
    one.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    yield one
    context.close()
    assert not [text for text in wrong if "Failed to load resource" not in text]


@pytest.fixture
def broken(settings: Settings) -> Iterator[str]:
    with served(settings) as url:
        yield url


@pytest.fixture
def settings(warehouse: Path, bootstrap_servers: str, topic: str) -> Settings:
    QualityStore(warehouse).append(minutes(8))
    return publish(warehouse, bootstrap_servers=bootstrap_servers, topic=topic)


@pytest.fixture
def url(settings: Settings) -> Iterator[str]:
    with served(settings, lambda: settings.bootstrap_servers or "") as address:
        yield address


def movies(page: Page, of: str = "#recommendations") -> list[str]:
    return page.locator(f"{of} li .what > a").all_inner_texts()


def rate(page: Page, words: str, stars: float) -> str:
    """Searches, rates the first movie that is found, waits for the list that counts it; returns the movie's title."""
    page.get_by_label("Search movies").fill(words)
    first = page.locator("#results > li").first
    expect(first).to_contain_text(re.compile(re.escape(words), re.IGNORECASE))
    count = int(re.search(r"with (\d+)", page.locator("#who").inner_text())[1])  # type: ignore[index]
    before = page.locator("#freshness").get_attribute("data-ms")
    first.locator("label").nth(round(stars * 2) - 1).click()
    expect(page.locator("#who")).to_contain_text(f"with {count + 1} rating")
    if before is None:
        page.wait_for_selector("#freshness[data-ms]")
    title = first.locator(".what > a").inner_text()
    expect(page.locator("#recommendations")).not_to_contain_text(title)
    return title


def test_a_movie_is_dismissed_and_that_is_taken_back(url: str, page: Page) -> None:
    page.goto(url)
    expect(page.locator("#source")).to_contain_text("what most people liked")
    [first, second, *_] = movies(page)
    expect(page.locator("#dismissed")).to_be_hidden()

    page.get_by_role("button", name=f"Not interested in {first}").click()
    expect(page.locator("#recommendations > li").first).to_contain_text(second)
    expect(page.locator("#undo")).to_contain_text(f"{first} is off your lists.")
    expect(page.locator("#recommendations")).not_to_contain_text(first)
    page.reload()
    expect(page.locator("#recommendations > li").first).to_contain_text(second)
    page.get_by_text("Not interested (1)").click()
    assert movies(page, "#dismissed") == [first]

    page.locator("#dismissed a").click()
    expect(page.locator("#away")).to_contain_text("It is off your lists.")
    page.get_by_role("button", name=f"Recommend {first} again").click()
    expect(page.get_by_role("button", name=f"Not interested in {first}")).to_be_visible()
    page.get_by_role("link", name="Back to your list").click()
    expect(page.locator("#recommendations > li").first).to_contain_text(first)
    expect(page.locator("#dismissed")).to_be_hidden()


def test_a_new_user_rates_five_movies_before_a_running_pipeline(settings: Settings, page: Page) -> None:
    port, _ = choose_ports(None, None)
    up = load(**{**settings.model_dump(exclude_none=True), "serve_port": port})
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(f"{address}/ready").status_code == 200
        except httpx.TransportError:
            return False

    with reelstream(up, "up") as process:
        wait_until(answers, "the page is served", process)
        page.goto(address)
        expect(page.locator("#source")).to_contain_text("what most people liked")
        first = movies(page)
        rated = [rate(page, f"movie number {number} ", 5) for number in (10, 20, 30, 40, 50)]
        expect(page.locator("#source")).to_contain_text("your ratings as they are now")
        expect(page.locator("#freshness")).to_have_text(re.compile(r"Counts your last rating, \d+ ms after it"))
        last = movies(page)
        assert last != first
        assert not set(last) & set(rated)
        assert set(movies(page, "#ratings")) == set(rated)
        who = page.locator("#who").inner_text()

        page.locator("#recommendations").get_by_role("button", name=re.compile("^Why")).first.click()
        expect(page.locator("#recommendations .reasons").first).to_contain_text(
            re.compile(r"\d+ % you gave Movie number")
        )

        user_id = int(re.search(r"user (\d+)", who)[1])  # type: ignore[index]
        stored = f"{address}/v1/users/{user_id}/ratings"
        wait_until(
            lambda: all(one["rated_at"] for one in httpx.get(stored).json()["ratings"]), "all are stored", process
        )
        page.reload()
        expect(page.locator("#who")).to_have_text(who)
        page.wait_for_selector("#recommendations li")
        expect(page.locator("#source")).to_contain_text("your ratings as they are now")
        assert movies(page) == last
        assert set(movies(page, "#ratings")) == set(rated)

        page.get_by_role("link", name="Pipeline").click()
        expect(page.locator("#live-state")).to_have_text("running")
        expect(page.locator("#live-accepted")).to_have_text(re.compile(r"^\d,\d{3}$|^\d{3}$"))
        expect(page.locator("#charts svg")).to_have_count(3)
        expect(page.locator("#live-quality svg")).to_have_count(3)
        expect(page.locator("#live-quality figcaption").nth(0)).to_have_text(
            re.compile(r"RMSE.*95 % interval 0\.\d+ to")
        )
    assert process.returncode == 0


def test_a_rating_given_elsewhere_changes_the_list_without_a_reload(page: Page, url: str) -> None:
    page.goto(url)
    rate(page, "movie number 10 ", 5)
    before = movies(page)
    user_id = re.search(r"user (\d+)", page.locator("#who").inner_text())[1]  # type: ignore[index]

    for number in (21, 31, 41, 51):
        rating = {"movie_id": FIRST_MOVIE + number, "rating": 5}
        assert httpx.post(f"{url}/v1/users/{user_id}/ratings", json=rating).status_code == 201

    expect(page.locator("#recommendations li .what > a").first).not_to_have_text(before[0])


def test_a_rating_is_changed_and_taken_back(page: Page, url: str) -> None:
    page.goto(url)
    title = rate(page, "movie number 10 ", 5)
    own = page.locator("#ratings > li")
    own.locator("label").nth(2).click()
    expect(own.locator("output")).to_have_text("1.5")
    own.get_by_role("button", name=f"Take back your rating of {title}").click()
    expect(own).to_have_count(0)
    expect(page.locator("#source")).to_contain_text("what most people liked")


SCALES = {
    "thumbs": ({"rating_min": 0, "rating_max": 1}, "% thumbs up"),
    "likes": ({"rating_min": 1, "rating_max": 1}, ""),
    "points": ({"rating_min": 0, "rating_max": 100}, "of 100"),
    "stars": ({"rating_min": 1, "rating_max": 10}, "★"),
}
"""By kind: settings, and a word of what is expected of a movie."""


@pytest.mark.parametrize("kind", SCALES)
def test_every_scale_has_its_own_control(
    browser: Browser, warehouse: Path, bootstrap_servers: str, topic: str, kind: str
) -> None:
    scale, expected = SCALES[kind]
    settings = publish(warehouse, bootstrap_servers=bootstrap_servers, topic=topic, **scale)
    with served(settings, lambda: bootstrap_servers) as url:
        page = browser.new_context(viewport={"width": 360, "height": 800}, bypass_csp=True).new_page()
        page.set_default_timeout(WAIT_MS)
        page.goto(url)
        assert httpx.get(f"{url}/v1/settings").json()["kind"] == kind
        expect(page.locator("#recommendations .expected").first).to_contain_text(expected)
        page.get_by_label("Search movies").fill("movie number 10 ")
        row = page.locator("#results > li").first
        rated = row.locator("fieldset")
        expect(rated.get_by_role("button", name="Take back your rating of Movie number 10 (1990)")).to_be_hidden()
        user_id = re.search(r"user (\d+)", page.locator("#who").inner_text())[1]  # type: ignore[index]
        given: float = scale["rating_max"]
        if kind == "thumbs":
            given = 0
            rated.locator("label", has_text="Thumbs down").click()
            expect(rated.get_by_label("Thumbs down")).to_be_checked()
        elif kind == "likes":
            rated.get_by_role("button", name="Like").press("Enter")
            expect(rated.get_by_role("button", name="Like")).to_have_attribute("aria-pressed", "true")
        elif kind == "points":
            given = 51
            slider = rated.get_by_role("slider", name="Rating")
            expect(slider).to_have_attribute("aria-valuetext", "not rated")
            slider.press("ArrowRight")
            expect(slider).to_have_attribute("aria-valuetext", "51 of 100")
        else:
            expect(rated.locator("label")).to_have_count(10)
            rated.locator("label").nth(9).click()
        expect(page.locator("#ratings > li")).to_have_count(1)
        page.wait_for_selector("#freshness[data-ms]")

        [stored] = httpx.get(f"{url}/v1/users/{user_id}/ratings").json()["ratings"]
        assert stored["rating"] == given
        found = Axe().run(page).response["violations"]
        assert not [one for one in found if one["impact"] in ("serious", "critical")]
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.locator("#recommendations").get_by_role("button", name=re.compile("^Why")).first.click()
        page.wait_for_selector(".reasons li, .reasons p")
        page.context.close()


def test_a_known_user_filters_the_list_and_looks_at_a_movie(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_label("Known user").fill("7")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#who")).to_contain_text("You are user 7")
    expect(page.locator("#source")).to_contain_text("from the last refit")
    page.get_by_label("Genre").select_option("Comedy")
    expect(page.locator("#recommendations .genres").first).to_contain_text("Comedy")
    for text in page.locator("#recommendations .genres").all_inner_texts():
        assert "Comedy" in text

    page.locator("#recommendations li .what > a").first.click()
    expect(page.locator("h1")).to_be_focused()
    expect(page).to_have_title(re.compile(r"^Movie number .* · reelstream$"))
    expect(page.locator("#similar > li").first).to_be_visible()
    expect(page.locator("#next > li")).to_have_count(6)
    expect(page.locator("#expected")).to_contain_text("Expected from your ratings")


def test_the_keyboard_is_enough(page: Page, url: str) -> None:
    page.goto(url)
    page.wait_for_selector("#recommendations li")
    page.get_by_label("Search movies").focus()
    page.keyboard.type("movie number 10")
    page.wait_for_selector("#results > li")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#ratings > li output")).to_have_text("4.5")
    page.wait_for_selector("#freshness[data-ms]")


def test_a_hostile_title_is_only_text(page: Page, url: str) -> None:
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    page.goto(f"{url}/#/movie/{FIRST_MOVIE + 2}")

    expect(page.locator("h1")).to_have_text("<script>alert(1)</script> (1982)")
    assert page.locator("main script").count() == 0


def test_what_goes_wrong_is_said_and_the_rating_is_shown_as_it_is(page: Page, broken: str) -> None:
    page.goto(broken)
    page.wait_for_selector("#recommendations li")
    page.get_by_label("Search movies").fill("matrix")
    page.locator("#results > li label").nth(9).click()

    expect(page.get_by_role("alert")).to_contain_text("No broker runs")
    expect(page.locator("#results > li input:checked")).to_have_count(0)
    expect(page.locator("#who")).to_contain_text("0 ratings")


def test_the_token_is_asked_for_once(page: Page, tmp_path: Path) -> None:
    with served(publish(tmp_path / "warehouse", serve_token=TOKEN)) as url:
        asked: list[str] = []

        def answer(dialog: object) -> None:
            asked.append(dialog.message)  # type: ignore[attr-defined]
            dialog.accept(TOKEN)  # type: ignore[attr-defined]

        page.on("dialog", answer)
        page.goto(url)
        page.wait_for_selector("#recommendations li")
        page.reload()
        page.wait_for_selector("#recommendations li")
        page.get_by_role("link", name="Pipeline").click()
        expect(page.locator("#live-version")).to_contain_text("version 1")
    assert len(asked) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_stands_in_the_way_of_anybody(browser: Browser, url: str, scheme: str, width: int) -> None:
    """axe's rules for WCAG, and no view that is wider than the screen."""
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme=scheme,  # type: ignore[arg-type]
        bypass_csp=True,  # axe is put into the page
    )
    page = context.new_page()
    for view, shown in VIEWS.items():
        page.goto(f"{url}/{view}")
        page.wait_for_selector(shown)
        if view == "#/":
            rate(page, "movie number 10 ", 5)
            page.locator("#recommendations").get_by_role("button", name=re.compile("^Why")).first.click()
            page.wait_for_selector(".reasons li")
        found = Axe().run(page).response["violations"]
        assert not [one for one in found if one["impact"] in ("serious", "critical")], view
        assert page.evaluate("document.documentElement.scrollWidth") <= width, view
    context.close()
