"""A movie that a user dismisses is off the next list, whether or not a stream has taken it yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from reelstream.settings import Settings
from reelstream.store.ratings import RatingsStore
from reelstream.stream.fold_in import FoldInStage
from tests.fixtures.camps import FIRST_MOVIE
from tests.fixtures.rows import dismissals, ratings, rejects
from tests.serve.conftest import client_of, publish, served
from tests.serve.test_answers import get, ids

KNOWN, NEW = 7, 7_000_000


@pytest.fixture
def settings(warehouse: Path, bootstrap_servers: str, topic: str) -> Settings:
    return publish(warehouse, bootstrap_servers=bootstrap_servers, topic=topic)


@pytest.fixture
def client(settings: Settings) -> Iterator[httpx.Client]:
    with client_of(settings) as one:
        yield one


def listed(client: httpx.Client, user_id: int = KNOWN, n: int = 12) -> list[int]:
    return ids(get(client, f"/v1/users/{user_id}/recommendations", n=n))


@pytest.mark.parametrize("user_id", [KNOWN, NEW])
def test_the_next_list_is_without_it_and_has_it_when_that_is_taken_back(client: httpx.Client, user_id: int) -> None:
    [first, *others] = listed(client, user_id)
    path = f"/v1/users/{user_id}/dismissed"

    answer = client.put(f"{path}/{first}").json()

    assert (answer["user_id"], answer["movie_id"], answer["dismissed"]) == (user_id, first, True)
    assert listed(client, user_id)[:11] == others
    group = get(client, "/v1/groups/recommendations", user_id=[user_id, 9], n=80)
    assert first not in ids(group)
    [movie] = get(client, path)["movies"]
    assert (movie["movie_id"], movie["dismissed_at"]) == (first, None)
    assert movie["title"] == get(client, f"/v1/movies/{first}")["title"]
    assert get(client, f"/v1/users/{user_id}/ratings")["total"] == (0 if user_id == NEW else len(_rated(client)))
    assert client.delete(f"{path}/{first}").json()["dismissed"] is False
    assert listed(client, user_id) == [first, *others]
    assert get(client, path)["movies"] == []


def _rated(client: httpx.Client) -> list[int]:
    return [one["movie_id"] for one in get(client, f"/v1/users/{KNOWN}/ratings", n=1000)["ratings"]]


def test_when_the_stream_has_it_the_published_list_answers(client: httpx.Client, settings: Settings) -> None:
    [first, second, *_] = listed(client)
    places = [client.put(f"/v1/users/{KNOWN}/dismissed/{movie}").json() for movie in (first, second)]
    of_overlay = listed(client)
    store, stage = RatingsStore(settings.warehouse), FoldInStage(settings)
    stage.refresh()
    for number, (place, movie) in enumerate(zip(places, (first, second), strict=True)):
        at = {"offset": place["offset"], "partition": place["partition"], "topic": settings.topic}
        stage.dismissed.append(dismissals((KNOWN, movie, True, number), **at), store.state().batch + 1)
    ends = {settings.topic: {place["partition"]: place["offset"] + 1 for place in places}}
    state = store.append(ratings(), rejects(), ends, others=2)
    assert listed(client) == of_overlay  # stored, and not folded in yet
    stage.fold(ratings(), state.batch, stage.dismissed.users_since(0))

    assert listed(client) == of_overlay
    assert {one["movie_id"] for one in get(client, f"/v1/users/{KNOWN}/dismissed")["movies"]} == {first, second}
    assert all(one["dismissed_at"] for one in get(client, f"/v1/users/{KNOWN}/dismissed")["movies"])
    client.delete(f"/v1/users/{KNOWN}/dismissed/{second}")
    assert listed(client)[0] == second


def test_without_a_broker_nothing_is_kept(tmp_path: Path) -> None:
    with served(publish(tmp_path / "warehouse")) as url, httpx.Client(base_url=url, timeout=30) as client:
        assert client.put(f"/v1/users/7/dismissed/{FIRST_MOVIE}").status_code == 503
        assert get(client, "/v1/users/7/dismissed")["movies"] == []
