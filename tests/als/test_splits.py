from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelstream.als.splits import split_random, split_time, split_user_time
from reelstream.errors import UsageError


def test_random_split_is_by_seed() -> None:
    train, test = split_random(1000, 0.2, 3)
    assert len(test) == 200
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(1000))
    assert split_random(1000, 0.2, 3)[1].tolist() == test.tolist()
    assert split_random(1000, 0.2, 4)[1].tolist() != test.tolist()


def test_time_split_takes_the_newest_of_all() -> None:
    train, test = split_time(np.array([50, 10, 40, 30, 40]), 0.4)
    assert test.tolist() == [0, 4]  # of the two rows at 40, the later one
    assert train.tolist() == [1, 2, 3]


def test_user_time_split_takes_the_newest_of_each_user() -> None:
    user = np.array([7, 7, 7, 7, 7, 3, 3, 3, 3, 5])
    time = np.array([9, 1, 8, 2, 3, 4, 4, 4, 4, 1])
    train, test = split_user_time(user, time, 0.25)
    assert test.tolist() == [0, 8]  # of five ratings one, of four one, of one none
    assert train.tolist() == [1, 2, 3, 4, 5, 6, 7, 9]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=60), st.floats(0.01, 0.99))
def test_every_row_is_in_one_part_and_the_test_is_newer(rows: list[tuple[int, int]], fraction: float) -> None:
    user, time = (np.array(column, np.int64) for column in zip(*rows, strict=True)) if rows else (np.zeros(0, int),) * 2
    for train, test in (split_time(time, fraction), split_user_time(user, time, fraction)):
        assert sorted([*train.tolist(), *test.tolist()]) == list(range(len(rows)))
    train, test = split_user_time(user, time, fraction)
    for one in set(user[test].tolist()):
        older, newer = time[train[user[train] == one]], time[test[user[test] == one]]
        assert len(older)
        assert older.max() <= newer.min()


@pytest.mark.parametrize("fraction", [0, 1, -0.5, float("nan")])
def test_a_part_of_nothing_is_refused(fraction: float) -> None:
    for split in (
        lambda: split_random(10, fraction),
        lambda: split_time(np.arange(10), fraction),
        lambda: split_user_time(np.arange(10), np.arange(10), fraction),
    ):
        with pytest.raises(UsageError, match="between 0 and 1"):
            split()
