from __future__ import annotations

import threading
from pathlib import Path

import pytest

from reelstream.errors import DamagedStore
from reelstream.store import ratings as module
from reelstream.store.compaction import FAN
from reelstream.store.rating_rows import latest, next_offsets, not_yet_in
from reelstream.store.ratings import RatingsStore
from tests.fixtures.rows import ratings, rejects, triples

NOTHING = ratings()
NO_REJECTS = rejects()


def test_an_empty_store_has_no_rows_and_starts_at_batch_0(tmp_path: Path) -> None:
    store = RatingsStore(tmp_path)

    assert store.state().batch == 0
    assert store.read().num_rows == 0


def test_append_makes_rows_and_offsets_visible_together(tmp_path: Path) -> None:
    store = RatingsStore(tmp_path)

    state = store.append(ratings((1, 296, 5.0), (2, 10, 3.5)), rejects(b"x", offset=2), {"ratings": {0: 3}})

    assert state == store.state()
    assert (state.batch, state.accepted, state.rejected, state.offsets) == (1, 2, 1, {"ratings": {0: 3}})
    assert triples(store.read()) == [(1, 296, 5.0), (2, 10, 3.5)]
    assert store.read_rejects()["raw"].to_pylist() == [b"x"]


def test_a_directory_without_a_pointer_is_replaced_whole_by_the_replayed_batch(tmp_path: Path) -> None:
    store = RatingsStore(tmp_path)
    store.append(ratings((1, 1, 1.0)), NO_REJECTS, {"ratings": {0: 1}})
    left_by_a_crash = tmp_path / "ratings" / "batch=000000000002"
    left_by_a_crash.mkdir()
    (left_by_a_crash / "part-0.parquet").write_bytes(b"half a file")
    (left_by_a_crash / "part-1.parquet").write_bytes(b"")

    assert triples(store.read()) == [(1, 1, 1.0)]
    store.append(ratings((2, 2, 2.0), offset=1), NO_REJECTS, {"ratings": {0: 2}})

    assert triples(store.read()) == [(1, 1, 1.0), (2, 2, 2.0)]
    assert [path.name for path in left_by_a_crash.iterdir()] == ["part-0.parquet"]


def test_offsets_of_other_partitions_and_topics_stay(tmp_path: Path) -> None:
    store = RatingsStore(tmp_path)
    store.append(ratings((1, 1, 1.0)), NO_REJECTS, {"ratings": {0: 1, 1: 7}})

    state = store.append(NOTHING, NO_REJECTS, {"ratings": {1: 9}, "other": {0: 4}})

    assert state.offsets == {"ratings": {0: 1, 1: 9}, "other": {0: 4}}


def test_not_yet_in_leaves_out_what_the_offsets_cover() -> None:
    rows = ratings((1, 1, 1.0), (1, 2, 2.0), (1, 3, 3.0), offset=5)

    assert triples(not_yet_in(rows, {"ratings": {0: 6}})) == [(1, 2, 2.0), (1, 3, 3.0)]
    assert not_yet_in(rows, {"ratings": {1: 100}, "other": {0: 100}}).num_rows == 3
    assert not_yet_in(rows, {}).num_rows == 3
    assert next_offsets(rows) == {"ratings": {0: 8}}


def test_latest_is_by_time_then_by_offset() -> None:
    import pyarrow as pa

    rows = pa.concat_tables(
        [
            ratings((1, 7, 5.0), rated_at_ms=2000, offset=0),
            ratings((1, 7, 1.0), rated_at_ms=1000, offset=1),  # late: came after, rated before
            ratings((2, 7, 2.0), (2, 7, 3.0), rated_at_ms=1000, offset=2),  # same time: the later offset
        ]
    )

    assert triples(latest(rows)) == [(1, 7, 5.0), (2, 7, 3.0)]
    assert latest(NOTHING).num_rows == 0


