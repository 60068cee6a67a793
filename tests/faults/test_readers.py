"""A reader that runs all the time, in a process of its own, while versions are published, ratings and lists come, small
files are folded together and users are forgotten: it sees no error, and no answer of two versions."""

from __future__ import annotations

from pathlib import Path

from bench.publishes import measure
from reelstream.store.recommendations import RecommendationsStore

PUBLISHES = 60


def test_a_reader_sees_no_error_and_no_mixed_version(warehouse: Path) -> None:
    counted = measure(warehouse, PUBLISHES)

    assert counted["errors"] == 0, counted["first_errors"]
    assert counted["mixed"] == 0
    assert RecommendationsStore(warehouse).current().name == f"{PUBLISHES + 1:06d}"
    assert set(counted["reads"]) == {"recommend", "recommendations", "similar", "popular", "predict", "ratings"}
    assert counted["versions_seen"] > 10, "it hardly read while versions came"
    assert counted["compactions"]
    assert counted["forgotten"] == PUBLISHES
