"""A rollback: an older version that is still kept takes the place of the current one.

In: a version's name and a reason. Out: the moved pointer, and a row of the history. Next: the stream takes the version up as
it does one of a refit, and folds in who has rated since; readers follow the pointer.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from reelstream.errors import Busy, DamagedStore, MissingRequirement, NotReady, UsageError
from reelstream.store import models, new_movies, version_history
from reelstream.store.locks import exclusive
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import NOTHING_PUBLISHED, RecommendationsStore, Version
from reelstream.store.updates import Updates


@dataclass(frozen=True, slots=True)
class RolledBack:
    """`version` is the current one now; `place_of` names the one before, None where it was the current one already."""

    version: Version
    place_of: str | None


def rollback(warehouse: Path, name: str | None = None, reason: str | None = None) -> RolledBack:
    """Publishes a kept version again; by default the one that was current before the current one, and is older.

    1. find it
    2. read all of its files, with their checksums
    3. move the pointer, then the link `latest`
    4. write it into the history

    Raises NotReady if nothing is published or no older version is kept, UsageError for a name that is not kept, Busy while
    a refit runs, DamagedStore if a file of the version is. Then nothing has changed.
    """
    published = RecommendationsStore(warehouse)
    try:
        with exclusive(warehouse / "run" / "refit.lock", "A refit"):
            with suppress(MissingRequirement, OSError):
                version_history.take_up(warehouse)
            current = published.current()
            name = name or previous(published.kept())  # 1
            if name == current.name:
                published.link_latest(current)
                return RolledBack(current, None)
            try:
                version = _kept(published, name)
                _read(published, version)  # 2
            except (DamagedStore, FileNotFoundError) as error:
                raise DamagedStore(f"version {name} is not whole, so nothing was changed: {error}") from error
            accepted = RatingsStore(warehouse).state().accepted
            version = published.publish_again(version, reason=reason, accepted=accepted)  # 3
            with suppress(MissingRequirement, OSError):  # it is published; the next refit adds it to the history
                version_history.add_rollback(warehouse, version)  # 4
            return RolledBack(version, current.name)
    except Busy as busy:
        raise Busy(
            "a refit or another rollback runs on this warehouse, and would publish a version after yours; wait for it to "
            "end, or end it, then roll back again. `reelstream status` shows how far it is."
        ) from busy


def previous(kept: tuple[str, ...]) -> str:
    """The version that a rollback without a name publishes. Raises NotReady if there is none."""
    if not kept:
        raise NotReady(NOTHING_PUBLISHED)
    older = [name for name in kept if name < kept[-1]]
    if not older:
        others = f"; kept are {', '.join(sorted(kept[:-1]))}, which are newer: name one" if kept[1:] else ""
        raise NotReady(f"no version before {kept[-1]} is kept{others}. The setting keep_versions says how many stay.")
    return older[-1]


def _kept(published: RecommendationsStore, name: str) -> Version:
    kept = published.kept()
    if name not in kept:
        listed = ", ".join(f"{one} (current)" if one == kept[-1] else one for one in sorted(kept))
        why = "was never published" if (published.models_path / f"version={name}").exists() else "is not kept"
        raise UsageError(f"version {name} {why}; kept are {listed}. `reelstream rollback --list` shows them.")
    info = models.refit_info(published.models_path / f"version={name}")
    if "fitted_at" not in info:
        raise UsageError(
            f"version {name} is of an older reelstream, which did not write all that this needs; name another."
        )
    return Version(
        name=name,
        path=published.path / f"version={name}",
        model_path=published.models_path / f"version={name}",
        as_of=datetime.fromisoformat(info["fitted_at"]),
        published_at=datetime.fromisoformat(info["fitted_at"]),
        batch=info.get("batch", 0),  # an older reelstream did not write it: all users are folded in anew
        accepted=info.get("accepted", 0),
        info=info,
    )


def _read(published: RecommendationsStore, version: Version) -> None:
    """Reads all that readers, the stream and the next refit need of the version. Raises DamagedStore or FileNotFoundError if
    a file is not whole."""
    new_movies.load_factors(version, models.load(version.model_path))
    if (measured := version.model_path / models.MEASURED).exists():
        models.load(measured)
    for kind in ("users", "similar", "popular"):
        published.read(kind, version)
    new_movies.read_similar(version)
    Updates(version.path).read()
