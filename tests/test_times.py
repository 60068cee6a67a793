"""A time that cannot be right is told with its likely unit."""

from __future__ import annotations

import pytest

from reelstream.times import MAX_AHEAD_MS, SINCE_MS, UNTIL_MS, time_error

SENT_MS = 1_700_000_000_000


@pytest.mark.parametrize("ms", [SINCE_MS, SENT_MS, SENT_MS + MAX_AHEAD_MS])
def test_a_time_within_the_bounds_is_no_error(ms: int) -> None:
    assert time_error(str(ms), ms, SENT_MS, number=ms) is None


@pytest.mark.parametrize(
    ("ms", "sent_ms", "says"),
    [
        (1_700_000_000, SENT_MS, "1970-01-20; is it in seconds? milliseconds are expected"),
        (SENT_MS * 1000, SENT_MS, "after the year 9999; is it in microseconds? milliseconds are expected"),
        (SENT_MS * 10**6, SENT_MS, "after the year 9999; is it in nanoseconds? milliseconds are expected"),
        (0, SENT_MS, "1970-01-01, before 1990"),
        (-(10**18), SENT_MS, "before the year 1, before 1990"),
        (SINCE_MS - 1, SENT_MS, "1989-12-31, before 1990"),
        (UNTIL_MS + 1, UNTIL_MS, "2100-01-01, after 2100"),
        (
            SENT_MS + MAX_AHEAD_MS + 1,
            SENT_MS,
            "2023-11-15, more than a day ahead of when it was sent, 2023-11-14 22:13 UTC",
        ),
        (SENT_MS, SENT_MS // 1000, "2023-11-14, more than a day ahead of when it was sent, 1970-01-20 16:13 UTC"),
    ],
)
def test_a_time_beyond_them_is_told_with_its_likely_unit(ms: int, sent_ms: int, says: str) -> None:
    assert time_error(str(ms), ms, sent_ms, number=ms) == f"rated_at {ms} is {says}"


def test_a_number_in_the_unit_of_its_file_is_told_as_it_stands() -> None:
    said = time_error("1700000000000", SENT_MS * 1000, SENT_MS, number=SENT_MS, unit="s")

    assert said == "rated_at 1700000000000 is after the year 9999; is it in milliseconds? seconds are expected"


def test_a_date_is_told_without_a_unit() -> None:
    assert time_error("1985-01-01", 473_385_600_000, SENT_MS) == "rated_at 1985-01-01 is before 1990"
