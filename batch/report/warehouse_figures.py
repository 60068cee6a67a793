"""What a person wants to know of a warehouse, as plain figures.

In: the tables of a warehouse. Out: `WarehouseFigures`. Next: `reelstream.batch.report.warehouse_page` shows them,
`reelstream report --json` prints them. Needs neither Kafka nor Spark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reelstream.als.arrays import I64
from reelstream.api.recommender import Recommender
from reelstream.api.status import collect
from reelstream.errors import NotReady
from reelstream.settings import Settings
from reelstream.store import version_history
from reelstream.store.movies import MoviesStore
from reelstream.store.quality import QualityStore
from reelstream.store.quality_figures import over_time
from reelstream.store.rating_rows import latest
from reelstream.store.ratings import RatingsStore

LOVED, LISTED = 5, 10
"""Movies of an example: the best rated ones, and those recommended."""
TOP_SHARE = 0.01
"""The share of the listed movies whose part of all places is told."""


@dataclass(frozen=True, slots=True)
class WarehouseFigures:
    """Each field is JSON-ready; `live` and `catalogue` are None where there is nothing to tell yet."""

    made_at: str
    warehouse: str
    unit: str
    """Stars or points: what so many of are given."""
    came_in: dict[str, Any]
    versions: list[dict[str, Any]]
    live: dict[str, Any] | None
    freshness: dict[str, Any]
    catalogue: dict[str, Any] | None
    examples: list[dict[str, Any]]
    popular: list[dict[str, Any]]


def gather(settings: Settings, user_ids: Sequence[int] = ()) -> WarehouseFigures:
    """user_ids: whose lists to show; without any, those of users with few, a usual number of and many ratings.

    Raises NotReady if there is no warehouse, DamagedStore if a table can't be read.
    """
    status = collect(settings)
    store = RatingsStore(settings.warehouse)
    ratings = latest(store.read())
    recommender = Recommender(settings.warehouse)
    catalogue, examples, popular = None, [], []
    try:
        lists = recommender.recommendations()
        catalogue = _catalogue(lists, status["current"], MoviesStore(settings.warehouse).read().num_rows)
        examples = [_example(recommender, user_id) for user_id in user_ids or _typical(ratings)]
        popular = [{"movie_id": movie.movie_id, "title": movie.title} for movie in recommender.popular(LISTED)]
    except NotReady:
        pass  # nothing is published yet, which the page says
    return WarehouseFigures(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        warehouse=str(settings.warehouse),
        unit=settings.scale.unit,
        came_in=_came_in(status, ratings, store.read_rejects()),
        versions=[{**row, "settings": _settings(row["tuning"])} for row in version_history.read(settings.warehouse)],
        live=over_time(QualityStore(settings.warehouse).read()),
        freshness=_freshness(status),
        catalogue=catalogue,
        examples=examples,
        popular=popular,
    )


def _came_in(status: dict[str, Any], ratings: pa.Table, rejects: pa.Table) -> dict[str, Any]:
    _, of_user = np.unique(ratings["user_id"].to_numpy(), return_counts=True)
    ends = pc.min_max(ratings["rated_at"]).as_py()
    return {
        "accepted": status["ratings"]["accepted"],
        "rejected": status["ratings"]["rejected"],
        "rejected_for": dict(_counts(rejects["reason"])),
        "micro_batches": status["ratings"]["batch"],
        "ratings": ratings.num_rows,
        "users": len(of_user),
        "movies": pc.count_distinct(ratings["movie_id"]).as_py(),
        "median_ratings_of_a_user": float(np.median(of_user)) if len(of_user) else None,
        "mean_rating": pc.mean(ratings["rating"]).as_py(),
        "first": ends["min"] and ends["min"].isoformat(),
        "last": ends["max"] and ends["max"].isoformat(),
        "by_stars": [[round(stars, 2), count] for stars, count in _counts(ratings["rating"])],
        "by_month": _counts(pc.strftime(ratings["rated_at"], "%Y-%m")),
    }


def _settings(tuning: dict[str, Any] | None) -> str:
    """How a version came to its settings, in a few words."""
    if not tuning or "how" not in tuning:
        return ""
    new = sum(len(row["adopted"]) for row in tuning["tried"])
    return f"{tuning['how']}, {new} new" if new else str(tuning["how"])


def _counts(values: pa.ChunkedArray) -> list[list[Any]]:
    """[value, how often it stands there], ascending."""
    return sorted([row["values"], row["counts"]] for row in pc.value_counts(values).to_pylist())


def _freshness(status: dict[str, Any]) -> dict[str, Any]:
    stream, current = status["stream"], status["current"]
    return {
        "stream": "never ran" if not stream else stream["state"] if stream["alive"] else "does not run",
        "lag_events": stream["lag_events"] if stream and stream["alive"] else None,
        "median_micro_batch": (stream or {}).get("median_batch") or {},
        "version": current and current["version"],
        "age_s": current and current["age_s"],
        "ratings_since": current and current["ratings_since"],
    }


def _catalogue(lists: pa.Table, current: dict[str, Any], titles: int) -> dict[str, Any]:
    """How the places of all lists are shared out among the movies."""
    _, counts = np.unique(lists["movie_id"].to_numpy(), return_counts=True)
    places = np.sort(counts)[::-1].astype(np.int64)  # [movies on a list]
    top = max(1, round(TOP_SHARE * len(places)))
    return {
        "titles": titles,
        "movies": current["movies"],
        "on_a_list": len(places),
        "coverage": _share(len(places), current["movies"]),
        "lists": pc.count_distinct(lists["user_id"]).as_py(),
        "top_movies": top,
        "share_of_top_movies": _share(float(places[:top].sum()), float(places.sum())),
        "places_held": _shares(places),
    }


def _shares(places: I64) -> list[float]:
    """The share of all places that the first 0, 1, … 100 % of the movies hold."""
    held = np.concatenate([[0], np.cumsum(places)]) / max(1, places.sum())
    at = np.linspace(0, len(places), 101)
    return [round(float(share), 4) for share in np.interp(at, np.arange(len(held)), held)]


def _typical(ratings: pa.Table) -> list[int]:
    user_ids, counts = np.unique(ratings["user_id"].to_numpy(), return_counts=True)
    order = np.argsort(counts, kind="stable")
    wanted = dict.fromkeys(int(at) for at in (0, (len(order) - 1) // 2, len(order) - 1) if len(order))
    return [int(user_ids[order[at]]) for at in wanted]


def _example(recommender: Recommender, user_id: int) -> dict[str, Any]:
    ratings = recommender.ratings(user_id).sort_by([("rating", "descending"), ("rated_at", "descending")])
    best = ratings.slice(0, LOVED).to_pylist()
    movies = recommender.recommend(user_id, LISTED)
    return {
        "user_id": user_id,
        "ratings": ratings.num_rows,
        "source": movies[0].source if movies else None,
        "loved": [
            {"movie_id": row["movie_id"], "title": recommender.title(row["movie_id"]), "rating": row["rating"]}
            for row in best
        ],
        "recommended": [
            {"movie_id": movie.movie_id, "title": movie.title, "predicted_rating": movie.predicted_rating}
            for movie in movies
        ],
    }


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
