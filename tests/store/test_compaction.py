"""Small files compacted, however many have come since the last time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reelstream.store.compaction import FAN, run_to_merge


@given(bursts=st.lists(st.integers(0, 40), max_size=60))
def test_however_late_it_is_done_few_files_are_left(bursts: list[int]) -> None:
    levels: list[int] = []
    for files in bursts:
        levels += [0] * files
        while run := run_to_merge(levels):
            levels[run] = [levels[run][0] + 1]

    assert levels == sorted(levels, reverse=True)
    assert all(levels.count(level) < FAN for level in levels)
    assert sum(FAN**level for level in levels) == sum(bursts)


@given(bursts=st.lists(st.integers(0, 8), max_size=60))
def test_one_run_at_a_time_keeps_up_with_as_many_files_as_it_takes(bursts: list[int]) -> None:
    levels: list[int] = []
    for files in bursts:
        levels += [0] * (files % FAN)
        if run := run_to_merge(levels):
            levels[run] = [levels[run][0] + 1]

    assert levels == sorted(levels, reverse=True)
    assert len(levels) < 5 * FAN


def test_nothing_is_done_below_a_full_run() -> None:
    assert run_to_merge([]) is None
    assert run_to_merge([1] * (FAN - 1) + [0] * (FAN - 1)) is None
    assert run_to_merge([1] + [0] * FAN) == slice(1, 1 + FAN)
