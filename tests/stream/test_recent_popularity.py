"""What was popular lately, against its definition written out."""

from __future__ import annotations

import numpy as np
import pytest

from reelstream.als.arrays import Csr
from reelstream.stream import recent_popularity as module
from reelstream.stream.recent_popularity import RecentPopularity

MOVIES = np.array([3, 5, 8, 13, 21])


def rows_of(*rows: list[int]) -> Csr:
    indptr = np.cumsum([0, *map(len, rows)])
    indices = np.array([movie for row in rows for movie in row], np.int32)
    return Csr(indptr, indices, np.ones(len(indices), np.float32))


def place(rated: list[int], movie: int, seen: set[int]) -> int:
    """By the definition: each rating counts 2^(-how many came since / HALF_LIFE)."""
    weight = dict.fromkeys(range(len(MOVIES)), 0.0)
    for at, one in enumerate(rated):
        if one in weight:
            weight[one] += 2.0 ** ((at - len(rated)) / module.HALF_LIFE)
    order = sorted(weight, key=lambda m: (-weight[m], m))
    return [m for m in order if m not in seen or m == movie].index(movie)


@pytest.mark.parametrize("half_life", [1, 3, 1000])
@pytest.mark.parametrize("large", [module._LARGE, 8.0])
def test_places_are_as_defined(monkeypatch: pytest.MonkeyPatch, half_life: int, large: float) -> None:
    monkeypatch.setattr(module, "HALF_LIFE", half_life)
    monkeypatch.setattr(module, "_LARGE", large)
    rng = np.random.default_rng(half_life)
    rated = rng.integers(-1, len(MOVIES), 120)  # -1: a movie that is no candidate
    ids = np.where(rated >= 0, MOVIES[rated], 99)
    recent = RecentPopularity(ids[:40])
    recent.learn(ids[40:80])
    recent.learn(ids[:0])
    batch = rated[80:]
    rows = np.flatnonzero(batch >= 0)[::3]
    seen = [sorted({*rng.integers(0, len(MOVIES), 2).tolist()} - {int(batch[row])}) for row in rows]

    found = recent.places(MOVIES, batch, rows, rows_of(*seen))

    before = [rated[: 80 + row].tolist() for row in rows]
    expected = [place(past, int(batch[row]), {*s}) for past, row, s in zip(before, rows, seen, strict=True)]
    assert found.tolist() == expected


def test_without_a_rating_the_first_movies_are_ahead() -> None:
    recent = RecentPopularity(np.empty(0, np.int64))
    assert recent.places(MOVIES, np.array([3, 0]), np.array([0, 1]), rows_of([1], [])).tolist() == [2, 1]
