from __future__ import annotations

import pytest

from reelstream.errors import DamagedStore
from stream.source import check_continues


@pytest.mark.parametrize(
    ("starts", "first", "end"),
    [
        ({}, {0: 0, 1: 0}, {0: 0, 1: 0}),  # a new store, a new topic
        ({}, {0: 40, 1: 0}, {0: 90, 1: 0}),  # a new store takes what the topic still has
        ({0: 90}, {0: 0, 1: 0}, {0: 90, 1: 5}),  # all taken; a partition that had none yet
        ({0: 50, 1: 5}, {0: 0, 1: 5}, {0: 90, 1: 5}),  # some to take; retention deleted only what was taken
        ({0: 40}, {0: 40}, {0: 90}),  # retention reaches just up to where the store is
    ],
)
def test_the_stream_goes_on_where_the_topic_still_has_all(
    starts: dict[int, int], first: dict[int, int], end: dict[int, int]
) -> None:
    check_continues("ratings", starts, first, end)


@pytest.mark.parametrize(
    ("starts", "first", "end", "told"),
    [
        ({0: 90}, {0: 0}, {0: 89}, "partition 0 ends at offset 89, but the store has taken 90 events"),
        ({0: 5, 3: 7}, {0: 0}, {0: 5}, "partition 3 ends at offset 0, but the store has taken 7 events"),
        ({0: 39}, {0: 40}, {0: 90}, "partition 0: offsets 39 to 39 were deleted"),
        ({0: 0, 1: 10}, {0: 0, 1: 25}, {0: 5, 1: 25}, "partition 1: offsets 10 to 24 were deleted"),
    ],
)
def test_what_is_missing_is_named_and_refused(
    starts: dict[int, int], first: dict[int, int], end: dict[int, int], told: str
) -> None:
    with pytest.raises(DamagedStore, match=told) as error:
        check_continues("films", starts, first, end)

    assert str(error.value).startswith("topic films ")
    assert "another --topic" in str(error.value)
