from __future__ import annotations

import pytest

from reelstream.errors import DamagedStore
from reelstream.store.names import inside

HOSTILE = (
    "",
    ".",
    "..",
    "../outside",
    "../../etc/passwd",
    "/etc/passwd",
    "a/b",
    "a/",
    "..\\a",
    "a\0b",
    "x" * 256,
    "ä" * 128,
)


@pytest.mark.parametrize(
    "name", ["batch=000000000001", "batch=000000000001-000000000008", "000001.parquet", "..a", "ä b"]
)
def test_a_plain_name_is_itself(name: str) -> None:
    assert inside(name) == name


@pytest.mark.parametrize("name", [*HOSTILE, None, 7, ["a"]])
def test_what_could_leave_the_directory_is_damage(name: object) -> None:
    with pytest.raises(DamagedStore, match="restore the warehouse from a backup") as caught:
        inside(name)
    assert str(caught.value).isprintable()
