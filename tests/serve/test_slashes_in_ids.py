"""Ids with a slash: each route finds its user and its movie by %2F, on a real server that posts to a real broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from reelstream.batch.refit import refit
from reelstream.settings import Settings, load
from reelstream.store.ratings import RatingsStore
from tests.fixtures import text_ids
from tests.serve.conftest import served
from tests.serve.test_answers import get

USER, MOVIE = "shop/7 %2F/é", "a/b"
USER_PATH, MOVIE_PATH = (quote(own, safe="") for own in (USER, MOVIE))


@pytest.fixture
def settings(warehouse: Path, bootstrap_servers: str, topic: str) -> Settings:
    """The two camps, and USER among the first, who rated MOVIE, as others did."""
    text_ids.published(warehouse)
    theirs = [(user, MOVIE, 5.0) for user in text_ids.USER_IDS[::2]]
    text_ids.take(
        RatingsStore(warehouse), [*theirs, *((USER, movie, 5.0) for movie in (MOVIE, *text_ids.MOVIE_IDS[:5]))]
    )
    settings = load(warehouse=warehouse, bootstrap_servers=bootstrap_servers, topic=topic)
    refit(settings, force=True)
    return settings


@pytest.fixture
def client(settings: Settings) -> Iterator[httpx.Client]:
    with (
        served(settings, lambda: settings.bootstrap_servers or "") as url,
        httpx.Client(base_url=url, timeout=30) as one,
    ):
        yield one


def test_every_route_reads_by_it(client: httpx.Client) -> None:
    user, movie = f"/v1/users/{USER_PATH}", f"/v1/movies/{MOVIE_PATH}"

    answer = get(client, f"{user}/recommendations")
    assert (answer["user_id"], answer["source"]) == (USER, "refit")
    assert MOVIE in [one["movie_id"] for one in get(client, f"{user}/ratings")["ratings"]]
    for path in (f"{user}/predictions/{MOVIE_PATH}", f"{user}/because/{MOVIE_PATH}"):
        assert (get(client, path)["user_id"], get(client, path)["movie_id"]) == (USER, MOVIE)
    assert get(client, movie)["movie_id"] == MOVIE
    for path in (f"{movie}/similar", f"{movie}/next"):
        assert get(client, path)["movie_id"] == MOVIE


def test_it_is_rated_dismissed_and_hidden_by_it(client: httpx.Client) -> None:
    ratings, dismissed = (f"/v1/users/{USER_PATH}/{what}" for what in ("ratings", "dismissed"))
    ids = {"user_id": USER, "movie_id": MOVIE}

    assert client.put(f"{ratings}/{MOVIE_PATH}", json={"rating": 1.5}).json().items() >= ids.items()
    assert {one["movie_id"]: one["rating"] for one in get(client, ratings)["ratings"]}[MOVIE] == 1.5
    assert client.delete(f"{ratings}/{MOVIE_PATH}").json()["rating"] is None
    assert MOVIE not in [one["movie_id"] for one in get(client, ratings)["ratings"]]
    assert client.put(f"{dismissed}/{MOVIE_PATH}").json().items() >= ids.items()
    assert [one["movie_id"] for one in get(client, dismissed)["movies"]] == [MOVIE]
    assert client.delete(f"{dismissed}/{MOVIE_PATH}").json()["dismissed"] is False
    assert client.put(f"/v1/hidden/{MOVIE_PATH}").json() == {"movie_id": MOVIE, "hidden": True}
    assert [one["movie_id"] for one in get(client, "/v1/hidden")["movies"]] == [MOVIE]
    assert client.delete(f"/v1/hidden/{MOVIE_PATH}").json() == {"movie_id": MOVIE, "hidden": False}


def test_a_slash_parts_the_path_and_what_is_no_id_is_refused(client: httpx.Client) -> None:
    for path in ("/v1/movies/a/b", "/v1%2Fmovies/a%2Fb", "/v1/movies%2Fa%2Fb", "/page%2Fapp.js"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["detail"]) == (404, "Not Found"), path
    for path in ("/v1/movies/%1F%2F", "/v1/movies/%2F%20", "/v1/movies/" + "%2F" * 201):
        assert client.get(path).status_code == 422, path
    assert client.get("/v1/movies/%2F").json()["detail"].startswith("there is no movie")
    assert client.get("/v1/movies/a%252Fb").status_code == 404
    assert client.get("/v1/movies/%ED%B0%AF%2f").status_code == 404


def test_figures_name_the_route_and_not_the_id(client: httpx.Client) -> None:
    get(client, f"/v1/movies/{MOVIE_PATH}")

    assert 'route="/v1/movies/{movie_id}"' in client.get("/metrics").text
