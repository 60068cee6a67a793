"""The part of `status` about live quality.

In: what `reelstream.stream.quality.Quality.summary` gives. Out: a small table.
"""

from __future__ import annotations

from typing import Any

from reelstream.cli.options import out, print_table


def print_quality(summary: dict[str, Any]) -> None:
    """Both models beside their baselines, over all scored ratings and over the newest ones."""
    columns = (summary["total"], summary["sliding"])
    if not summary["total"]["ratings"]:
        text = "No live rating was scored yet: that takes a published version, and a movie new to its user."
        out.print(text, soft_wrap=True)
        return
    figures = {"rmse": "RMSE", "bias_only_rmse": "biases only"}
    figures |= {"hit_rate": "hit rate@10", "popular_hit_rate": "popularity's"}
    rows = [
        ("ratings", *(f"{column['ratings']:,}" for column in columns)),
        *((name, *(_figure(column[key]) for column in columns)) for key, name in figures.items()),
    ]
    print_table("Live quality", ("", "total", "the newest"), rows)
    out.print("Each rating was scored before it was learned from.")


def _figure(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"
