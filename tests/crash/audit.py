"""What must hold after any number of kills: each event in the store once, no trace of who was forgotten, whole answers.

In: what was sent, and the warehouse. Out: what is lost, twice, left over. Next: `bench.kills` prints it, the fault tests
assert that it is nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import reelstream
from reelstream.store import pointer
from reelstream.store.rating_rows import latest
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore, Version
from reelstream.store.updates import Updates
from tests.crash import seed

Place = tuple[int, int]
"""(partition, offset)"""
Content = tuple[int, int, float] | bytes
"""A rating as (user, movie, stars), or the bytes of an event that is to be rejected."""


@dataclass(slots=True)
class Ledger:
    """Everything that ever went into one warehouse. `point` is the failpoint that an event was sent for."""

    topic: str
    seeded: set[tuple[int, int]] = field(default_factory=set)
    """(user, movie) pairs that were in the store before the first event."""
    seeded_rows: int = 0
    requests: int = 0
    sent: dict[Place, tuple[str, int, Content]] = field(default_factory=dict)
    """place → (point, user, content)"""
    removed: set[Place] = field(default_factory=set)
    """Events of users who asked to be forgotten afterwards."""
    forgotten: dict[int, str] = field(default_factory=dict)
    """Who asked to be forgotten → point"""
    hidden: set[int] = field(default_factory=set)
    """Movies that are on no list any more."""
    dismissed: set[tuple[int, int]] = field(default_factory=set)
    """(user, movie) pairs that are on no list of the user any more."""
    others: int = 0
    """Events that hid or dismissed a movie."""

    def forget(self, user_id: int, point: str) -> None:
        self.requests += 1
        self.forgotten[user_id] = point
        self.removed |= {place for place, (_, user, _) in self.sent.items() if user == user_id}
        self.seeded = {pair for pair in self.seeded if pair[0] != user_id}

    def taken(self) -> int:
        """Events that the store is to have taken in, rejects too."""
        return self.seeded_rows + len(self.sent) + self.requests + self.others


@dataclass(frozen=True, slots=True)
class AuditResult:
    """`lost` and `twice`: events by failpoint; twice are also those that were never sent. `left`: files that still hold
    someone who was forgotten. `miscounted`: what the store says to have taken in, less what was sent."""

    lost: Counter[str]
    twice: Counter[str]
    left: list[str]
    miscounted: int
    without_list: list[int]
    """Users who rated and have no list, or one with a movie that they rated."""
    shown_again: list[tuple[int, int]]
    """(user, movie) that are on a list, answered or stored in a table, though the movie is hidden or dismissed."""

    def nothing(self) -> bool:
        return not (self.lost or self.twice or self.left or self.miscounted or self.without_list or self.shown_again)


def all_taken(warehouse: Path, ledger: Ledger) -> bool:
    """Whether all events are in the store, all users folded in, all requests to be forgotten done, and hidden movies in no
    file of lists."""
    state, version = RatingsStore(warehouse).state(), RecommendationsStore(warehouse).current()
    folded = Updates(version.path).batch()
    stored = state.accepted + state.rejected >= ledger.taken() and folded == state.batch and not state.forgetting
    return stored and not ledger.hidden & _in_files(version)


def audit(warehouse: Path, ledger: Ledger) -> AuditResult:
    """Reads everything back; `all_taken` holds by now."""
    store = RatingsStore(warehouse)
    state, rows, rejects = store.state(), store.read(), store.read_rejects().to_pylist()
    live = rows.filter(pc.equal(rows["topic"], ledger.topic)).to_pylist()
    found: Counter[tuple[Place, Content | None]] = Counter(
        ((row["partition"], row["offset"]), (row["user_id"], row["movie_id"], row["rating"])) for row in live
    )
    found += Counter(((row["partition"], row["offset"]), row["raw"]) for row in rejects)
    wanted: Counter[tuple[Place, Content | None]] = Counter(
        (place, content) for place, (_, _, content) in ledger.sent.items() if place not in ledger.removed
    )
    # an event that came in one micro-batch with the request after it
    rejected_events: Counter[tuple[Place, Content | None]] = Counter({(place, None): 1 for place in ledger.removed})
    missing, more = wanted - found, found - wanted - rejected_events
    seeds = latest(rows.filter(pc.equal(rows["topic"], seed.TOPIC)))
    pairs = set(zip(seeds["user_id"].to_pylist(), seeds["movie_id"].to_pylist(), strict=True))
    return AuditResult(
        lost=_by_point(missing, ledger) + Counter(seed=len(ledger.seeded - pairs)),
        twice=_by_point(more, ledger) + Counter(seed=len(pairs - ledger.seeded)),
        left=_files_with(warehouse, ledger),
        miscounted=state.accepted + state.rejected - ledger.taken(),
        without_list=_without_list(warehouse, ledger),
        shown_again=shown_again(warehouse, ledger.hidden, ledger.dismissed),
    )


def look(warehouse: Path, user_ids: Sequence[int]) -> str:
    """Reads as users do, and returns the version. Raises what a reader sees, or ValueError for an answer that is a mix."""
    reader = reelstream.open(warehouse)
    table = reader.recommendations()
    version: str = _one(table["version"], "version of all lists")
    whole_lists(table)
    for user_id in user_ids:
        movies = reader.recommend(user_id, 20)
        _one(pa.array(movie.version for movie in movies), f"version of the list of {user_id}")
        _one(pa.array(movie.as_of for movie in movies), f"time of the list of {user_id}")
        if [movie.rank for movie in movies] != list(range(1, len(movies) + 1)):
            raise ValueError(f"the list of {user_id} has the ranks {[movie.rank for movie in movies]}")
        reader.predict(user_id, 1)
        reader.ratings(user_id)
    _one(pa.array(movie.version for movie in reader.popular()), "version of the popular movies")
    _one(pa.array(movie.version for movie in reader.similar(1)), "version of the similar movies")
    return version


def _in_files(version: Version) -> set[int]:
    """The movies on all lists as they lie on disk."""
    found: set[int] = set()
    for directory in ("users", "updates", "popular", "similar"):
        column = "similar_movie_id" if directory == "similar" else "movie_id"
        for path in version.path.glob(f"{directory}/*.parquet"):
            with suppress(FileNotFoundError):  # compacted meanwhile
                found.update(pointer.read_table(path, columns=[column])[column].to_pylist())
    return found


def shown_again(warehouse: Path, hidden: set[int], dismissed: set[tuple[int, int]]) -> list[tuple[int, int]]:
    """(user, movie) of all answers and tables that ought not to be there; user 0 is a list of nobody's."""
    reader = reelstream.open(warehouse)
    table = reader.recommendations()
    found = set(zip(table["user_id"].to_pylist(), table["movie_id"].to_pylist(), strict=True))
    for user_id in {user_id for user_id, _ in dismissed}:
        found |= {(user_id, movie.movie_id) for movie in reader.recommend(user_id, 200)}
    found |= {(0, movie.movie_id) for movie in reader.popular(200)} | {
        (0, movie.movie_id) for movie in reader.similar(1, 20)
    }
    return sorted(pair for pair in found if pair in dismissed or pair[1] in hidden)


