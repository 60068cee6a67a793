"""What `ratings/CURRENT` says: which directories count, how far Kafka is taken in, and who is being forgotten.

In: the pointer's JSON. Out: a RatingsState. Next: `reelstream.store.ratings` reads and moves the pointer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from reelstream.store import id_texts
from reelstream.store.names import inside
from reelstream.store.rating_rows import Offsets, offsets_of_json


@dataclass(frozen=True, slots=True)
class StoredDirectory:
    """One complete directory of a table. `last` is the number of the newest micro-batch in it."""

    name: str
    last: int
    level: int
    rows: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Offsets `first` to `last` of a partition, which Kafka has deleted before the stream took them."""

    topic: str
    partition: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class RatingsState:
    """What `ratings/CURRENT` says. `accepted` and `rejected` count events ever taken in, not rows on disk.

    `forgotten` names the file of all requests to be forgotten, `forgetting` is user_id → until_ms of those whose rows are
    not all removed yet; no reader gets them any more. `lost` are the gaps that streams went on behind. `text_ids` says whether
    users and movies have text ids, once that is decided, and `ids` are the directories of these. `tombstones` counts records
    that were no events, but marks of deleted keys.
    """

    batch: int = 0
    snapshot: StoredDirectory | None = None
    ratings: tuple[StoredDirectory, ...] = ()
    rejects: tuple[StoredDirectory, ...] = ()
    offsets: Offsets = field(default_factory=dict)
    accepted: int = 0
    rejected: int = 0
    tombstones: int = 0
    forgotten: str | None = None
    forgetting: Mapping[int, int] = field(default_factory=dict)
    lost: tuple[Gap, ...] = ()
    text_ids: Mapping[str, bool] = field(default_factory=dict)
    ids: tuple[StoredDirectory, ...] = ()

    def has(self, topic: str, place: tuple[int, int]) -> bool:
        """Whether the event at (partition, offset) of the topic is taken in."""
        partition, offset = place
        return self.offsets.get(topic, {}).get(partition, 0) > offset

    @property
    def directories(self) -> tuple[StoredDirectory, ...]:
        """All directories with ratings, oldest first."""
        return (*([self.snapshot] if self.snapshot else []), *self.ratings)


def to_json(state: RatingsState) -> dict[str, Any]:
    """As the pointer has it."""

    def directory(item: StoredDirectory) -> list[Any]:
        return [item.name, item.last, item.level, item.rows]

    return {
        "batch": state.batch,
        "accepted": state.accepted,
        "rejected": state.rejected,
        "tombstones": state.tombstones,
        "offsets": state.offsets,
        "snapshot": directory(state.snapshot) if state.snapshot else None,
        "ratings": [directory(item) for item in state.ratings],
        "rejects": [directory(item) for item in state.rejects],
        "forgotten": state.forgotten,
        "forgetting": dict(state.forgetting),
        "lost": [asdict(gap) for gap in state.lost],
        "text_ids": dict(state.text_ids),
        "ids": [directory(item) for item in state.ids],
    }


def from_json(value: Mapping[str, Any]) -> RatingsState:
    """Of any format that there has been."""

    def directory(item: Sequence[Any]) -> StoredDirectory:
        return StoredDirectory(inside(item[0]), *item[1:])

    return RatingsState(
        batch=value["batch"],
        snapshot=directory(value["snapshot"]) if value["snapshot"] else None,
        ratings=tuple(map(directory, value["ratings"])),
        rejects=tuple(map(directory, value["rejects"])),
        offsets=offsets_of_json(value["offsets"]),
        accepted=value["accepted"],
        rejected=value["rejected"],
        tombstones=value.get("tombstones", 0),
        forgotten=inside(value["forgotten"]) if value.get("forgotten") else None,
        forgetting={int(user): until_ms for user, until_ms in value.get("forgetting", {}).items()},
        lost=tuple(Gap(**gap) for gap in value.get("lost", ())),
        text_ids=id_texts.is_text(value),
        ids=tuple(map(directory, value.get("ids", ()))),
    )
