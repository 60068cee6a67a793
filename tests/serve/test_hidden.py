from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from reelstream.settings import Settings
from tests.fixtures.camps import FIRST_MOVIE
from tests.serve.conftest import publish, served
from tests.serve.test_answers import get, ids


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return publish(tmp_path_factory.mktemp("hidden") / "warehouse")


@pytest.fixture
def client(settings: Settings) -> Iterator[httpx.Client]:
    with served(settings) as url, httpx.Client(base_url=url, timeout=30) as one:
        yield one


def test_a_movie_is_hidden_and_shown_by_the_next_answer(client: httpx.Client) -> None:
    movie = ids(get(client, "/v1/users/7/recommendations", n=12))[0]
    routes = ("/v1/users/7/recommendations", "/v1/users/99/recommendations", "/v1/popular")
    before = {route: ids(get(client, route, n=12)) for route in routes}

    assert client.put(f"/v1/hidden/{movie}").json() == {"movie_id": movie, "hidden": True}

    for route in routes:
        after = ids(get(client, route, n=12))
        assert movie not in after
        assert len(after) == 12
    [hidden] = get(client, "/v1/hidden")["movies"]
    assert hidden["movie_id"] == movie
    assert hidden["title"] == get(client, f"/v1/movies/{movie}")["title"]
    assert get(client, f"/v1/movies/{movie}")["hidden"]
    assert client.delete(f"/v1/hidden/{movie}").json() == {"movie_id": movie, "hidden": False}
    assert get(client, "/v1/hidden")["movies"] == []
    assert {route: ids(get(client, route, n=12)) for route in routes} == before


def test_what_ratings_of_hidden_movies_add_is_among_the_others(client: httpx.Client) -> None:
    path = f"/v1/users/7/because/{FIRST_MOVIE}"
    before = get(client, path, n=50)
    client.put(f"/v1/hidden/{before['reasons'][0]['movie_id']}")

    after = get(client, path, n=50)

    assert before["others"]["count"] == 0
    assert after["reasons"] == before["reasons"][1:]
    assert (after["score"], after["others"]["count"]) == (before["score"], 1)
    assert after["others"]["part"] == before["reasons"][0]["part"]
    client.delete(f"/v1/hidden/{before['reasons'][0]['movie_id']}")


def test_a_token_guards_it_like_every_other_route(tmp_path: Path) -> None:
    whole = publish(tmp_path / "warehouse", serve_token="secret" * 4)
    with served(whole) as url:
        assert httpx.put(f"{url}/v1/hidden/{FIRST_MOVIE}").status_code == 401
        assert httpx.get(f"{url}/v1/hidden").status_code == 401
