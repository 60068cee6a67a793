from __future__ import annotations

import json
from pathlib import Path

import pytest

from reelstream.als.factors import ModelSettings
from reelstream.errors import DamagedStore
from reelstream.store.adopted import adopt, adopted, forget, place

SCALE = {"rating_min": 1.0, "rating_max": 10.0}


def test_the_defaults_hold_where_nothing_was_adopted(warehouse: Path) -> None:
    assert adopted(warehouse, **SCALE) == ModelSettings(rating_min=1, rating_max=10)
    assert not warehouse.exists()


def test_what_is_adopted_holds_from_then_on_but_for_the_scale(warehouse: Path) -> None:
    best = ModelSettings(rating_rank=31, ranking_alpha0=0.125, tolerance=1e-4, seed=7, rating_min=0, rating_max=100)

    adopt(warehouse, best, {"trials": ["a", "b"]})

    expected = ModelSettings(rating_rank=31, ranking_alpha0=0.125, tolerance=1e-4, seed=7, rating_min=1, rating_max=10)
    assert adopted(warehouse, **SCALE) == expected
    assert json.loads(place(warehouse).read_bytes())["trials"] == ["a", "b"]
    assert [path.name for path in place(warehouse).parent.iterdir()] == ["adopted.json"]


def test_the_last_one_adopted_holds(warehouse: Path) -> None:
    adopt(warehouse, ModelSettings(rating_rank=31), {})
    adopt(warehouse, ModelSettings(ranking_rank=32), {})

    assert adopted(warehouse, rating_min=0.5, rating_max=5) == ModelSettings(ranking_rank=32)


def test_forgetting_is_the_way_back(warehouse: Path) -> None:
    assert not forget(warehouse)
    adopt(warehouse, ModelSettings(rating_rank=31), {})

    assert forget(warehouse)

    assert adopted(warehouse, rating_min=0.5, rating_max=5) == ModelSettings()
    assert not forget(warehouse)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"format": 1}',
        b'{"format": 1, "settings": 5}',
        b'{"format": "1", "settings": {}}',
        b'{"format": 1, "settings": {"rating_rank": -1}}',
        b'{"format": 1, "settings": {"rating_rank": "63"}}',
        b'{"format": 1, "settings": {"rating_rank": null}}',
        b'{"format": 1, "settings": {"no_such_setting": 1}}',
        b'{"format": 99, "settings": {}}',
    ],
)
def test_a_file_that_is_damaged_or_newer_is_said_to_be_with_what_to_do(warehouse: Path, content: bytes) -> None:
    place(warehouse).parent.mkdir(parents=True)
    place(warehouse).write_bytes(content)

    with pytest.raises(DamagedStore, match=r"adopted\.json .* delete it .* or adopt anew"):
        adopted(warehouse, **SCALE)
