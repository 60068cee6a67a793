from __future__ import annotations

import pytest

from reelstream.als.factors import ModelSettings
from reelstream.als.scale import Scale
from reelstream.errors import UsageError


@pytest.mark.parametrize(
    ("scale", "kind", "unit", "liked", "words"),
    [
        (Scale(), "stars", "stars", 4, "0.5 to 5 in halves, liked from 4 on"),
        (Scale.of(1, 5), "stars", "stars", 4, "1 to 5 in whole numbers, liked from 4 on"),
        (Scale.of(1, 10), "stars", "stars", 8, "1 to 10 in whole numbers, liked from 8 on"),
        (Scale.of(0, 10), "points", "points", 8, "0 to 10 in whole numbers, liked from 8 on"),
        (Scale.of(0, 100), "points", "points", 78, "0 to 100 in whole numbers, liked from 78 on"),
        (Scale(-10, 10, 0), "points", "points", 5.5, "-10 to 10 any number, liked from 5.5 on"),
        (Scale(0, 1, 0), "points", "points", 7 / 9, "0 to 1 any number, liked from 0.778 on"),
        (Scale.of(0, 1), "thumbs", "points", 1, "0 or 1, 1 for liked"),
        (Scale(-1, 1, 2), "thumbs", "points", 1, "-1 or 1, 1 for liked"),
        (Scale.of(1, 1), "likes", "points", 1, "1 alone, for liked"),
        (Scale.of(1, 7, liked_from=6), "stars", "stars", 6, "1 to 7 in whole numbers, liked from 6 on"),
    ],
)
def test_a_scale_tells_what_ratings_look_like(scale: Scale, kind: str, unit: str, liked: float, words: str) -> None:
    assert (scale.kind, scale.unit, str(scale)) == (kind, unit, words)
    assert scale.liked == pytest.approx(liked)
    assert ModelSettings(**scale.for_models()).liked_stars == pytest.approx(liked)


def test_other_ends_bring_another_step_and_another_liking() -> None:
    hundred = Scale(0, 100, 1, liked_from=60)
    assert hundred.over(liked_from=70, rating_min=None) == Scale(0, 100, 1, 70)
    assert hundred.over(rating_max=10.0) == Scale(0, 10, 1)
    assert hundred.over() == hundred


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ((5, 5), "rating_min 5 must be below rating_max 5"),
        ((0, float("inf")), "rating_max inf"),
        ((0, 1, 2), "rating_step 2 must be from 0 to the 1"),
        ((0, 10, 1, 11), "liked_from 11 must be above rating_min 0 and not above rating_max 10"),
    ],
)
def test_what_is_no_scale_is_named(wrong: tuple[float, ...], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Scale(*wrong)
