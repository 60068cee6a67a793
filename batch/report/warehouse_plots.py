"""The plots of a report on a warehouse, each with a plain reading of what it shows.

In: `WarehouseFigures`. Out: `Plot`s, SVG as text. Next: `reelstream.batch.report.warehouse_page` puts them on a page.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from reelstream.batch.report.html_page import Plot
from reelstream.batch.report.svg_plot import MODEL, OTHER, svg
from reelstream.batch.report.warehouse_figures import WarehouseFigures

NOTHING = "There is nothing to draw yet."
LABELS = 6
"""Words below an axis, at the most."""
POINTS = 30
"""Points of a line over time, about, at the most."""


def came_in(figures: WarehouseFigures) -> list[Plot]:
    return [by_month(figures), by_stars(figures)]


def by_month(figures: WarehouseFigures) -> Plot:
    title, months = "When were the movies rated?", figures.came_in["by_month"]
    if not months:
        return Plot(title, "", "", NOTHING)
    counts = [count for _, count in months]

    def draw(axes: Axes) -> None:
        axes.bar(range(len(months)), counts, 0.9, color=MODEL)
        at = np.unique(np.linspace(0, len(months) - 1, min(LABELS, len(months))).round().astype(int))
        axes.set_xticks(at, [months[i][0] for i in at])
        axes.set(ylabel="ratings")
        axes.grid(False, axis="x")

    most = max(months, key=lambda month: month[1])
    span = f"from {months[0][0]} to {months[-1][0]}"
    reading = f"{len(months):,} months with ratings, {span}; the most in {most[0]}, {most[1]:,}."
    return Plot(title, svg(draw, "by-month"), f"Ratings in each month. {reading}", reading)


def by_stars(figures: WarehouseFigures) -> Plot:
    title, stars = "How many stars are given?", figures.came_in["by_stars"]
    if not stars:
        return Plot(title, "", "", NOTHING)

    def draw(axes: Axes) -> None:
        axes.bar([f"{value:g}" for value, _ in stars], [count for _, count in stars], 0.8, color=MODEL)
        axes.set(xlabel="stars", ylabel="ratings")
        axes.grid(False, axis="x")

    most = max(stars, key=lambda one: one[1])
    share = most[1] / sum(count for _, count in stars)
    reading = (
        f"On average {figures.came_in['mean_rating']:.2f} stars; most often {most[0]:g}, {share:.0%} of all ratings."
    )
    return Plot(title, svg(draw, "by-stars"), f"Number of ratings by stars. {reading}", reading)


def versions(figures: WarehouseFigures) -> list[Plot]:
    return [
        _lines(
            figures,
            "Is the predicted rating better than the bias-only baseline?",
            "RMSE in stars",
            "rmse",
            "rmse_bias_only",
            True,
        ),
        _lines(
            figures,
            "Is the list better than a popularity list?",
            "nDCG@10",
            "ndcg_at_10",
            "ndcg_at_10_popularity",
            False,
        ),
    ]


def _lines(figures: WarehouseFigures, title: str, unit: str, ours: str, base: str, lower: bool) -> Plot:
    rows = [row for row in figures.versions if row[ours] is not None and row[base] is not None]
    if not rows:
        return Plot(title, "", "", "No refit had enough ratings to hold some out and measure.")
    names = {ours: "this model", base: "biases only" if lower else "popularity"}

    def draw(axes: Axes) -> None:
        for field, colour, style in ((ours, MODEL, "-"), (base, OTHER, "--")):
            axes.plot(
                range(len(rows)), [row[field] for row in rows], style, marker="o", color=colour, label=names[field]
            )
        at = np.unique(np.linspace(0, len(rows) - 1, min(LABELS, len(rows))).round().astype(int))
        axes.set_xticks(at, [str(int(rows[i]["version"])) for i in at])
        axes.set(xlabel="version", ylabel=unit)
        axes.legend()

    won = sum(row[ours] < row[base] if lower else row[ours] > row[base] for row in rows)
    last = rows[-1]
    reading = (
        f"{'Lower' if lower else 'Higher'} is better. The model was better in {won} of {len(rows)} "
        f"{'version' if len(rows) == 1 else 'versions'}; in the newest it has {last[ours]:.3f}, {names[base]} {last[base]:.3f}."
    )
    return Plot(title, svg(draw, ours), f"{unit} of each version. {reading}", reading)


def live(figures: WarehouseFigures) -> list[Plot]:
    title = "How well are live ratings predicted?"
    if not figures.live:
        return [
            Plot(
                title,
                "",
                "",
                "No live rating was scored yet: that takes a published version, and a movie new to its user.",
            )
        ]
    value, points = figures.live, _points(figures.live["over_time"])
    if len(points) < 2:
        return [Plot(title, "", "", "There are too few minutes with live ratings for a line.")]
    times = [datetime.fromisoformat(point["ended_at"]).timestamp() for point in points]

    def draw(axes: Axes) -> None:
        for field, colour, style, label in (
            ("rmse", MODEL, "-", "this model"),
            ("bias_only_rmse", OTHER, "--", "biases only"),
        ):
            axes.plot(times, [point[field] for point in points], style, marker=".", color=colour, label=label)
        at = np.linspace(times[0], times[-1], 3)
        axes.set_xticks(at, [datetime.fromtimestamp(time, UTC).strftime("%d %b %H:%M") for time in at])
        axes.set(ylabel="RMSE in stars")
        axes.legend()

    reading = (
        f"Lower is better. RMSE {value['rmse']:.3f} in all, the bias-only baseline {value['bias_only_rmse']:.3f}; each "
        f"point is of {value['ratings'] / len(points):,.0f} ratings on average, and of "
        f"{min(p['ratings'] for p in points):,} at the least."
    )
    return [Plot(title, svg(draw, "live"), f"RMSE over time. {reading}", reading)]


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


def catalogue(figures: WarehouseFigures) -> list[Plot]:
    title = "Do the lists show the whole catalogue?"
    if not figures.catalogue or not figures.catalogue["on_a_list"]:
        return [Plot(title, "", "", NOTHING)]
    value = figures.catalogue

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
    return [Plot(title, svg(draw, "catalogue"), f"Share of places by share of movies. {reading}", reading)]
