"""What a user does now counts, though what is stored of the user comes from a clock that is ahead."""

from __future__ import annotations

from pathlib import Path

import pytest

from reelstream.store.dismissed import DismissedStore
from reelstream.store.own_times import OwnTimes, now_ms
from reelstream.store.ratings import RatingsStore
from tests.fixtures.rows import dismissals, ratings, rejects

HOUR_MS = 3_600_000


@pytest.fixture
def ahead_ms(warehouse: Path) -> int:
    """A movie rated 9 hours from now by user 1, one dismissed 10 hours from now by user 2; user 3 is forgotten up to then."""
    at_ms = now_ms() + 9 * HOUR_MS
    store = RatingsStore(warehouse)
    store.append(ratings((1, 10, 4.0), rated_at_ms=at_ms), rejects(), {"ratings": {0: 1}}, [(3, at_ms)])
    DismissedStore(warehouse).append(dismissals((2, 10, True, at_ms + HOUR_MS)), 1)
    return at_ms


def test_it_is_later_than_what_is_stored_of_the_same_movie_and_else_now(warehouse: Path, ahead_ms: int) -> None:
    times = OwnTimes(warehouse)

    rated, other = times.to_rate(1, [10, 11])
    dismissed, another = times.to_dismiss(2, [10, 11])

    assert (rated, dismissed) == (ahead_ms + 1, ahead_ms + HOUR_MS + 1)
    assert max(other, another, times.to_forget(4)) < ahead_ms - 8 * HOUR_MS


def test_a_request_to_be_forgotten_covers_all_that_is_stored(warehouse: Path, ahead_ms: int) -> None:
    times = OwnTimes(warehouse)

    assert [times.to_forget(user) for user in (1, 2)] == [ahead_ms, ahead_ms + HOUR_MS]


def test_who_was_forgotten_by_a_clock_that_was_ahead_can_come_back(warehouse: Path, ahead_ms: int) -> None:
    times = OwnTimes(warehouse)

    assert times.to_rate(3, [10, 11]) + times.to_dismiss(3, [12]) == [ahead_ms + 1] * 3
