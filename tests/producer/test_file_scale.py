from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from reelstream.als.scale import Scale
from reelstream.producer.file_form import detect
from reelstream.producer.file_scale import guess, scale_of
from reelstream.settings import Settings, load
from reelstream.store import scale_file
from tests.fixtures.camps import camps, fill

HALVES = [half / 2 for half in range(1, 11)]


def drawn(values: Sequence[float], n: int = 1000) -> list[float]:
    return random.Random(1).choices(values, k=n)


@pytest.mark.parametrize(
    ("ratings", "scale"),
    [
        (drawn(HALVES), Scale()),
        (drawn(range(1, 6)), Scale(1, 5, 1)),
        (drawn(range(1, 6), 30), Scale()),  # too few to tell that no half stars are given
        (drawn(range(6)), Scale(0, 5, 1)),
        (drawn(range(1, 8)), Scale(1, 7, 1)),
        (drawn(range(1, 11)), Scale(1, 10, 1)),
        (drawn([-1, *range(1, 11)]), Scale(1, 10, 1)),  # -1 marks what is not rated
        (drawn(range(11)), Scale(0, 10, 1)),
        (drawn(range(21)), Scale(0, 20, 1)),
        (drawn(range(101)), Scale(0, 100, 1)),
        (drawn(range(101), 20), Scale(0, 100, 1)),
        (drawn([value / 100 for value in range(-1000, 1001)]), Scale(-10, 10, 0)),
        (drawn([value / 100 for value in range(100, 501)]), Scale(0.5, 5, 0)),
        (drawn([value / 100 for value in range(101)]), Scale(0, 1, 0)),
        (drawn([0, 1]), Scale(0, 1, 1)),
        (drawn([-1, 1]), Scale(-1, 1, 2)),
        (drawn([-1, 0, 1]), Scale(-1, 1, 1)),
        ([1] * 20, Scale(1, 1, 1)),
        ([*drawn(HALVES), 9, 55], Scale()),  # errors
        ([9], Scale()),
        ([], Scale()),
    ],
)
def test_a_scale_is_guessed(ratings: Sequence[float], scale: Scale) -> None:
    assert guess(Counter(map(float, ratings))) == scale


def write(path: Path, ratings: Sequence[float]) -> Path:
    rows = [f"{1 + i // 100},{1 + i % 100},{value:g}" for i, value in enumerate(ratings)]
    path.write_text("userId,movieId,rating\n" + "\n".join(rows) + "\n")
    return path


def found(settings: Settings, path: Path) -> tuple[Scale, str]:
    return scale_of(settings, path, detect(path))


def test_all_of_the_file_is_looked_at(tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", sorted(drawn(range(1, 11), 30_000)))  # as of `ORDER BY rating`

    scale, says = found(load(warehouse=tmp_path / "none"), path)

    assert scale == Scale(1, 10, 1)
    assert says.startswith("Scale of ratings, guessed from 1 to 10: 1 to 10 in whole numbers, liked from 8 on.")


def test_what_is_set_wins_over_what_is_stored_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", drawn(range(101)))
    assert found(load(warehouse=tmp_path, liked_from=3), path)[0] == Scale(0, 100, 1, 3)
    scale_file.write_once(tmp_path, Scale(1, 10, 1))
    stored = found(load(warehouse=tmp_path), path)
    assert stored == (Scale(1, 10, 1), f"Scale of ratings, as stored with the warehouse: {Scale(1, 10, 1)}.")

    scale, says = found(load(warehouse=tmp_path, rating_min=0, rating_max=100), path)

    assert scale == Scale(0, 100, 1)
    assert says == (
        "Scale of ratings, as set: 0 to 100 in whole numbers, liked from 78 on, though the warehouse was begun on "
        "1 to 10 in whole numbers, liked from 8 on."
    )


def test_a_warehouse_of_an_older_version_keeps_its_scale(tmp_path: Path) -> None:
    fill(tmp_path / "warehouse", camps(n_users=4))

    scale, says = found(load(warehouse=tmp_path / "warehouse"), write(tmp_path / "r.csv", drawn(range(101))))

    assert scale == Scale()
    assert "as of those in the warehouse" in says
