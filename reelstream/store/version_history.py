"""The history of all refits: a row for each that was published or held back, kept when its version is removed; and a row
for each rollback.

In: a version's info. Out: rows in `models/history.json`. Next: the page and `reelstream report` draw them. It is no source
of truth: one that is damaged is begun anew, with the versions on disk. It holds no user's id.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from reelstream.errors import DamagedStore, NotReady
from reelstream.store import pointer
from reelstream.store.recommendations import RecommendationsStore, Version, is_held_back

MAX_ROWS = 10_000
"""Of more refits the newest are kept."""

Row = dict[str, Any]


def add(warehouse: Path, version: str, info: Mapping[str, Any], *, published: bool) -> None:
    """Appends a row. The caller holds `run/refit.lock`. Raises MissingRequirement if the disk is full."""
    _add(warehouse, row_of(version, info, published=published))


def add_rollback(warehouse: Path, version: Version) -> None:
    """Appends the row of a version that was published again, which is the current one. The same goes for the lock and the
    error."""
    _add(warehouse, _rollback_row(version))


def take_up(warehouse: Path) -> None:
    """Writes down the versions on disk that a crash or an older reelstream has kept out of the file, before a refit
    removes them. The caller holds `run/refit.lock`. Raises MissingRequirement if the disk is full."""
    rows = read(warehouse)
    if len(rows) > len(_written(warehouse)):
        _write(warehouse, rows)


def read(warehouse: Path) -> list[Row]:
    """Rows, oldest first: version, published, at (ISO time, null for one of an older reelstream), engine, ratings, users,
    movies, rmse, rmse_bias_only, ndcg_at_10, ndcg_at_10_popularity, coverage, refit_s, tuning (how, and what was tried),
    rolled_back (from, to, reason; null for a refit). The row of a rollback has the metrics that the version has had, `at` is
    when it was published again, and refit_s is null. Metrics are null where too few ratings were there to hold some out. What
    the file does not have of the versions on disk is among them."""
    rows = _written(warehouse)
    known = {_key(row) for row in rows}
    on_disk: list[dict[str, Any]] = []
    with suppress(DamagedStore):  # whoever reads the version itself says so
        on_disk = RecommendationsStore(warehouse).versions()
    for info in on_disk:
        row = row_of(info["version"], info, published=info["published"])
        if _key(row) not in known and (row["published"] or is_held_back(info)):
            rows.append(row)
    with suppress(DamagedStore, NotReady):
        current = RecommendationsStore(warehouse).current()
        if current.rolled_back and _key(_rollback_row(current)) not in known:
            rows.append(_rollback_row(current))
    return sorted(rows, key=lambda row: (row["at"] or "", row["version"]))


def row_of(version: str, info: Mapping[str, Any], *, published: bool) -> Row:
    """The row of a version, from what its model says of itself."""
    metrics = info.get("metrics") or {}
    baselines = metrics.get("baselines") or {}
    tuning = info.get("tuning") or {}
    return {
        "version": version,
        "published": published,
        "at": info.get("fitted_at"),
        **{name: info.get(name) for name in ("engine", "ratings", "users", "movies")},
        "rmse": metrics.get("rmse"),
        "rmse_bias_only": baselines.get("bias_only", {}).get("rmse"),
        "ndcg_at_10": metrics.get("ndcg_at_10"),
        "ndcg_at_10_popularity": baselines.get("popularity", {}).get("ndcg_at_10"),
        "coverage": metrics.get("coverage"),
        "refit_s": (info.get("seconds") or {}).get("all"),
        "tuning": {key: tuning[key] for key in ("how", "tried") if key in tuning},
        "rolled_back": None,
    }


def _rollback_row(version: Version) -> Row:
    said = version.rolled_back or {}
    return {
        **row_of(version.name, version.info, published=True),
        "at": version.published_at.isoformat(),
        "refit_s": None,
        "tuning": {},
        "rolled_back": {"from": said.get("from"), "to": version.name, "reason": said.get("reason")},
    }


def _add(warehouse: Path, added: Row) -> None:
    rows = [row for row in read(warehouse) if _key(row) != _key(added)]
    _write(warehouse, [*rows, added])


def _written(warehouse: Path) -> list[Row]:
    blank = row_of("", {}, published=False)
    try:
        rows = (pointer.read(_path(warehouse)) or {"rows": []})["rows"]
        return [{**blank, **row, "version": row["version"], "at": row["at"]} for row in rows]
    except (DamagedStore, KeyError, TypeError):
        return []


def _write(warehouse: Path, rows: list[Row]) -> None:
    pointer.move(_path(warehouse), {"rows": rows[-MAX_ROWS:]})


def _key(row: Row) -> tuple[Any, ...]:
    """A number may come again after a version was held back and removed; its time does not."""
    return row["version"], row["at"]


def _path(warehouse: Path) -> Path:
    return warehouse / "models" / "history.json"
