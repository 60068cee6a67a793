from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reelstream.batch import training as training
from reelstream.store.ratings import RatingsStore
from tests.fixtures.camps import add, camps, fill


@pytest.fixture
def store(warehouse: Path) -> RatingsStore:
    """The ratings of the two camps."""
    return fill(warehouse, camps())


def test_the_newest_fifth_of_each_user_is_held_out_and_the_rest_only_grows(store: RatingsStore) -> None:
    rng = np.random.default_rng(0)
    learned: set[tuple[int, int]] = set()
    for batch in range(4):
        data = training.load(store)
        pairs = list(zip(data.user_id.tolist(), data.movie_id.tolist(), strict=True))
        held_out = data.held_out()
        for user in np.unique(data.user_id):
            mine = data.user_id == user
            assert held_out[mine].sum() == mine.sum() // 5
            if held_out[mine].any():
                assert data.rated_at_ms[mine & held_out].min() >= data.rated_at_ms[mine & ~held_out].max()
        before, learned = learned, {pair for pair, out in zip(pairs, held_out, strict=True) if not out}
        assert before <= learned
        users = rng.integers(1, 70, 40)
        add(store, *((int(user), 5000 + 100 * batch + i, 4.0) for i, user in enumerate(users)))


def test_of_many_users_some_are_held_out_and_those_that_no_longer_are_are_learned(
    warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "HELD_OUT_USERS", 20)
    store = fill(warehouse, camps(n_users=60))
    first = training.load(store)
    users = set(first.user_id[first.held_out()].tolist())
    assert 5 <= len(users) <= 25
    fill(warehouse, camps(n_users=150))

    more = training.load(store)

    fewer = set(more.user_id[more.held_out()].tolist())
    assert fewer & set(range(1, 61)) < users
    assert 5 <= len(fewer) <= 25


def test_the_latest_of_two_ratings_is_trained_on(store: RatingsStore) -> None:
    user_id, movie_id, _ = camps()
    add(store, (int(user_id[0]), int(movie_id[0]), 0.5))

    data = training.load(store)

    assert len(data.rating) == len(user_id)
    assert data.rating[0] == 0.5  # sorted by user, then movie
