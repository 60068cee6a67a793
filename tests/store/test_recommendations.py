from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reelstream.errors import NotReady
from reelstream.store import pointer
from reelstream.store.recommendations import RecommendationsStore, Version
from reelstream.store.schemas import POPULAR, SIMILAR
from reelstream.store.updates import Updates
from tests.fixtures.rows import lists

AS_OF = datetime.fromtimestamp(1, UTC)


def publish(store: RecommendationsStore, users: pa.Table, keep: int = 3) -> Version:
    name, path, model_path = store.new_version()
    store.write_tables(path, users=users, similar=SIMILAR.empty_table(), popular=POPULAR.empty_table())
    model_path.mkdir(parents=True)
    (model_path / "model.json").write_text("{}")
    return store.publish(name, as_of=AS_OF, batch=1, accepted=1, info={}, keep=keep)


def movies(table: pa.Table) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for row in table.to_pylist():
        found.setdefault(row["user_id"], []).append(row["movie_id"])
    return found


def test_nothing_is_published_at_first(tmp_path: Path) -> None:
    store = RecommendationsStore(tmp_path)

    assert store.current_or_none() is None
    with pytest.raises(NotReady, match="reelstream refit"):
        store.current()


def test_a_written_version_is_seen_only_once_published(tmp_path: Path) -> None:
    store = RecommendationsStore(tmp_path)
    first = publish(store, lists(1, [10, 20], 1000, "refit"))
    name, path, _ = store.new_version()
    store.write_tables(path, users=lists(1, [30], 1000, "refit"))

    assert (first.name, name) == ("000001", "000002")
    assert store.current() == first
    assert movies(store.read_users(first)) == {1: [10, 20]}


def test_updates_win_over_the_refit_and_newer_over_older(tmp_path: Path) -> None:
    store = RecommendationsStore(tmp_path)
    version = publish(store, pa.concat_tables([lists(1, [10, 20], 1000, "refit"), lists(2, [5], 1000, "refit")]))
    updates = Updates(version.path)
    updates.append(lists(1, [30, 40, 50], 2000), batch=2)
    updates.append(pa.concat_tables([lists(1, [60], 3000), lists(9, [70], 3000)]), batch=3)

    assert movies(store.read_users(version)) == {1: [60], 2: [5], 9: [70]}
    assert movies(store.read_users(version, [1])) == {1: [60]}
    assert updates.batch() == 3


def test_many_updates_are_folded_into_few_files(tmp_path: Path) -> None:
    version = publish(RecommendationsStore(tmp_path), lists(1, [10], 1000, "refit"))
    updates = Updates(version.path)
    for number in range(200):
        updates.append(lists(number % 50, [number], 2000 + number), batch=number + 2)
        while updates.compact():
            pass

    assert movies(updates.read()) == {user: [user + 150] for user in range(50)}
    assert len(updates.files()) <= 3 * 7
    for user in range(50):
        assert movies(updates.read([user])) == {user: [user + 150]}
    assert movies(updates.read([3, 49, 1000])) == {3: [153], 49: [199]}


def test_who_has_just_rated_is_read_from_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = RecommendationsStore(tmp_path)
    version = publish(store, lists(1, [10], 1000, "refit"))
    updates = Updates(version.path)
    for number in range(5):
        updates.append(lists(number % 2, [number], 2000 + number), batch=number + 2)
    opened: list[str] = []
    read_table = pointer.read_table

    def counted(path: Path, **options: object) -> pa.Table:
        opened.append(path.parent.name)
        return read_table(path, **options)

    monkeypatch.setattr(pointer, "read_table", counted)

    assert movies(store.read_users(version, [0])) == {0: [4]}
    assert opened == ["updates"]
    assert movies(store.read_users(version, [0, 1])) == {0: [4], 1: [3]}
    assert opened[1:] == ["updates"] * 2
    assert movies(store.read_users(version, [7])) == {}
    assert opened[3:] == ["updates"] * 5 + ["users"]


def test_only_the_last_versions_stay_and_latest_is_a_link(tmp_path: Path) -> None:
    store = RecommendationsStore(tmp_path)
    for number in range(4):
        publish(store, lists(1, [number], 1000, "refit"), keep=2)

    assert sorted(path.name for path in store.path.glob("version=*")) == ["version=000003", "version=000004"]
    assert [item["version"] for item in store.versions()] == ["000003", "000004"]
    assert pq.read_table(store.path / "latest" / "users")["movie_id"].to_pylist() == [3]


def test_a_refit_and_a_stream_in_one_process_may_link_at_once(tmp_path: Path) -> None:
    store = RecommendationsStore(tmp_path)
    for number in range(2):
        publish(store, lists(1, [number], 1000, "refit"), keep=2)
    current = store.current()
    older = replace(current, path=current.path.with_name("version=000001"))

    def link(_: int) -> None:
        for version in (older, current):
            store.link_latest(version)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(link, range(200)))
    store.link_latest(current)

    assert sorted(path.name for path in store.path.glob("*latest*")) == ["latest"]
    assert (store.path / "latest").readlink() == Path("version=000002")


def test_a_link_that_was_left_behind_is_moved(tmp_path: Path) -> None:
    store = RecommendationsStore(tmp_path)
    for number in range(2):
        publish(store, lists(1, [number], 1000, "refit"), keep=2)
    (store.path / "latest").unlink()
    (store.path / "latest").symlink_to("version=000001")

    store.link_latest(store.current())

    assert (store.path / "latest").readlink() == Path("version=000002")
