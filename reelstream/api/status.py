"""How a warehouse stands: what its pointers say, and what its processes say of themselves.

In: settings. Out: plain values. Next: `reelstream status` prints them, `serve` sends them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from reelstream.api.warehouse import existing
from reelstream.broker.embedded import running_broker
from reelstream.settings import Settings
from reelstream.store import adopted, run_files
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore

MANY, FAR_S = 0.01, 3600.0
"""A share of ratings from clocks that are ahead is many; that far ahead, any of them is worth a warning."""


def collect(settings: Settings) -> dict[str, Any]:
    """All that `status --json` prints. Raises NotReady if there is no warehouse."""
    warehouse = existing(settings.warehouse)
    store = RatingsStore(warehouse).state()
    published = RecommendationsStore(warehouse)
    version = published.current_or_none()
    stream = run_files.read(warehouse, "stream")
    return {
        "warehouse": str(warehouse),
        "broker": settings.bootstrap_servers or running_broker(warehouse / "broker"),
        "ratings": {
            "accepted": store.accepted,
            "rejected": store.rejected,
            "tombstones": store.tombstones,
            "batch": store.batch,
            "folders": len(store.directories),
            "offsets": store.offsets,
        },
        "stream": stream,
        "warnings": warnings(stream or {}),
        "trigger": run_files.read(warehouse, "trigger"),
        "refit": run_files.read(warehouse, "refit"),
        "serve": run_files.read(warehouse, "serve"),
        "adopted_settings": adopted.place(warehouse).exists(),
        "current": version
        and {
            "version": version.name,
            "as_of": version.as_of,
            "published_at": version.published_at,
            "age_s": round((datetime.now(UTC) - version.published_at).total_seconds(), 1),
            "ratings_since": store.accepted - version.accepted,
            "folded_in_up_to_batch": published.counted_up_to(),
            "rolled_back": version.rolled_back,
            **version.info,
        },
        "versions": published.versions(),
    }


def warnings(stream: Mapping[str, Any]) -> list[str]:
    """What the times of events say of the clocks that they come from, by `run/stream.json`."""
    found = []
    ahead = stream.get("clocks_ahead") or {}
    if n := ahead.get("ahead"):
        share, by_s = n / ahead["ratings"], ahead["ahead_s"]
        if share >= MANY or by_s >= FAR_S:
            of = f"{share:.0%}" if share >= MANY else f"{n:,}"
            by = f"{by_s / 3600:.0f} h" if by_s >= FAR_S else f"{by_s / 60:.0f} min"
            found.append(
                f"{of} of the last {ahead['ratings']:,} ratings {'comes' if of == '1' else 'come'} from clocks that are about "
                f"{by} ahead; until then they win over newer ones; correct those clocks"
            )
    if n := stream.get("implausible_times"):
        found.append(
            f"{n:,} record{'' if n == 1 else 's'} with implausible times (before 1990, or more than a day ahead), "
            "left out of the time in the queue; "
            "correct the clock or the unit that their producer sends"
        )
    return found
