"""The published tables: one directory a version, and one pointer that says which is current.

In: the tables of a refit, and the lists of users folded in since. Out:
`recommendations/version=…/{users,similar,popular}`,
its `updates/`, `recommendations/CURRENT`, and the symlink `recommendations/latest`. Next: `reelstream.api.recommender`
reads.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Mapping, Sequence
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
from reelstream.store.schemas import LIST_ROWS, POPULAR, SIMILAR, USERS
from reelstream.store.updates import Updates

NOTHING_PUBLISHED = "nothing is published yet; run `reelstream refit`, or wait for the first refit of `reelstream up`."

_TABLES = {"users": USERS, "similar": SIMILAR, "popular": POPULAR}


@dataclass(frozen=True, slots=True)
class Version:
    """A published version. Its refit had seen the ratings up to micro-batch `batch`, `accepted` of them in all.

    rolled_back: None where its refit published it; else what a rollback to it said: `from`, the version whose place it took,
    the `reason` (text or None), and how many ratings were `accepted` by then.
    """

    name: str
    path: Path
    model_path: Path
    as_of: datetime
    published_at: datetime
    batch: int
    accepted: int
    info: dict[str, Any] = field(default_factory=dict)
    rolled_back: dict[str, Any] | None = None

    @property
    def calls_from(self) -> int:
        """Accepted ratings up to this number call for no refit: its refit has seen them, or they were there when it took the
        place of a version that was to go."""
        return max(self.accepted, int((self.rolled_back or {}).get("accepted", 0)))


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
        taken = [*(_name(path) for path in self._directories()), *self.kept()]
        name = f"{max(map(int, taken), default=0) + 1:06d}"
        return name, self.path / f"version={name}", self.models_path / f"version={name}"

    def write_tables(self, path: Path, **tables: pa.Table) -> None:
        """Writes users, similar and popular of an unpublished version; `users` is sorted by user, then rank."""
        texts = self._ids.now()
        for kind, table in tables.items():
            file = path / kind / "part-0.parquet"
            pointer.write_table(texts.stored(table.cast(_TABLES[kind])), file, row_group_rows=LIST_ROWS)
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
        """Makes a completely written version the current one, in one step, and removes all but the `keep` that were current
        last."""
        self.keep_aside(name)
        pointer.sync_directory(self.path)
        pointer.sync_directory(self.models_path)
        kept = [*(other for other in self.kept() if other != name), name][-keep:]
        value = {
            "version": name,
            "as_of": as_of.isoformat(),
            "published_at": datetime.now(UTC).isoformat(),
            "batch": batch,
            "accepted": accepted,
            "info": info,
            "kept": kept,
        }
        failpoint("version-written")
        pointer.move(self._pointer, value)
        failpoint("version-published")
        version = self._version(value)
        self.link_latest(version)
        failpoint("version-linked")
        self._remove(lambda other: other not in kept)
        return version

    def publish_again(self, version: Version, *, reason: str | None, accepted: int) -> Version:
        """Makes a kept version the current one, in one step; every other one stays on disk. The caller holds
        `run/refit.lock`."""
        kept = self.kept()
        value = {
            "version": version.name,
            "as_of": version.as_of.isoformat(),
            "published_at": datetime.now(UTC).isoformat(),
            "batch": version.batch,
            "accepted": version.accepted,
            "info": version.info,
            "kept": [*(name for name in kept if name != version.name), version.name],
            "rolled_back": {"from": kept[-1], "reason": reason, "accepted": accepted},
        }
        pointer.move(self._pointer, value)
        failpoint("rollback-published")
        again = self._version(value)
        self.link_latest(again)
        failpoint("rollback-linked")
        return again

    def link_latest(self, version: Version) -> None:
        """Has the symlink `latest` lead to the version; a refit that was killed may have left it at the one before."""
        latest = self.path / "latest"
        if latest.is_symlink() and latest.readlink().name == version.path.name:
            return
        aside = pointer.aside_of(latest)
        aside.unlink(missing_ok=True)
        aside.symlink_to(version.path.name)
        aside.replace(latest)

    def kept(self) -> tuple[str, ...]:
        """The published versions on disk, in the order in which each was made current last: the current one ends it. One with
        an older version behind it was rolled back."""
        value = pointer.read(self._pointer)
        if value is None:
            return ()
        on_disk = sorted({_name(path) for path in self._directories()})
        up_to_it = [name for name in on_disk if name < value["version"]]
        listed = value.get("kept", up_to_it)  # an older reelstream kept no list: it knew no rollback
        return (*(name for name in listed if name in on_disk and name != value["version"]), value["version"])

    def keep_aside(self, name: str) -> None:
        """Removes every version that was never published, other than `name`: held back, or never finished."""
        newest = max(self.kept(), default="")
        self._remove(lambda other: newest < other != name)

    def versions(self) -> list[dict[str, Any]]:
        """What is on disk, oldest first: name, whether it was published, its state, and the model's info.

        state: `current`; `older`, or `rolled back` where an older one took its place; `held back` by the gate; `not finished`
        yet, or killed.
        """
        kept = self.kept()
        found = []
        for path in sorted(self.models_path.glob("version=*")):
            with contextlib.suppress(FileNotFoundError):
                name, info = _name(path), _model_info(path)
                published = name <= max(kept, default="")
                found.append({"version": name, "published": published, "state": _state(name, kept, info), **info})
        return found

    def held_back(self) -> dict[str, Any] | None:
        """The model's info of the version that the gate holds back now, `accepted` among it; None where there is none."""
        newest = max(self.kept(), default="")
        for path in self.models_path.glob("version=*"):
            if _name(path) > newest:
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
            rolled_back=value.get("rolled_back"),
        )

    def _directories(self) -> list[Path]:
        return [path for root in (self.path, self.models_path) for path in root.glob("version=*")]

    def _remove(self, unwanted: Callable[[str], bool]) -> None:
        for path in self._directories():
            if unwanted(_name(path)):
                shutil.rmtree(path, ignore_errors=True)


def is_held_back(info: Mapping[str, Any]) -> bool:
    """Of an unpublished version: else its refit is not done yet, or was killed."""
    gate = info.get("gate") or {}
    return bool(gate.get("reasons")) and not gate.get("forced")


def was_rolled_back(name: str, kept: Sequence[str]) -> bool:
    """Whether an older version took its place. kept: as `RecommendationsStore.kept` gives them."""
    return name in kept and min(kept[kept.index(name) :]) < name


def _state(name: str, kept: Sequence[str], info: Mapping[str, Any]) -> str:
    if name == (kept[-1] if kept else None):
        return "current"
    if was_rolled_back(name, kept):
        return "rolled back"
    if name <= max(kept, default=""):
        return "older"
    return "held back" if is_held_back(info) else "not finished"


def _name(path: Path) -> str:
    return path.name.removeprefix("version=")


def _model_info(path: Path) -> dict[str, Any]:
    from reelstream.store import models

    return models.info(path)
