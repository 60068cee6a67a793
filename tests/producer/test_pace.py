from __future__ import annotations

import pytest

from reelstream.errors import UsageError
from reelstream.events import RatingEvent
from reelstream.producer.pace import LONGEST_SLEEP_S, SHORTEST_SLEEP_S, check_pace, pace


class SleepingClock:
    """Time passes only by sleeping, and each sleep takes a little too long, as real ones do."""

    def __init__(self, overshoot_s: float = 0.0007) -> None:
        self.now_s = 100.0
        self.sleeps: list[float] = []
        self._overshoot_s = overshoot_s

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now_s += seconds + self._overshoot_s


def events(*times_ms: int) -> list[RatingEvent]:
    return [RatingEvent(1, 1, 1.0, at_ms) for at_ms in times_ms]


@pytest.mark.parametrize("rate_per_s", [0.5, 7, 1000, 33_333])
def test_a_rate_does_not_drift(rate_per_s: float) -> None:
    clock, count = SleepingClock(), 500
    taken = [clock.now_s for _ in pace(events(*range(count)), rate_per_s=rate_per_s, clock=clock, sleep=clock.sleep)]
    for i, at_s in enumerate(taken):
        assert at_s - 100.0 == pytest.approx(i / rate_per_s, abs=SHORTEST_SLEEP_S + 1e-6)


def test_speed_follows_the_times_of_rating() -> None:
    clock = SleepingClock()
    day_ms = 86_400_000
    paced = pace(events(0, day_ms, day_ms, 3 * day_ms), speed=86_400.0, clock=clock, sleep=clock.sleep)
    assert [clock.now_s - 100.0 for _ in paced] == pytest.approx([0, 1, 1, 3], abs=0.002)


def test_no_sleep_is_long_so_that_someone_may_stop_it() -> None:
    class Stop(Exception):
        pass

    clock = SleepingClock(0)

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if len(clock.sleeps) == 3:
            raise Stop

    paced = pace(events(0, 10**12), speed=1.0, clock=clock, sleep=sleep)
    next(paced)
    with pytest.raises(Stop):
        next(paced)
    assert clock.sleeps == [LONGEST_SLEEP_S] * 3


def test_after_a_pause_late_events_go_at_once() -> None:
    clock = SleepingClock(0)
    paced = pace(events(*range(21)), rate_per_s=10, clock=clock, sleep=clock.sleep)
    next(paced)
    clock.now_s += 1.5
    taken = [clock.now_s - 100.0 for _ in paced]
    assert taken[:15] == [1.5] * 15
    assert taken[-1] == pytest.approx(2.0, abs=SHORTEST_SLEEP_S)


def test_without_a_pace_nothing_sleeps() -> None:
    clock = SleepingClock()
    assert len(list(pace(events(0, 10**12), clock=clock, sleep=clock.sleep))) == 2
    assert clock.sleeps == []


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
def test_a_pace_is_above_zero(wrong: float) -> None:
    with pytest.raises(UsageError, match=r"rate .* is not above zero"):
        pace([], rate_per_s=wrong)
    with pytest.raises(UsageError, match=r"speed .* is not above zero"):
        check_pace(None, wrong)


def test_one_pace_only() -> None:
    with pytest.raises(UsageError, match="not both"):
        pace([], rate_per_s=1, speed=1)
