"""The part of `status` about live quality.

In: what `reelstream.stream.quality.Quality.summary` gives. Out: a small table.
"""

from __future__ import annotations

from typing import Any

from reelstream.cli.options import out, print_table

BASELINES = {
    "RMSE": ("rmse", {"biases only": "bias_only_rmse"}),
    "hit rate@10": ("hit_rate", {"popularity": "popular_hit_rate", "popularity of late": "recent_hit_rate"}),
    "nDCG@10": ("ndcg_at_10", {"popularity": "popular_ndcg_at_10", "popularity of late": "recent_ndcg_at_10"}),
}


def print_quality(summary: dict[str, Any]) -> None:
    """Both models beside their baselines, over all scored ratings and over the newest ones."""
    columns = (summary["total"], summary["sliding"])
    if not summary["total"]["ratings"]:
        text = "No live rating was scored yet: that takes a published version, and a movie new to its user."
        out.print(text, soft_wrap=True)
        return
    rows: list[tuple[str | None, ...]] = [("ratings", *(f"{column['ratings']:,}" for column in columns))]
    for title, (name, baselines) in BASELINES.items():
        rows.append((title, *(_with_interval(column, name) for column in columns)))
        rows += [
            (f"  {baseline}", *(_figure(column.get(key)) for column in columns)) for baseline, key in baselines.items()
        ]
    print_table("Live quality", ("", "total", "the newest"), rows)
    out.print("Each rating was scored before it was learned from; intervals are of 95 %.")


def _with_interval(column: dict[str, Any], name: str) -> str | None:
    """Such as `0.133 (0.124–0.143)`."""
    low, high = column.get(f"{name}_low"), column.get(f"{name}_high")
    figure = _figure(column.get(name))
    return figure if low is None or high is None else f"{figure} ({low:.3f}–{high:.3f})"


def _figure(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"
