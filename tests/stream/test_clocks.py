"""One nonsensical time changes no figure; clocks that are ahead are counted."""

from __future__ import annotations

import numpy as np

from reelstream.stream.clocks import AHEAD_MS, RECENT, Ahead, ahead_of_records, recent, waited_s

NOW_MS = 1_700_000_000_000


def test_a_wild_record_time_is_left_out_of_the_wait_and_counted() -> None:
    times = [NOW_MS - 40, NOW_MS - 30, NOW_MS - 20, NOW_MS // 1000, NOW_MS * 1000, -1]

    assert waited_s(np.array(times), NOW_MS) == (0.03, 3)


def test_no_wait_is_told_where_no_record_time_is_plausible() -> None:
    assert waited_s(np.array([NOW_MS // 1000]), NOW_MS) == (None, 1)


def test_records_of_a_clock_that_is_ahead_have_not_waited() -> None:
    assert waited_s(np.array([NOW_MS + 3_600_000]), NOW_MS) == (0.0, 0)


def test_ratings_far_ahead_of_their_records_are_counted() -> None:
    received = np.full(5, NOW_MS)
    rated = NOW_MS + np.array([-(10**11), 0, AHEAD_MS, 8 * 3_600_000, 10 * 3_600_000])

    assert ahead_of_records(rated, received) == Ahead(5, 2, 9 * 3600.0)
    assert ahead_of_records(rated[:0], received[:0]) == Ahead()


def test_the_newest_micro_batches_count_as_one() -> None:
    batches = [Ahead(9, 9, 70_000.0), Ahead(RECENT - 10, 3, 600.0), Ahead(8), Ahead(2, 1, 32_400.0)]

    assert recent(batches) == Ahead(RECENT, 4, 600.0)
    assert recent(batches).figures() == {"ratings": 5000, "ahead": 4, "share": 0.0008, "ahead_s": 600.0}
    assert recent([]).figures() == {"ratings": 0, "ahead": 0, "share": 0.0, "ahead_s": None}
