"""What sums of scored ratings come to: rates, errors, and their intervals.

In: sums of the table `quality`. Out: figures by name. Next: the stream writes them; `status`, the report and the page show
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

SIGMAS = 1.96
"""Standard errors from the middle of a 95 % interval to its ends."""
POINTS = 30
"""Points of a line over time, about, at the most."""
SUMS = (
    "ratings",
    "squared_error",
    "squared_error_squares",
    "bias_only_squared_error",
    "liked",
    "hits",
    "gain",
    "gain_squares",
    "popular_hits",
    "popular_gain",
    "recent_hits",
    "recent_gain",
)
"""Columns that add up; what each means is in `reelstream.stream.prequential.Scores`."""


def figures(sums: Mapping[str, float]) -> dict[str, float | None]:
    """rmse and bias_only_rmse in stars, hit_rate and ndcg_at_10, popular_ and recent_ of both, and `…_low` and `…_high`, the
    ends of 95 % intervals, of what the models have; None where they are not defined.

    Intervals are by the normal distribution, of the hit rate Wilson's (JASA 1927), as if ratings were independent.
    """
    n, liked = int(sums["ratings"]), int(sums["liked"])
    errors = _mean_interval(sums["squared_error"], sums["squared_error_squares"], n)
    gains = _mean_interval(sums["gain"], sums["gain_squares"], liked)
    hits = _wilson(sums["hits"], liked)
    return {
        "rmse": _root(_mean(sums["squared_error"], n)),
        "bias_only_rmse": _root(_mean(sums["bias_only_squared_error"], n)),
        "hit_rate": _mean(sums["hits"], liked),
        "popular_hit_rate": _mean(sums["popular_hits"], liked),
        "recent_hit_rate": _mean(sums["recent_hits"], liked),
        "ndcg_at_10": _mean(sums["gain"], liked),
        "popular_ndcg_at_10": _mean(sums["popular_gain"], liked),
        "recent_ndcg_at_10": _mean(sums["recent_gain"], liked),
        "rmse_low": _root(errors[0]),
        "rmse_high": _root(errors[1]),
        "hit_rate_low": hits[0],
        "hit_rate_high": hits[1],
        "ndcg_at_10_low": gains[0],
        "ndcg_at_10_high": gains[1],
    }


def over_time(quality: pa.Table) -> dict[str, Any] | None:
    """ratings, liked and the figures of all rows, and as over_time `ended_at` and the sums of each; None without a row.

    quality: the table. Rows of an older reelstream, which lack sums, are left out.
    """
    quality = quality.filter(pc.is_valid(quality["gain"]))
    if not quality.num_rows:
        return None
    sums = {name: pc.sum(quality[name]).as_py() for name in SUMS}
    rows = quality.select(["ended_at", *SUMS]).to_pylist()
    return {
        "ratings": sums["ratings"],
        "liked": sums["liked"],
        **figures(sums),
        "over_time": [{**row, "ended_at": row["ended_at"].isoformat()} for row in rows],
    }


def points(rows: list[dict[str, Any]], counted: str) -> list[dict[str, Any]]:
    """The rows of `over_time` put together until each has its share of what is counted, and the figures of these, POINTS at
    the most: a minute with one rating says nothing by itself."""
    rows = [row for row in rows if row[counted]]
    least = sum(row[counted] for row in rows) / POINTS
    found: list[dict[str, Any]] = []
    for row in rows:
        if found and found[-1][counted] < least:
            found[-1] = _together(found[-1], row)
        else:
            found.append(row)
    if len(found) > 1 and found[-1][counted] < least:
        last = found.pop()
        found[-1] = _together(found[-1], last)
    return [{**point, **figures(point)} for point in found]


def _together(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    return {"ended_at": other["ended_at"], **{name: one[name] + other[name] for name in SUMS}}


Ends = tuple[float | None, float | None]


def _mean(total: float, n: int) -> float | None:
    return max(total, 0.0) / n if n else None


def _root(square: float | None) -> float | None:
    return None if square is None else square**0.5


def _mean_interval(total: float, squares: float, n: int) -> Ends:
    """Of a mean of n numbers, none below 0, from their sum and the sum of their squares."""
    if n < 2:
        return None, None
    mean = total / n
    half = SIGMAS * (max(squares / n - mean * mean, 0.0) / (n - 1)) ** 0.5
    return max(mean - half, 0.0), mean + half


def _wilson(hits: float, n: int) -> Ends:
    if not n:
        return None, None
    rate, spread = hits / n, SIGMAS**2 / n
    middle, half = rate + spread / 2, (spread * (rate * (1 - rate) + spread / 4)) ** 0.5
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))
