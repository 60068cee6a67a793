"""A rating that was acknowledged counts at once, whether or not a stream has taken it yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from reelstream.broker.loopback import choose_ports
from reelstream.serve import acknowledged
from reelstream.serve.acknowledged import AcknowledgedRatings
from reelstream.settings import Settings
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from reelstream.store.schemas import REJECTS, USERS
from reelstream.store.updates import Updates
from reelstream.stream.fold_in import FoldInStage
from tests.fixtures.camps import FIRST_MOVIE
from tests.fixtures.rows import ratings
from tests.serve.conftest import client_of, publish, served

USER = 7_000_000


@pytest.fixture
def settings(warehouse: Path, bootstrap_servers: str, topic: str) -> Settings:
    return publish(warehouse, bootstrap_servers=bootstrap_servers, topic=topic)


@pytest.fixture
def client(settings: Settings) -> Iterator[httpx.Client]:
    with client_of(settings) as one:
        yield one


def listed(client: httpx.Client, user_id: int = USER, **query: Any) -> dict[str, Any]:
    answer = client.get(f"/v1/users/{user_id}/recommendations", params={"n": 12, **query})
    assert answer.status_code == 200, answer.text
    value: dict[str, Any] = answer.json()
    return value


def ids(answer: dict[str, Any]) -> list[int]:
    return [movie["movie_id"] for movie in answer["movies"]]


def test_the_next_list_counts_what_was_acknowledged(client: httpx.Client) -> None:
    assert listed(client)["source"] == "popular"
    rated = [FIRST_MOVIE + 2 * i for i in range(5)]
    for movie_id in rated:
        answer = client.post(f"/v1/users/{USER}/ratings", json={"movie_id": movie_id, "rating": 5})
        assert answer.status_code == 201
        value = listed(client)
        assert value["source"] == "fold_in"
        assert movie_id not in ids(value)
    assert all((movie - FIRST_MOVIE) % 2 == 0 for movie in ids(listed(client)))
    given = {"ratings": [{"movie_id": movie_id, "rating": 5} for movie_id in rated]}
    same = client.post("/v1/visitors/recommendations", params={"n": 12}, json=given).json()
    assert ids(same) == ids(listed(client))
    because = client.get(f"/v1/users/{USER}/because/{ids(same)[0]}").json()
    assert {one["movie_id"] for one in because["reasons"]} == set(rated)
    group = client.get("/v1/groups/recommendations", params={"user_id": [USER, USER + 1], "n": 12}).json()
    assert ids(group) == ids(same)


def test_a_rating_on_a_scale_that_is_wider_than_the_versions_counts(settings: Settings) -> None:
    wider = settings.model_copy(update={"rating_max": 10.0})
    with client_of(wider) as client:
        assert client.put(f"/v1/users/{USER}/ratings/{FIRST_MOVIE}", json={"rating": 8}).status_code == 200

        assert listed(client)["source"] == "fold_in"
        assert FIRST_MOVIE not in ids(listed(client))


def test_a_change_and_a_deletion_count_too(client: httpx.Client) -> None:
    path = f"/v1/users/{USER}/ratings/{FIRST_MOVIE}"
    assert client.put(path, json={"rating": 5}).json()["rating"] == 5
    assert client.put(path, json={"rating": 0.5}).status_code == 200
    kept = client.get(f"/v1/users/{USER}/ratings").json()["ratings"]
    assert [(one["movie_id"], one["rating"], one["rated_at"]) for one in kept] == [(FIRST_MOVIE, 0.5, None)]
    assert client.get(f"/v1/users/{USER}/predictions/{FIRST_MOVIE}").json()["rated"] == 0.5
    taken_back = client.delete(path)
    assert (taken_back.status_code, taken_back.json()["rating"]) == (200, None)
    assert client.get(f"/v1/users/{USER}/ratings").json()["total"] == 0
    assert listed(client)["source"] == "popular"


def test_a_known_users_new_rating_leaves_the_list(client: httpx.Client) -> None:
    before = listed(client, 7)
    assert before["source"] == "refit"
    assert client.put(f"/v1/users/7/ratings/{ids(before)[0]}", json={"rating": 4}).status_code == 200

    after = listed(client, 7)
    assert after["source"] == "fold_in"
    assert ids(before)[0] not in ids(after)
    assert listed(client, 9)["source"] == "refit"


def test_when_the_stream_has_folded_it_in_the_published_list_answers(client: httpx.Client, settings: Settings) -> None:
    posted = client.put(f"/v1/users/{USER}/ratings/{FIRST_MOVIE}", json={"rating": 5}).json()
    of_overlay = listed(client)
    store, fold_in = RatingsStore(settings.warehouse), FoldInStage(settings)
    fold_in.refresh()
    rows = ratings((USER, FIRST_MOVIE, 5.0), partition=posted["partition"], offset=posted["offset"])
    state = store.append(rows, REJECTS.empty_table(), {settings.topic: {posted["partition"]: posted["offset"] + 1}})
    assert ids(listed(client)) == ids(of_overlay)  # stored, and not folded in yet
    fold_in.fold(rows, state.batch)

    published = listed(client)
    version = RecommendationsStore(settings.warehouse).current()
    [as_of] = set(Updates(version.path).read([USER])["as_of"].to_pylist())
    assert ids(published) == ids(of_overlay)
    assert published["as_of"] == as_of.isoformat()  # the list in the file, not one computed now


def test_only_the_newest_of_a_movie_waits_and_only_what_the_store_has_not(settings: Settings) -> None:
    waiting = AcknowledgedRatings(settings.warehouse, settings.topic)
    assert waiting.pending(1) is None
    waiting.add(1, [(5, 3.0)], [(0, 11)])
    waiting.add(1, [(5, 1.0)], [(0, 10)])  # a slower thread brings an older one
    waiting.add(1, [(6, None)], [(0, 12)])
    assert waiting.pending(1) == {5: 3.0, 6: None}
    store = RatingsStore(settings.warehouse)
    store.append(ratings((1, 5, 3.0)), REJECTS.empty_table(), {settings.topic: {0: 12}})
    assert waiting.pending(1) == {6: None}
    store.append(ratings((1, 5, 3.0)), REJECTS.empty_table(), {settings.topic: {0: 13}})
    assert waiting.pending(1) == {}
    version = RecommendationsStore(settings.warehouse).current()
    Updates(version.path).append(USERS.empty_table(), store.state().batch)
    assert waiting.pending(1) is None
    assert not waiting.waits(1)


def test_a_bounded_number_of_users_waits(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acknowledged, "MAX_USERS", 2)
    waiting = AcknowledgedRatings(settings.warehouse, settings.topic)
    for user_id in (1, 2, 3):
        waiting.add(user_id, [(5, 3.0)], [(0, user_id)])

    assert [waiting.waits(user_id) for user_id in (1, 2, 3)] == [False, True, True]


def test_after_a_failure_it_connects_anew(settings: Settings) -> None:
    port, _ = choose_ports(None, None)
    addresses = iter([f"127.0.0.1:{port}", settings.bootstrap_servers or ""])
    with served(settings, lambda: next(addresses)) as url, httpx.Client(base_url=url, timeout=60) as client:
        path = f"/v1/users/{USER}/ratings/{FIRST_MOVIE}"
        refused = client.put(path, json={"rating": 5})
        assert (refused.status_code, refused.headers["content-type"]) == (503, "application/problem+json")
        assert client.get(f"/v1/users/{USER}/ratings").json()["total"] == 0
        assert client.put(path, json={"rating": 5}).status_code == 200
        assert client.put(path, json={"rating": 4}).status_code == 200  # on the same connection
