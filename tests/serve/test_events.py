"""Server-sent events: the pipeline, versions, and a user's list whenever it changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from reelstream.batch.refit import refit
from reelstream.serve.routes import events as routes
from reelstream.settings import Settings
from reelstream.store.ratings import RatingsStore
from reelstream.store.rollback import rollback
from tests.fixtures.camps import FIRST_MOVIE, add
from tests.serve.conftest import publish, served

Event = tuple[str, dict[str, Any]]


@pytest.fixture
def settings(warehouse: Path, bootstrap_servers: str, topic: str) -> Settings:
    return publish(warehouse, bootstrap_servers=bootstrap_servers, topic=topic, gate_margin=10)


@pytest.fixture
def url(settings: Settings) -> Iterator[str]:
    with served(settings, lambda: settings.bootstrap_servers or "") as address:
        yield address


def events(lines: Iterator[str]) -> Iterator[Event]:
    """(name, data) of each, as they come."""
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def next_of(happening: Iterator[Event], kind: str) -> dict[str, Any]:
    return next(data for name, data in happening if name == kind)


def test_it_begins_with_how_it_stands(url: str) -> None:
    answer = httpx.get(f"{url}/v1/events", params={"user_id": 7, "most": 3})

    assert answer.headers["content-type"].startswith("text/event-stream")
    first = dict(events(iter(answer.text.splitlines())))
    assert list(first) == ["pipeline", "version", "list"]
    assert first["pipeline"]["version"] == first["version"]["version"] == first["list"]["version"] == "000001"
    assert first["pipeline"]["ratings"]["accepted"] > 0
    assert first["pipeline"]["stream"] is None
    assert (first["list"]["user_id"], len(first["list"]["movies"])) == (7, 20)


def test_a_rollback_is_told(warehouse: Path) -> None:
    settings = publish(warehouse)
    refit(settings, force=True)
    with served(settings) as url:
        with httpx.stream("GET", f"{url}/v1/events", params={"user_id": 7}, timeout=30) as answer:
            happening = events(answer.iter_lines())
            assert next_of(happening, "version")["version"] == "000002"
            rollback(warehouse, reason="too many sequels")
            told: dict[str, dict[str, Any]] = {}
            while len(told) < 2:  # in either order
                name, data = next(happening)
                if name in ("pipeline", "list") and data["version"] == "000001":
                    told[name] = data
        versions = httpx.get(f"{url}/v1/versions").json()

    again = told["pipeline"]["rolled_back"]
    assert (again["from"], again["reason"]) == ("000002", "too many sequels")
    assert [row["state"] for row in versions["versions"]] == ["current", "rolled back"]
    assert versions["history"][-1]["rolled_back"] == {"from": "000002", "to": "000001", "reason": "too many sequels"}


def test_a_rating_and_a_new_version_are_told(url: str, settings: Settings) -> None:
    with httpx.stream("GET", f"{url}/v1/events?user_id=7", timeout=60) as answer:
        happening = events(answer.iter_lines())
        before = next_of(happening, "list")
        rated = before["movies"][0]["movie_id"]
        assert httpx.put(f"{url}/v1/users/7/ratings/{rated}", json={"rating": 5}).status_code == 200
        after = next_of(happening, "list")
        assert rated not in [movie["movie_id"] for movie in after["movies"]]

        add(RatingsStore(settings.warehouse), (3, FIRST_MOVIE + 5, 1.0))
        refit(settings)
        assert next_of(happening, "version")["version"] == "000002"


def test_a_list_that_does_not_change_is_told_once(url: str) -> None:
    answer = httpx.get(f"{url}/v1/events", params={"user_id": 7, "most": 5}, timeout=30)

    names = [name for name, _ in events(iter(answer.text.splitlines()))]
    assert names == ["pipeline", "version", "list", "pipeline", "pipeline"]


def test_before_the_first_version_and_with_a_damaged_store_the_pipeline_is_told(warehouse: Path) -> None:
    from reelstream.settings import load

    (warehouse / "ratings").mkdir(parents=True)
    with served(load(warehouse=warehouse)) as url:
        answer = httpx.get(f"{url}/v1/events", params={"user_id": 7, "most": 1})
        [(_, data)] = events(iter(answer.text.splitlines()))
        assert data["version"] is None
        (warehouse / "ratings" / "CURRENT").write_text("damaged")
    with served(load(warehouse=warehouse)) as url:
        answer = httpx.get(f"{url}/v1/events", params={"most": 1})
        [(_, data)] = events(iter(answer.text.splitlines()))
        assert "CURRENT" in data["error"]


def test_too_many_listeners_are_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "MAX_LISTENERS", 1)
    with httpx.stream("GET", f"{url}/v1/events", timeout=30) as first:
        lines = first.iter_lines()  # kept: when it goes, so does the connection
        next(lines)
        assert httpx.get(f"{url}/v1/events", params={"most": 1}).status_code == 503
