"""A user who asks to be forgotten: unreadable at once, removed from every file in the end, and nobody else touched."""

from __future__ import annotations

import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import reelstream
from reelstream.store import forget as module
from reelstream.store import models
from reelstream.store import ratings as ratings_module
from reelstream.store.forget import forget
from reelstream.store.forgotten import Removed
from reelstream.store.rating_rows import latest
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from reelstream.store.updates import Updates
from tests.fixtures.published import publish
from tests.fixtures.rows import lists, ratings, rejects, triples

LEAVES, STAYS = 1, 2
NAMES_GONE = (b'{"user_id":1,"rating":"x"}', b'half a line "user_id": 1, ', b'{"user_id":"1"}')
NAMES_OTHERS = (b'{"user_id":11}', b'{"user_id":2,"movie_id":1}', b"\xff")


@pytest.fixture
def warehouse(warehouse: Path) -> Path:
    """Both users in a snapshot, in later directories, in rejects, in the models and in lists of both kinds."""
    publish(warehouse)
    store = RatingsStore(warehouse)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ratings_module, "SNAPSHOT_FROM_ROWS", 1)
        store.compact()
    store.append(
        ratings((LEAVES, 7, 3.0), (STAYS, 7, 4.0), offset=100, rated_at_ms=2_000),
        rejects(*NAMES_GONE, *NAMES_OTHERS, offset=102),
        {"ratings": {0: 200}},
    )
    version = RecommendationsStore(warehouse).current()
    models.save(version.model_path / "measured", models.load(version.model_path), {})
    updates = Updates(version.path)
    updates.append(lists(LEAVES, [10], 10**13), 2)
    updates.append(lists(STAYS, [10, 20], 10**13), 2)
    return warehouse


def ask(warehouse: Path, until_ms: int = 10**12) -> None:
    nothing = ratings(), rejects()
    RatingsStore(warehouse).append(*nothing, {"ratings": {0: 201}}, [(LEAVES, until_ms)])


def files_with(warehouse: Path, user_id: int) -> list[str]:
    """Every Parquet file below the warehouse that holds the user, but for the list of the forgotten."""
    found = []
    for path in warehouse.rglob("*.parquet"):
        table = pq.ParquetFile(path).read()
        names = "user_id" in table.column_names and user_id in table["user_id"].to_pylist()
        raw = table["raw"].to_pylist() if "raw" in table.column_names else []
        if (names and not path.name.startswith("forgotten-")) or set(raw) & set(NAMES_GONE):
            found.append(str(path.relative_to(warehouse)))
    return found


def test_from_the_request_on_nobody_reads_the_ratings(warehouse: Path) -> None:
    store = RatingsStore(warehouse)
    before = triples(store.read())

    ask(warehouse)

    assert triples(store.read()) == [row for row in before if row[0] == STAYS]
    assert store.read(columns=["movie_id"]).num_rows == sum(row[0] == STAYS for row in before)
    assert store.read(user_ids=[LEAVES]).num_rows == 0
    assert store.state().forgetting == {LEAVES: 10**12}


def test_in_the_end_no_file_holds_the_user_and_all_else_is_as_it_was(warehouse: Path) -> None:
    store, version = RatingsStore(warehouse), RecommendationsStore(warehouse).current()
    others = [row for row in triples(store.read()) if row[0] != LEAVES]
    assert len(files_with(warehouse, LEAVES)) >= 6
    accepted = store.state().accepted
    ask(warehouse)

    removed = forget(RatingsStore(warehouse))

    assert removed == {LEAVES: Removed(ratings=3, rejects=3, models=2, lists=4)}
    assert files_with(warehouse, LEAVES) == []
    assert triples(store.read()) == others
    assert store.read_rejects()["raw"].to_pylist() == list(NAMES_OTHERS)
    assert models.load(version.model_path).user_ids.tolist() == [STAYS]
    recommender = reelstream.open(warehouse)
    assert {movie.source for movie in recommender.recommend(LEAVES)} == {"popular"}
    assert [movie.movie_id for movie in recommender.recommend(STAYS, 2)] == [10, 20]
    assert (store.state().forgetting, store.state().accepted) == ({}, accepted + 1)
    assert store.forgotten()[LEAVES].removed == removed[LEAVES]
    assert forget(RatingsStore(warehouse)) == {}


