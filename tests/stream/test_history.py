from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from reelstream.store.rating_rows import ages_in, latest
from reelstream.store.ratings import RatingsStore
from reelstream.stream.history import COLUMNS, History
from tests.fixtures.examples import examples
from tests.fixtures.rows import ratings, rejects, triples

Row = tuple[int, int, float]

users, movies = st.integers(1, 5), st.integers(1, 4)
stars = st.one_of(st.none(), st.integers(1, 10).map(lambda half: half / 2))
rows = st.tuples(users, movies, stars, st.integers(0, 2), st.integers(0, 3))
batches = st.lists(st.lists(rows, max_size=6), min_size=1, max_size=8)


def of(history: History, *user_ids: int) -> list[Row]:
    row, movie_id, rating, ages = history.of(np.array(sorted(user_ids), np.int64))
    assert (row.dtype, movie_id.dtype, rating.dtype, ages.dtype) == (np.int64, np.int64, np.float32, np.int32)
    users = np.array(sorted(user_ids))[row]
    return list(zip(users.tolist(), movie_id.tolist(), rating.tolist(), strict=True))


def table(batch: list[tuple[int, int, float | None, int, int]], offset: int) -> pa.Table:
    """(user, movie, stars or None, rated_at in ms, partition) as rows of RATINGS."""
    parts = [
        ratings((user, movie, stars), offset=offset + at, rated_at_ms=rated_at_ms, partition=partition)
        for at, (user, movie, stars, rated_at_ms, partition) in enumerate(batch)
    ]
    return pa.concat_tables([ratings(), *parts])


@examples(60)
@given(batches=batches, in_store=st.integers(0, 8))
def test_it_says_what_the_store_says(
    batches: list[list[tuple[int, int, float | None, int, int]]], in_store: int
) -> None:
    """Whatever partition a rating comes from, and however many have the same time."""
    starts = np.cumsum([0, *map(len, batches)])
    tables = [table(batch, int(offset)) for batch, offset in zip(batches, starts, strict=False)]
    history = History(pa.concat_tables([ratings(), *tables[:in_store]]).select(COLUMNS))
    for one in tables[in_store:]:
        history.append(one)

    stored = latest(pa.concat_tables(tables))
    everything = triples(stored)
    assert history.of(np.arange(1, 6))[3].tolist() == ages_in(stored).tolist()
    assert of(history, 1, 2, 3, 4, 5) == everything
    assert of(history, 2, 4) == [row for row in everything if row[0] in (2, 4)]


def test_it_says_what_a_real_store_says_before_and_after_compaction(tmp_path: Path) -> None:
    store = RatingsStore(tmp_path)
    random = np.random.default_rng(0)
    history = History(store.read(columns=COLUMNS))
    offset = 0
    for number in range(20):
        batch = ratings(
            *((int(u), int(m), float(s) / 2) for u, m, s in random.integers(1, 9, (10, 3))),
            offset=offset,
            rated_at_ms=int(random.integers(0, 5)),
        )
        offset += 10
        store.append(batch, rejects(), {"ratings": {0: offset}})
        history.append(batch)
        if number % 5 == 4:
            while store.compact():
                pass

    everybody = range(1, 9)
    assert of(history, *everybody) == triples(latest(store.read()))
    assert of(History(store.read(columns=COLUMNS)), *everybody) == of(history, *everybody)


def test_a_late_rating_does_not_bring_the_old_one_back_and_a_double_changes_nothing() -> None:
    history = History(ratings((1, 7, 5.0), rated_at_ms=2000))

    history.append(ratings((1, 7, 1.0), rated_at_ms=1000, offset=1))
    history.append(ratings((1, 7, 5.0), rated_at_ms=2000, offset=2))

    assert of(history, 1) == [(1, 7, 5.0)]
    history.append(ratings((1, 7, 2.0), rated_at_ms=2000, offset=3))
    assert of(history, 1) == [(1, 7, 2.0)]


def test_users_without_ratings_have_no_rows_and_the_others_keep_their_place() -> None:
    history = History(ratings((1, 7, 5.0), (3, 8, 4.0), (2**40, 9, 3.0)))
    history.append(ratings((3, 2, 1.0)))

    row, movie_id, *_ = history.of(np.array([0, 1, 2, 3, 2**40, 2**41]))

    assert row.tolist() == [1, 3, 3, 4]
    assert movie_id.tolist() == [7, 2, 8, 9]
    assert of(history, 99) == []
    assert of(History(ratings()), 1) == []


def test_however_many_micro_batches_a_look_up_searches_few_arrays() -> None:
    history = History(ratings(*((user, 1, 3.0) for user in range(50))))

    most = 0
    for number in range(500):
        history.append(ratings((7, 100 + number, 4.0), rated_at_ms=number))
        history.append(ratings())
        most = max(most, len(history.pairs()))

    assert most <= 10  # each has more than twice the rows of the next, and there are 550 in all
    assert of(history, 7) == [(7, 1, 3.0), *((7, 100 + number, 4.0) for number in range(500))]
    assert of(history, 6, 8) == [(6, 1, 3.0), (8, 1, 3.0)]


def test_the_newest_movies_come_from_all_parts_and_none_that_was_taken_back() -> None:
    history = History(ratings((1, 7, 5.0), (2, 8, 4.0), rated_at_ms=1_000))
    history.append(ratings((3, 9, 1.0), rated_at_ms=500))
    history.append(ratings((1, 10, np.nan), (2, 11, 2.0), rated_at_ms=3_000))
    assert history.newest(10).tolist() == [9, 7, 8, 11]
    assert history.newest(2).tolist() == [11]
