"""The published tables: one directory a version, and one pointer that says which is current.

In: the tables of a refit, and the lists of users folded in since. Out:
`recommendations/version=…/{users,similar,popular}`,
its `updates/`, `recommendations/CURRENT`, and the symlink `recommendations/latest`. Next: `reelstream.api.recommender`
reads.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from reelstream.errors import DamagedStore, NotReady
from reelstream.failpoint import failpoint
from reelstream.store import id_texts, pointer
from reelstream.store.names import inside
from reelstream.store.schemas import POPULAR, SIMILAR, USERS
from reelstream.store.updates import Updates

NOTHING_PUBLISHED = "nothing is published yet; run `reelstream refit`, or wait for the first refit of `reelstream up`."

_TABLES = {"users": USERS, "similar": SIMILAR, "popular": POPULAR}


@dataclass(frozen=True, slots=True)
class Version:
    """A published version. Its refit had seen the ratings up to micro-batch `batch`, `accepted` of them in all."""

    name: str
    path: Path
    model_path: Path
    as_of: datetime
    published_at: datetime
    batch: int
    accepted: int
    info: dict[str, Any] = field(default_factory=dict)


class RecommendationsStore:
    def __init__(self, warehouse: Path) -> None:
        self.path = warehouse / "recommendations"
        self.models_path = warehouse / "models"
        self._pointer = self.path / "CURRENT"
        self._ids = id_texts.of_warehouse(warehouse)

    def current(self) -> Version:
        """Raises NotReady while nothing is published."""
        value = pointer.read(self._pointer)
        if value is None:
            raise NotReady(NOTHING_PUBLISHED)
        return self._version(value)

    def current_or_none(self) -> Version | None:
        with contextlib.suppress(NotReady):
            return self.current()
        return None

    def counted_up_to(self) -> int | None:
        """The lists of the current version and its updates count all ratings up to this micro-batch; None while nothing
        is published."""
        version = self.current_or_none()
        return max(version.batch, Updates(version.path).batch()) if version else None

    def stamp(self) -> pointer.Stamp:
        """What changes when another version is published."""
        return pointer.stamp(self._pointer)

    def new_version(self) -> tuple[str, Path, Path]:
        """(name, recommendations directory, models directory) of the next version. The caller holds `run/refit.lock`."""
        taken = [path.name for root in (self.path, self.models_path) for path in root.glob("version=*")]
        name = f"{max((int(n.split('=')[1]) for n in taken), default=0) + 1:06d}"
        return name, self.path / f"version={name}", self.models_path / f"version={name}"

    def write_tables(self, path: Path, **tables: pa.Table) -> None:
        """Writes users, similar and popular of an unpublished version; `users` is sorted by user, then rank."""
        texts = self._ids.now()
        for kind, table in tables.items():
            file = path / kind / "part-0.parquet"
            pointer.write_table(texts.stored(table.cast(_TABLES[kind])), file, row_group_rows=20_000)
            failpoint("table-written")

    def publish(
        self,
        name: str,
        *,
        as_of: datetime,
        batch: int,
        accepted: int,
        info: dict[str, Any],
        keep: int,
    ) -> Version:
        """Makes a completely written version the current one, in one step, and removes all but the last `keep`."""
        self.keep_aside(name)
        pointer.sync_directory(self.path)
        pointer.sync_directory(self.models_path)
        value = {
            "version": name,
            "as_of": as_of.isoformat(),
            "published_at": datetime.now(UTC).isoformat(),
            "batch": batch,
            "accepted": accepted,
            "info": info,
        }
        failpoint("version-written")
        pointer.move(self._pointer, value)
        failpoint("version-published")
        version = self._version(value)
        self.link_latest(version)
        failpoint("version-linked")
        self._prune(name, keep)
        return version

    def link_latest(self, version: Version) -> None:
        """Has the symlink `latest` lead to the version; a refit that was killed may have left it at the one before."""
        latest = self.path / "latest"
        if latest.is_symlink() and latest.readlink().name == version.path.name:
            return
        aside = pointer.aside_of(latest)
        aside.unlink(missing_ok=True)
        aside.symlink_to(version.path.name)
        aside.replace(latest)

    def keep_aside(self, name: str) -> None:
        """Removes every version that is newer than the current one, other than `name`: held back, or never finished."""
        current = pointer.read(self._pointer)
        last = f"version={current['version']}" if current else ""
        for root in (self.path, self.models_path):
            for path in root.glob("version=*"):
                if path.name > last and path.name != f"version={name}":
                    shutil.rmtree(path, ignore_errors=True)

    def versions(self) -> list[dict[str, Any]]:
        """What is on disk, oldest first: name, whether it was published or is held back, and the model's info."""
        current = (pointer.read(self._pointer) or {"version": ""})["version"]
        found = []
        for path in sorted(self.models_path.glob("version=*")):
            with contextlib.suppress(FileNotFoundError):
                name = path.name.split("=")[1]
                found.append({"version": name, "published": name <= current, **_model_info(path)})
        return found

    def held_back(self) -> dict[str, Any] | None:
        """The model's info of the version that the gate holds back now, `accepted` among it; None where there is none."""
        current = (pointer.read(self._pointer) or {"version": ""})["version"]
        for path in self.models_path.glob("version=*"):
            if path.name > f"version={current}":
                with contextlib.suppress(FileNotFoundError, DamagedStore):  # removed, or the next refit removes it
                    info = _model_info(path)
                    if is_held_back(info):
                        return info
        return None

    def read(self, kind: str, version: Version, user_ids: Sequence[int] | None = None) -> pa.Table:
        """The table `users`, `similar` or `popular` of a version, as the refit wrote it; of `users` those rows alone."""
        return pointer.read_table(
            version.path / kind / "part-0.parquet", where=None if user_ids is None else ("user_id", user_ids)
        )

    def read_users(self, version: Version, user_ids: Sequence[int] | None = None) -> pa.Table:
        """Top-N lists with the updates since the refit merged in: for each user the newest list."""
        updates = Updates(version.path).read(user_ids)
        fresh = pc.unique(updates["user_id"])
        if user_ids is not None and set(user_ids) <= set(fresh.to_pylist()):
            return updates
        users = self.read("users", version, user_ids)
        users = users.filter(pc.invert(pc.is_in(users["user_id"], fresh)))
        return pa.concat_tables([users, updates]).sort_by([("user_id", "ascending"), ("rank", "ascending")])

    def _version(self, value: dict[str, Any]) -> Version:
        directory = inside(f"version={value['version']}")
        return Version(
            name=value["version"],
            path=self.path / directory,
            model_path=self.models_path / directory,
            as_of=datetime.fromisoformat(value["as_of"]),
            published_at=datetime.fromisoformat(value["published_at"]),
            batch=value["batch"],
            accepted=value["accepted"],
            info=value["info"],
        )

    def _prune(self, current: str, keep: int) -> None:
        for root in (self.path, self.models_path):
            older = sorted(p for p in root.glob("version=*") if p.name < f"version={current}")
            for path in older[: max(0, len(older) - (keep - 1))]:
                shutil.rmtree(path, ignore_errors=True)


def is_held_back(info: Mapping[str, Any]) -> bool:
    """Of an unpublished version: else its refit is not done yet, or was killed."""
    gate = info.get("gate") or {}
    return bool(gate.get("reasons")) and not gate.get("forced")


def _model_info(path: Path) -> dict[str, Any]:
    from reelstream.store import models

    return models.info(path)
