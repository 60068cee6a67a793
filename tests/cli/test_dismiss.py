from __future__ import annotations

import json
from pathlib import Path

import pytest

from reelstream.store.dismissed import DismissedStore
from reelstream.store.ratings import RatingsStore
from tests.cli.conftest import Reelstream
from tests.fixtures.published import PULP_FICTION, TITLES, TOY_STORY, publish
from tests.fixtures.rows import dismissals
from tests.producer.topic import records_of


@pytest.fixture
def published(tmp_path: Path) -> Path:
    publish(tmp_path / "warehouse")
    return tmp_path / "warehouse"


def test_movies_are_dismissed_by_id_and_title_and_taken_back(
    reelstream: Reelstream, published: Path, bootstrap_servers: str, topic: str
) -> None:
    at = ("--warehouse", published, "--bootstrap-servers", bootstrap_servers, "--topic", topic)

    said = reelstream("dismiss", 1, PULP_FICTION, "Toy Story", *at)
    again = reelstream("dismiss", 1, PULP_FICTION, "--undo", "--json", *at)

    never = "".join(f"{TITLES[movie]}: never recommended to user 1.\n" for movie in (PULP_FICTION, TOY_STORY))
    assert (said.code, said.out) == (0, never)
    assert said.err.startswith("The lists do not count it yet: no stream runs on this warehouse")
    assert again.json == {"user_id": 1, "movies": [PULP_FICTION], "dismissed": False, "counted": False}
    events = [json.loads(record.value) for record in records_of(bootstrap_servers, topic)]
    sent = [(event["action"], event["user_id"], event["movie_id"]) for event in events]
    assert sent == [("dismiss", 1, PULP_FICTION), ("dismiss", 1, TOY_STORY), ("undismiss", 1, PULP_FICTION)]
    assert RatingsStore(published).state().accepted == 3


def test_what_a_user_has_dismissed_is_listed(reelstream: Reelstream, published: Path) -> None:
    at = ("--warehouse", published)
    assert reelstream("dismiss", 1, *at) == (0, "", "User 1 has dismissed no movie.\n")

    DismissedStore(published).append(dismissals((1, TOY_STORY, True, 1000), (2, PULP_FICTION, True, 1000)), 1)

    table = reelstream("dismiss", 1, *at)
    assert (table.code, table.err) == (0, "")
    assert TITLES[TOY_STORY] in table.out
    assert TITLES[PULP_FICTION] not in table.out
    [one] = reelstream("dismiss", 1, "--json", *at).json
    assert (one["movie_id"], one["title"]) == (TOY_STORY, TITLES[TOY_STORY])
    listed = reelstream("recommend", 1, "-n", 3, "--json", *at).json
    assert TOY_STORY not in {movie["movie_id"] for movie in listed}
