"""The figures of `compare` as a table to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COLUMNS = {
    "fit_s": ("fit s", ".3f"),
    "iteration_s": ("an iteration s", ".4f"),
    "top_n_s": ("top 10 s", ".3f"),
    "peak_mb": ("peak MB", ".0f"),
    "peak_mb_of_children": ("and its JVM", ".0f"),
    "rmse": ("RMSE", ".4f"),
    "ndcg_at_10": ("nDCG@10", ".4f"),
}


def as_text(figures: Mapping[str, Any]) -> str:
    """One line a contestant, then the baselines, the settings and how many times faster ours is."""
    rows = [["", *(title for title, _ in COLUMNS.values())]]
    for name, each in figures["contestants"].items():
        rows.append([name, *(format(each[key], form) if key in each else "" for key, (_, form) in COLUMNS.items())])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
    lines += ["", *(f"{name} {value}" for name, value in figures["baselines"].items()), ""]
    for name, each in figures["contestants"].items():
        lines.append(f"{name}: {each['settings']}")
        if "top_n_would_take_s" in each:
            lines.append(f"{name}: lists of all users would take {each['top_n_would_take_s']:.0f} s; not made")
    lines += ["", *(f"{what}: ours is {times} times as fast" for what, times in figures["times_faster_than"].items())]
    return "\n".join(lines)
