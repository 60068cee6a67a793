"""Hits of the popular movies counted by hand, and every protocol on a small file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.bench.run import figures, write_csv
from tests.fixtures.camps import Triples, camps
from tests.fixtures.rating_data import tastes

PEERS = ("popularity", "recent", "iknn", "isgd")


def shuffled() -> Triples:
    user, movie, stars = camps(40, 50)
    order = np.random.default_rng(0).permutation(len(user))
    return user[order], movie[order], stars[order]


def popular_hits(ratings: Triples) -> tuple[int, int]:
    """(hits, liked ratings) of the ten movies with the most stars so far that the user has not rated."""
    sums: dict[int, float] = {}
    rated: dict[int, set[int]] = {}
    hits = liked = 0
    for user, movie, stars in zip(*(column.tolist() for column in ratings), strict=True):
        seen = rated.setdefault(user, set())
        if stars >= 4:
            best = sorted(set(sums) - seen, key=lambda m: (-sums[m], m))[:10]
            hits += movie in best
            liked += 1
        seen.add(movie)
        sums[movie] = sums.get(movie, 0) + stars
    return hits, liked


def test_hits_are_counted_rating_by_rating(tmp_path: Path) -> None:
    ratings = shuffled()

    found = figures(
        "prequential", write_csv(tmp_path / "ratings.csv", ratings), "--refit-every", 300, "--peers", *PEERS
    )

    hits, liked = popular_hits(ratings)
    assert found["scored"] == liked
    contestants = found["contestants"]
    assert list(contestants) == ["reelstream", "no_order", *PEERS]
    assert contestants["popularity"]["hit_rate_at_10"] == pytest.approx(hits / liked, abs=1e-4)
    for one in contestants.values():
        low, high = one["interval"]
        assert low <= one["hit_rate_at_10"] <= high
    assert 0 < contestants["reelstream"]["rmse"] < 2
    assert contestants["popularity"]["rmse"] is None
    assert contestants["iknn"]["hit_rate_at_10"] > 1.2 * contestants["popularity"]["hit_rate_at_10"], (
        "camps are what it sees"
    )


def test_settings_are_searched_on_what_came_before(tmp_path: Path) -> None:
    user, movie, stars = tastes(n_users=60)
    user -= user.min() - 1  # a file has no ids below 1
    csv, tuned = write_csv(tmp_path / "ratings.csv", (user, movie, stars)), {"REELSTREAM_SELF_TUNING": "true"}
    options = (csv, "--refit-every", 350, "--peers", "popularity")

    found = figures("prequential", *options, env=tuned)

    assert found["changed_settings"], "so few ratings want other settings than MovieLens"
    assert figures("prequential", *options, "--no-self-tuning", env=tuned)["changed_settings"] == {}


@pytest.mark.parametrize("protocol", ["five-stars", "last-out"])
def test_other_protocols_score_other_ratings(tmp_path: Path, protocol: str) -> None:
    csv, plot = write_csv(tmp_path / "ratings.csv", shuffled()), tmp_path / "plot.png"

    found = figures("prequential", csv, "--protocol", protocol, "--peers", "popularity", "--plot", plot)

    assert found["protocol"] == protocol
    best = int((shuffled()[2] == 5).sum())
    assert found["scored"] == {"five-stars": best - best // 5, "last-out": 40}[protocol]
    assert plot.read_bytes().startswith(b"\x89PNG")
