"""The plots of a report on a warehouse, each with a plain reading of what it shows.

In: `WarehouseFigures`. Out: `Plot`s, SVG as text. Next: `reelstream.batch.report.warehouse_page` puts them on a page.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from reelstream.batch.report.svg_plot import MODEL, OTHER, Plot, bars, label, lines, svg
from reelstream.batch.report.warehouse_figures import WarehouseFigures

NOTHING = "There is nothing to draw yet."
LABELS = 6
"""Words below an axis, at the most."""
POINTS = 30
"""Points of a line over time, about, at the most."""


def all_plots(figures: WarehouseFigures) -> dict[str, list[Plot]]:
    """By section of the page."""
    return {
        "came_in": [by_month(figures), by_stars(figures)],
        "versions": [rmse_by_version(figures), ndcg_by_version(figures)],
        "live": [live(figures)],
        "catalogue": [catalogue(figures)],
    }


def by_month(figures: WarehouseFigures) -> Plot:
    title, counts = "When were the movies rated?", dict(figures.came_in["by_month"])
    if not counts:
        return Plot(title, "", NOTHING)
    months = list(counts)

    def draw(axes: Axes) -> None:
        bars(axes, {"ratings": list(counts.values())}, months, width=0.9, most=LABELS)
        axes.set(ylabel="ratings")

    most = max(months, key=counts.__getitem__)
    span = f"from {months[0]} to {months[-1]}"
    reading = f"{len(months):,} months with ratings, {span}; the most in {most}, {counts[most]:,}."
    return Plot(title, svg(draw, "by-month", f"Ratings in each month. {reading}"), reading)


def by_stars(figures: WarehouseFigures) -> Plot:
    title, counts = "How many stars are given?", dict(figures.came_in["by_stars"])
    if not counts:
        return Plot(title, "", NOTHING)

    def draw(axes: Axes) -> None:
        bars(axes, {"ratings": list(counts.values())}, [f"{stars:g}" for stars in counts], width=0.8)
        axes.set(xlabel="stars", ylabel="ratings")

    most = max(counts, key=counts.__getitem__)
    share, mean = counts[most] / sum(counts.values()), figures.came_in["mean_rating"]
    reading = f"On average {mean:.2f} stars; most often {most:g}, {share:.0%} of all ratings."
    return Plot(title, svg(draw, "by-stars", f"Number of ratings by stars. {reading}"), reading)


def rmse_by_version(figures: WarehouseFigures) -> Plot:
    title = "Is the predicted rating better than the bias-only baseline?"
    return _by_version(figures, title, "RMSE in stars", "rmse", "rmse_bias_only", "biases only")


def ndcg_by_version(figures: WarehouseFigures) -> Plot:
    title = "Is the list better than a popularity list?"
    return _by_version(figures, title, "nDCG@10", "ndcg_at_10", "ndcg_at_10_popularity", "popularity")


def _by_version(figures: WarehouseFigures, title: str, unit: str, ours: str, base: str, baseline: str) -> Plot:
    rows = [row for row in figures.versions if row[ours] is not None and row[base] is not None]
    if not rows:
        return Plot(title, "", "No refit had enough ratings to hold some out and measure.")

    def draw(axes: Axes) -> None:
        heights = {"this model": [row[ours] for row in rows], baseline: [row[base] for row in rows]}
        lines(axes, range(len(rows)), heights, "o")
        label(axes, [str(int(row["version"])) for row in rows], LABELS)
        axes.set(xlabel="version", ylabel=unit)

    lower, last = ours == "rmse", rows[-1]
    won = sum(row[ours] < row[base] if lower else row[ours] > row[base] for row in rows)
    reading = (
        f"{'Lower' if lower else 'Higher'} is better. The model was better in {won} of {len(rows)} "
        f"{'version' if len(rows) == 1 else 'versions'}; in the newest it has {last[ours]:.3f}, {baseline} {last[base]:.3f}."
    )
    return Plot(title, svg(draw, ours, f"{unit} of each version. {reading}"), reading)


def live(figures: WarehouseFigures) -> Plot:
    title, value = "How well are live ratings predicted?", figures.live
    if not value:
        why = "No live rating was scored yet: that takes a published version, and a movie new to its user."
        return Plot(title, "", why)
    points = _points(value["over_time"])
    if len(points) < 2:
        return Plot(title, "", "There are too few minutes with live ratings for a line.")
    times = [datetime.fromisoformat(point["ended_at"]).timestamp() for point in points]

    def draw(axes: Axes) -> None:
        names = {"this model": "rmse", "biases only": "bias_only_rmse"}
        lines(axes, times, {name: [point[field] for point in points] for name, field in names.items()}, ".")
        at = np.linspace(times[0], times[-1], 3)
        axes.set_xticks(at, [datetime.fromtimestamp(time, UTC).strftime("%d %b %H:%M") for time in at])
        axes.set(ylabel="RMSE in stars")

    reading = (
        f"Lower is better. RMSE {value['rmse']:.3f} in all, the bias-only baseline {value['bias_only_rmse']:.3f}; each "
        f"point is of {value['ratings'] / len(points):,.0f} ratings on average, and of "
        f"{min(p['ratings'] for p in points):,} at the least."
    )
    return Plot(title, svg(draw, "live", f"RMSE over time. {reading}"), reading)


def _points(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows put together until each point has its share of the ratings: a minute with one rating says nothing by itself."""
    rows = [row for row in rows if _measured(row)]
    least = sum(row["ratings"] for row in rows) / POINTS
    points: list[dict[str, Any]] = []
    for row in rows:
        if points and points[-1]["ratings"] < least:
            points[-1] = _together(points[-1], row)
        else:
            points.append(row)
    if len(points) > 1 and points[-1]["ratings"] < least:
        last = points.pop()
        points[-1] = _together(points[-1], last)
    return points


def _measured(row: dict[str, Any]) -> bool:
    return bool(row["ratings"]) and row["rmse"] is not None and row["bias_only_rmse"] is not None


def _together(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    n = one["ratings"] + other["ratings"]
    errors = {
        field: float(np.sqrt((one["ratings"] * one[field] ** 2 + other["ratings"] * other[field] ** 2) / n))
        for field in ("rmse", "bias_only_rmse")
    }
    return {**errors, "ratings": n, "ended_at": other["ended_at"]}


def catalogue(figures: WarehouseFigures) -> Plot:
    title, value = "Do the lists show the whole catalogue?", figures.catalogue
    if not value or not value["on_a_list"]:
        return Plot(title, "", NOTHING)

    def draw(axes: Axes) -> None:
        percent = np.arange(101)
        axes.plot(percent, percent, "--", color=OTHER, linewidth=1, label="all movies alike")
        axes.plot(percent, 100 * np.array(value["places_held"]), color=MODEL, label="the lists")
        axes.set(xlabel="% of the movies on some list, the most shown first", ylabel="% of all places")
        axes.legend()

    top, share = value["top_movies"], value["share_of_top_movies"]
    reading = (
        f"{value['on_a_list']:,} of {value['movies']:,} rated movies are on somebody's list, {value['coverage']:.0%}. "
        f"The {top:,} most shown of them hold {share:.0%} of all places."
    )
    return Plot(title, svg(draw, "catalogue", f"Share of places by share of movies. {reading}"), reading)
