"""How many files the tables of a warehouse are made of: those that its pointers name, and those on disk."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from reelstream.store import pointer
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore

TABLES = ("ratings", "rejects", "updates", "quality")


def opened(warehouse: Path) -> dict[str, int]:
    """Files that a reader of each table opens by now, the pointers among them; for `updates`, the reader of a user's list:
    the pointers of versions, updates and titles, the lists of the refit, and the updates."""
    state = RatingsStore(warehouse).state()
    version = RecommendationsStore(warehouse).current_or_none()
    updates = (pointer.read(version.path / "updates" / "CURRENT") or {}) if version else {}
    quality = pointer.read(warehouse / "quality" / "CURRENT") or {}
    return {
        "ratings": 1 + len(state.directories),
        "rejects": 1 + len(state.rejects),
        "updates": 4 + len(updates.get("files", ())),
        "quality": 1 + len(quality.get("files", ())),
    }


def on_disk(warehouse: Path) -> dict[str, int]:
    """Parquet files of each table, with those that were replaced and stay for a minute or two; `updates` of all versions
    that are kept."""
    versions = RecommendationsStore(warehouse).path.glob("version=*")
    return {
        "ratings": _count((warehouse / "ratings").glob("*=*")),
        "rejects": _count((warehouse / "rejects").glob("*=*")),
        "updates": _count(version / "updates" for version in versions),
        "quality": _count([warehouse / "quality"]),
    }


def _count(directories: Iterable[Path]) -> int:
    count = 0
    for directory in directories:
        with suppress(FileNotFoundError):  # removed meanwhile, or not there yet
            count += sum(path.suffix == ".parquet" for path in directory.iterdir())
    return count
