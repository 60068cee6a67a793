from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reelstream.producer.send import ReplayResult, replay

Replay = Callable[..., ReplayResult]


@pytest.fixture
def ratings_csv(tmp_path: Path) -> Path:
    """2,000 rows by 40 users, sorted by user as MovieLens is; times are all different and not in order."""
    path = tmp_path / "ratings.csv"
    rows = [f"{i // 50 + 1},{i % 50 + 1},{i % 10 / 2 + 0.5},{10**9 + (i * 7919) % 2003}" for i in range(2000)]
    path.write_text("userId,movieId,rating,timestamp\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture
def replay_csv(ratings_csv: Path, tmp_path: Path, bootstrap_servers: str, topic: str) -> Replay:
    """`replay` of that file to the test's own topic; keyword arguments are passed on."""

    def run(**arguments: object) -> ReplayResult:
        given = {
            "bootstrap_servers": bootstrap_servers,
            "topic": topic,
            "state_path": tmp_path / "run" / "replay.json",
            "rating_min": 0.5,
            "rating_max": 5.0,
        }
        return replay(ratings_csv, **{**given, **arguments})  # type: ignore[arg-type]

    return run
