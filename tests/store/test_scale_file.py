from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reelstream.als.scale import Scale
from reelstream.errors import DamagedStore
from reelstream.settings import load
from reelstream.store import pointer, scale_file


def test_the_first_writer_wins_and_all_see_the_same(tmp_path: Path) -> None:
    scales = [Scale(0, high, 1) for high in range(10, 30)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda scale: scale_file.write_once(tmp_path / "new", scale), scales))

    assert len(set(answers)) == 1
    assert answers[0] in scales
    assert scale_file.read(tmp_path / "new") == answers[0]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["scale.json"]


def test_settings_go_by_it_from_the_moment_it_is_there(tmp_path: Path) -> None:
    settings, partly = load(warehouse=tmp_path), load(warehouse=tmp_path, liked_from=3.0)
    assert (settings.scale, partly.scale) == (Scale(), Scale(liked_from=3.0))

    scale_file.write_once(tmp_path, Scale(1, 10, 1))

    assert (settings.scale, partly.scale) == (Scale(1, 10, 1), Scale(1, 10, 1, 3.0))
    assert load(warehouse=tmp_path, rating_min=0, rating_max=1).scale == Scale(0, 1, 1)


def test_what_is_no_scale_is_named(tmp_path: Path) -> None:
    pointer.move(scale_file.place(tmp_path), {"scale": {"rating_min": 5, "rating_max": 1}})

    with pytest.raises(DamagedStore, match=r"scale\.json holds no scale of ratings"):
        scale_file.read(tmp_path)
