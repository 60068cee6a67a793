from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from reelstream.store import log
from reelstream.store.compaction import FAN
from reelstream.store.dismissed import DismissedStore
from reelstream.store.forget import forget
from reelstream.store.ratings import RatingsStore
from tests.fixtures.rows import dismissals, ratings, rejects


def of(store: DismissedStore, user_id: int) -> list[int]:
    movie_ids: list[int] = store.now().of_user(user_id)["movie_id"].tolist()
    return movie_ids


def test_the_newest_event_of_a_pair_counts(warehouse: Path) -> None:
    store, reader = DismissedStore(warehouse), DismissedStore(warehouse)
    assert of(reader, 1) == []

    store.append(dismissals((1, 7, True, 10), (2, 7, True, 10), (1, 8, True, 10)), 1)
    store.append(dismissals((1, 7, False, 20), (1, 8, False, 5), offset=3), 2)

    assert of(reader, 1) == of(store, 1) == [8]
    row, movie_id = reader.now().of(np.array([1, 2, 3]))
    assert (row.tolist(), movie_id.tolist()) == ([0, 1], [8, 7])
    assert reader.now().covers(np.array([1, 1, 2, 3]), np.array([7, 8, 7, 7])).tolist() == [False, True, True, False]
    assert reader.table().select(["user_id", "movie_id"]).to_pylist() == [
        {"user_id": 1, "movie_id": 8},
        {"user_id": 2, "movie_id": 7},
    ]
    assert reader.changed_at_ms(1) == {7: 20, 8: 10}
    assert (reader.users_since(0).tolist(), reader.users_since(1).tolist(), reader.users_since(2).tolist()) == (
        [1, 2],
        [1],
        [],
    )


def test_events_that_come_again_are_left_out(warehouse: Path) -> None:
    store = DismissedStore(warehouse)
    store.append(dismissals((1, 7, True, 10), (1, 8, True, 10)), 1)
    store.append(dismissals((5, 5, True, 10), partition=1), 1)
    store.append(dismissals((1, 7, True, 10), (1, 8, True, 10), (1, 9, True, 10)), 1)
    store.append(dismissals((1, 7, True, 10)), 1)

    table = pa.concat_tables(log.read_files([path], store.schema) for path in store.files())
    assert sorted(table["movie_id"].to_pylist()) == [5, 7, 8, 9]
    assert len(store.files()) == 3


def test_many_small_files_become_one_of_the_same_meaning(warehouse: Path) -> None:
    store = DismissedStore(warehouse)
    for number in range(FAN):
        store.append(dismissals((1, 7, number % 2 == 1, number), (number, 8, True, number), offset=2 * number), number)
    before = {user: of(store, user) for user in range(FAN)}

    assert store.compact()

    assert len(store.files()) == 1
    for reader in (store, DismissedStore(warehouse)):
        assert {user: of(reader, user) for user in range(FAN)} == before
    assert store.now().files[store.files()[0]][1].size == FAN + 1
    store.append(dismissals((1, 7, True, 0)), 9)  # an event of long ago comes again
    assert len(store.files()) == 1


@pytest.mark.parametrize("compacted", [False, True])
def test_a_user_who_is_forgotten_has_dismissed_nothing_before(warehouse: Path, compacted: bool) -> None:
    dismissed, reader, store = DismissedStore(warehouse), DismissedStore(warehouse), RatingsStore(warehouse)
    for number in range(FAN):
        dismissed.append(dismissals((1, number, True, 10), (2, number, True, 10), offset=2 * number), number)
    dismissed.append(dismissals((1, 50, True, 3_000), offset=50), FAN)
    if compacted:
        dismissed.compact()
    assert len(of(reader, 1)) == FAN + 1
    store.append(ratings((1, 5, 3.0)), rejects(), {"ratings": {0: 60}}, forget=[(1, 2_000)])

    forget(store)

    assert of(reader, 1) == [50]
    assert len(of(reader, 2)) == FAN
    left = [path for path in (warehouse / "dismissed").glob("*.parquet") if path not in dismissed.files()]
    assert left == []
