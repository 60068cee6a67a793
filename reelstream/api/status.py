"""How a warehouse stands: what its pointers say, and what its processes say of themselves.

In: settings. Out: plain values. Next: `reelstream status` prints them, `serve` sends them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from reelstream.api.warehouse import existing
from reelstream.broker.embedded import running_broker
from reelstream.settings import Settings
from reelstream.store import adopted, run_files
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore


def collect(settings: Settings) -> dict[str, Any]:
    """All that `status --json` prints. Raises NotReady if there is no warehouse."""
    warehouse = existing(settings.warehouse)
    store = RatingsStore(warehouse).state()
    published = RecommendationsStore(warehouse)
    version = published.current_or_none()
    return {
        "warehouse": str(warehouse),
        "broker": settings.bootstrap_servers or running_broker(warehouse / "broker"),
        "ratings": {
            "accepted": store.accepted,
            "rejected": store.rejected,
            "batch": store.batch,
            "folders": len(store.directories),
            "offsets": store.offsets,
        },
        "stream": run_files.read(warehouse, "stream"),
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