def _one(values: Any, what: str) -> Any:
    different = pc.unique(values).to_pylist()
    if len(different) != 1:
        raise ValueError(f"not one {what}: {different}")
    return different[0]


def whole_lists(table: pa.Table) -> None:
    """Each user has one list: ranks from 1 on, of one time."""
    user, as_of = table["user_id"].to_numpy(), table["as_of"].cast(pa.int64()).to_numpy()
    _, first, of_user = np.unique(user, return_index=True, return_inverse=True)
    expected = np.arange(len(user)) - first[of_user] + 1
    mixed = (table["rank"].to_numpy() != expected) | (as_of != as_of[first][of_user])
    if mixed.any():
        raise ValueError(f"mixed lists of the users {np.unique(user[mixed]).tolist()}")


def _by_point(events: Counter[tuple[Place, Content | None]], ledger: Ledger) -> Counter[str]:
    counts: Counter[str] = Counter()
    for (place, _), n in events.items():
        counts[ledger.sent[place][0] if place in ledger.sent else "never sent"] += n
    return counts


def _without_list(warehouse: Path, ledger: Ledger) -> list[int]:
    table = reelstream.open(warehouse).recommendations()
    listed: dict[int, set[int]] = {}
    for user_id, movie_id in zip(table["user_id"].to_pylist(), table["movie_id"].to_pylist(), strict=True):
        listed.setdefault(user_id, set()).add(movie_id)
    rated: dict[int, set[int]] = {}
    for place, (_, user_id, content) in ledger.sent.items():
        if place not in ledger.removed and not isinstance(content, bytes):
            rated.setdefault(user_id, set()).add(content[1])
    return [user_id for user_id, movies in rated.items() if not listed.get(user_id) or listed[user_id] & movies]


def _files_with(warehouse: Path, ledger: Ledger) -> list[str]:
    """Parquet files, also those written aside, with rows of the forgotten who have not come back; or with what those who
    have come back had said before."""
    back = {user for place, (_, user, _) in ledger.sent.items() if place not in ledger.removed}
    away = pa.array(sorted(set(ledger.forgotten) - back), pa.int64())
    said = [ledger.sent[place][2] for place in sorted(ledger.removed)]
    raw = pa.array([content for content in said if isinstance(content, bytes)], pa.binary())
    left = []
    for path in sorted(path for path in warehouse.rglob("*.parquet*") if not path.name.startswith("forgotten-")):
        table = pq.ParquetFile(path).read()
        columns = (("user_id", away), ("raw", raw))
        if any(
            name in table.column_names and pc.any(pc.is_in(table[name], value_set=ids)).as_py() for name, ids in columns
        ):
            left.append(str(path.relative_to(warehouse)))
    return left
