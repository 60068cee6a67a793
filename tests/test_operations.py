"""The backup of docs/operations.md, taken as written while everything is written to, and restored."""

from __future__ import annotations

import re
import subprocess
import threading
from pathlib import Path

import pytest

import reelstream
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from reelstream.store.updates import Updates
from tests.fixtures.published import TOY_STORY, publish
from tests.fixtures.rows import lists, ratings, rejects

PAGE = Path(__file__).parent.parent / "docs" / "operations.md"


@pytest.fixture
def script() -> str:
    [block] = re.findall(r"^```bash backup\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return str(block)


def test_a_backup_taken_meanwhile_is_complete_and_goes_on(tmp_path: Path, warehouse: Path, script: str) -> None:
    publish(warehouse)
    store, updates = RatingsStore(warehouse), Updates(RecommendationsStore(warehouse).current().path)
    ended = threading.Event()

    def write() -> None:
        number = 0
        while not ended.is_set():
            store.append(ratings((7, 1000 + number, 4.0), offset=10 + number), rejects(), {"ratings": {0: 11 + number}})
            updates.append(lists(7, [number], 10**13 + number), number)
            store.compact()
            updates.compact()
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        ran = subprocess.run(["bash", "-euc", script], cwd=tmp_path, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
    finally:
        ended.set()
        writer.join()

    restored = RatingsStore(tmp_path / "backup")
    rows = restored.read()
    assert rows.num_rows == restored.state().accepted
    assert sorted(rows["offset"].to_pylist()) == sorted(set(rows["offset"].to_pylist()))
    assert reelstream.open(tmp_path / "backup").recommend(1)[0].movie_id == TOY_STORY
    assert len(reelstream.open(tmp_path / "backup").recommendations()) >= 3
    before = store.read().num_rows
    state = restored.append(ratings((8, 1, 4.0), offset=10**6), rejects(), {"ratings": {0: 10**6 + 1}})
    assert restored.read().num_rows == rows.num_rows + 1
    assert state.batch == restored.state().batch
    assert store.read().num_rows == before
