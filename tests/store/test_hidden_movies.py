from __future__ import annotations

import time
from pathlib import Path

import pyarrow as pa

from reelstream.store.hidden_movies import HiddenMovies, HideChange


def test_hidden_movies_are_there_for_every_process_until_they_are_shown(warehouse: Path) -> None:
    movies, others = HiddenMovies(warehouse), HiddenMovies(warehouse)
    assert others.ids().tolist() == []

    movies.set([7, 3], hidden=True)
    assert others.ids().tolist() == movies.ids().tolist() == [3, 7]
    movies.set([7], hidden=False)
    assert others.ids().tolist() == [3]
    [row] = others.hidden().to_pylist()
    assert (row["movie_id"], row["hidden"]) == (3, True)
    assert abs(row["changed_at"].timestamp() - time.time()) < 600


def test_of_two_changes_the_later_one_counts_in_whatever_order_they_come(warehouse: Path) -> None:
    movies = HiddenMovies(warehouse)
    movies.apply([HideChange(3, True, 20), HideChange(4, True, 20), HideChange(4, False, 20)])
    assert movies.ids().tolist() == [3]

    movies.apply([HideChange(3, False, 19)])
    assert movies.ids().tolist() == [3]
    movies.apply([HideChange(3, False, 21)])
    assert movies.ids().tolist() == []


def test_changes_that_come_again_write_nothing(warehouse: Path) -> None:
    movies = HiddenMovies(warehouse)
    changes = [HideChange(3, True, 20), HideChange(3, False, 30), HideChange(5, True, 30)]
    movies.apply(changes)
    stamp = movies.stamp()

    movies.apply(changes)

    assert movies.stamp() == stamp
    assert movies.ids().tolist() == [5]


def test_a_command_wins_against_an_event_from_a_clock_that_is_ahead(warehouse: Path) -> None:
    movies = HiddenMovies(warehouse)
    ahead_ms = time.time_ns() // 1_000_000 + 3_600_000
    movies.apply([HideChange(3, True, ahead_ms)])

    movies.set([3], hidden=False)

    assert movies.ids().tolist() == []
    assert movies.hidden().schema.field("changed_at").type == pa.timestamp("ms", tz="UTC")