def test_compaction_bounds_the_directories_and_keeps_each_row(tmp_path: Path) -> None:
    store = RatingsStore(tmp_path)
    sent = [(user, user * 10, 3.0) for user in range(200)]
    for offset, row in enumerate(sent):
        store.append(ratings(row, offset=offset), NO_REJECTS, {"ratings": {0: offset + 1}})
        while store.compact():
            pass

    assert triples(store.read()) == sent
    assert len(store.state().directories) <= 3 * (FAN - 1)
    assert store.state().accepted == 200


def test_a_snapshot_keeps_the_latest_rating_of_each_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SNAPSHOT_FROM_ROWS", 3)
    store = RatingsStore(tmp_path)
    store.append(ratings((2, 1, 1.0), (1, 1, 2.0)), NO_REJECTS, {"ratings": {0: 2}})
    store.append(ratings((2, 1, 5.0), offset=2), NO_REJECTS, {"ratings": {0: 3}})

    assert store.compact()

    [directory] = store.state().directories
    assert directory.name == "snapshot=000000000002"
    assert triples(store.read()) == [(1, 1, 2.0), (2, 1, 5.0)]
    assert not store.compact()
    assert store.state().accepted == 3


def test_an_append_during_a_compaction_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = RatingsStore(tmp_path)
    for offset in range(8):
        store.append(ratings((offset, 1, 1.0), offset=offset), NO_REJECTS, {"ratings": {0: offset + 1}})
    write_aside = store._write_aside

    def append_meanwhile(*args: object) -> None:
        write_aside(*args)  # type: ignore[arg-type]
        worker = threading.Thread(
            target=store.append, args=(ratings((8, 1, 1.0), offset=8), NO_REJECTS, {"ratings": {0: 9}})
        )
        worker.start()
        worker.join()

    monkeypatch.setattr(store, "_write_aside", append_meanwhile)
    assert store.compact()

    assert [user for user, _, _ in triples(store.read())] == list(range(9))
    assert [directory.level for directory in store.state().directories] == [1, 0]


def test_superseded_directories_go_after_the_grace_period(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = RatingsStore(tmp_path)
    for offset in range(8):
        store.append(ratings((offset, 1, 1.0), offset=offset), NO_REJECTS, {"ratings": {0: offset + 1}})
    before = store.state()
    store.compact()

    assert triples(store.read(before))[0] == (0, 1, 1.0)  # a reader of the old pointer is not disturbed
    monkeypatch.setattr(module, "GRACE_S", -1.0)
    store.compact()

    names = sorted(path.name for path in (tmp_path / "ratings").glob("*=*"))
    assert names == ["batch=000000000001-000000000008"]


def test_only_the_asked_users_and_the_newer_directories_are_read(tmp_path: Path) -> None:
    store = RatingsStore(tmp_path)
    store.append(ratings((1, 1, 1.0), (2, 1, 2.0)), NO_REJECTS, {"ratings": {0: 2}})
    store.append(ratings((1, 2, 3.0), offset=2), NO_REJECTS, {"ratings": {0: 3}})

    assert triples(store.read(user_ids=[1])) == [(1, 1, 1.0), (1, 2, 3.0)]
    assert triples(store.read(after_batch=1)) == [(1, 2, 3.0)]


def test_a_newer_format_and_a_broken_pointer_are_refused_with_what_to_do(tmp_path: Path) -> None:
    store = RatingsStore(tmp_path)
    pointer = tmp_path / "ratings" / "CURRENT"
    pointer.parent.mkdir()
    pointer.write_text('{"format": 99}')
    with pytest.raises(DamagedStore, match="upgrade reelstream"):
        store.state()
    pointer.write_text("{")
    with pytest.raises(DamagedStore, match="restore the warehouse from a backup"):
        store.state()


def test_a_named_directory_that_is_gone_is_damage_not_a_crash(tmp_path: Path) -> None:
    store = RatingsStore(tmp_path)
    store.append(ratings((1, 1, 1.0)), NO_REJECTS, {"ratings": {0: 1}})
    (tmp_path / "ratings" / "batch=000000000001" / "part-0.parquet").unlink()

    with pytest.raises(DamagedStore, match="missing"):
        store.read()