def test_what_was_rated_after_the_request_stays(warehouse: Path) -> None:
    RatingsStore(warehouse).append(
        ratings((LEAVES, 8, 5.0), offset=300, rated_at_ms=9_000), rejects(), {"ratings": {0: 301}}
    )
    ask(warehouse, until_ms=8_999)
    store = RatingsStore(warehouse)

    assert triples(store.read(user_ids=[LEAVES])) == [(LEAVES, 8, 5.0)]
    forget(RatingsStore(warehouse))
    assert triples(store.read(user_ids=[LEAVES])) == [(LEAVES, 8, 5.0)]


@pytest.mark.parametrize("step", ["_from_rejects", "_from_lists", "_from_model"])
def test_a_crash_on_the_way_leaves_the_request_and_the_next_call_ends_it(
    warehouse: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    ask(warehouse)
    with monkeypatch.context() as patch:
        patch.setattr(module, step, crash)
        with pytest.raises(KeyboardInterrupt):
            forget(RatingsStore(warehouse))

    assert RatingsStore(warehouse).read(user_ids=[LEAVES]).num_rows == 0
    forget(RatingsStore(warehouse))
    assert files_with(warehouse, LEAVES) == []


def test_a_request_that_comes_while_another_is_done_is_not_lost(
    warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(warehouse, until_ms=5_000)
    rejects_first = module._from_rejects

    def another_comes(*given: object) -> object:
        ask(warehouse, until_ms=6_000)
        return rejects_first(*given)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(module, "_from_rejects", another_comes)
        forget(RatingsStore(warehouse))

    assert RatingsStore(warehouse).state().forgetting == {LEAVES: 6_000}
    forget(RatingsStore(warehouse))
    assert RatingsStore(warehouse).state().forgetting == {}
    assert RatingsStore(warehouse).forgotten()[LEAVES].until_ms == 6_000


def test_no_micro_batch_is_lost_that_comes_while_users_are_forgotten(warehouse: Path) -> None:
    store = RatingsStore(warehouse)
    before = store.state()
    requests = range(1, 31)

    def take_in() -> None:
        for at in requests:
            row = ratings((STAYS, at, 4.0), offset=1000 + at, rated_at_ms=9_000)
            store.append(row, rejects(), {"ratings": {0: 1001 + at}}, [(LEAVES, 5_000 + at)])

    thread = threading.Thread(target=take_in)
    thread.start()
    while thread.is_alive() or store.state().forgetting:
        forget(store)

    state = store.state()
    assert (state.batch, state.accepted) == (before.batch + 30, before.accepted + 60)
    assert set(requests) <= {movie for user, movie, _ in triples(store.read()) if user == STAYS}
    assert store.forgotten()[LEAVES].until_ms == 5_030


def test_forgetting_drops_lists_that_were_folded_into_others(warehouse: Path) -> None:
    updates = Updates(RecommendationsStore(warehouse).current().path)
    for number in range(8):
        updates.append(lists(LEAVES, [10], 10**13 + 1000 * (1 + number)), 2)
    assert updates.compact()
    on_disk = len(list(updates.path.glob("*.parquet")))
    ask(warehouse)

    removed = forget(RatingsStore(warehouse))

    assert on_disk > 8
    assert len(list(updates.path.glob("*.parquet"))) == 3
    assert removed[LEAVES].lists == 3 + 1 + 2  # of the refit, of the file that eight became, and of the two after it
    assert updates.read().to_pylist() == Updates(updates.path.parent).read([STAYS]).to_pylist()


def test_a_rating_taken_back_is_gone_and_cannot_come_back_by_an_old_event(tmp_path: Path) -> None:
    store = RatingsStore(tmp_path)
    store.append(ratings((1, 7, 5.0), (1, 8, 4.0), rated_at_ms=1_000), rejects(), {"ratings": {0: 2}})
    taken_back = ratings((1, 7, float("nan")), offset=2, rated_at_ms=2_000)
    taken_back = taken_back.set_column(2, "rating", pa.nulls(1, pa.float32()))
    store.append(taken_back, rejects(), {"ratings": {0: 3}})

    assert triples(latest(store.read())) == [(1, 8, 4.0)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ratings_module, "SNAPSHOT_FROM_ROWS", 1)
        assert store.compact()
    assert triples(latest(store.read())) == [(1, 8, 4.0)]

    store.append(ratings((1, 7, 5.0), offset=3, rated_at_ms=1_500), rejects(), {"ratings": {0: 4}})  # late
    assert triples(latest(store.read())) == [(1, 8, 4.0)]
    store.append(ratings((1, 7, 2.0), offset=4, rated_at_ms=3_000), rejects(), {"ratings": {0: 5}})
    assert triples(latest(store.read())) == [(1, 7, 2.0), (1, 8, 4.0)]
