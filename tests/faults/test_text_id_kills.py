"""A micro-batch of text ids that is killed between any two durable steps: no id without its text, no rating lost or twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from reelstream.ids import number_of
from reelstream.store import id_texts, pointer
from reelstream.store.ratings import RatingsStore

BATCHES = [[(f"user-{user}", f"tt{movie}", 4.0) for movie in range(user, user + 3)] for user in range(4)]
TAKE_ALL = """
import sys
from pathlib import Path
from reelstream.store.ratings import RatingsStore
from tests.fixtures.text_ids import take
from tests.faults.test_text_id_kills import BATCHES

store = RatingsStore(Path(sys.argv[1]))
for batch in BATCHES[store.state().batch:]:
    take(store, batch)
"""


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize(
    "point", ["table-aside", "directory-written", "batch-written", "pointer-aside", "batch-stored"]
)
def test_each_text_is_there_once_with_its_ratings(tmp_path: Path, point: str, nth: int) -> None:
    killed = run(tmp_path, REELSTREAM_FAILPOINT=f"{point}:{nth}")
    assert killed == -signal.SIGKILL
    assert run(tmp_path) == 0

    store, texts = RatingsStore(tmp_path), id_texts.of_warehouse(tmp_path).now()
    rows = store.read()
    users = Counter(texts.own("user_id", number) for number in rows["user_id"].to_pylist())
    movies = Counter(texts.own("movie_id", number) for number in rows["movie_id"].to_pylist())
    assert users == Counter(user for batch in BATCHES for user, _, _ in batch)
    assert movies == Counter(movie for batch in BATCHES for _, movie, _ in batch)
    stored = [row for directory in store.state().ids for row in ids_in(store.ids_path / directory.name)]
    assert Counter(stored) == Counter({number_of(text) for text in (*users, *movies)})


def ids_in(directory: Path) -> list[int]:
    numbers: list[int] = pointer.read_table(directory / "part-0.parquet")["number"].to_pylist()
    return numbers


def run(warehouse: Path, **environment: str) -> int:
    command = [sys.executable, "-c", TAKE_ALL, str(warehouse)]
    return subprocess.run(command, env={**os.environ, **environment}, check=False).returncode
