"""The plots of a report on a warehouse, each with a plain reading of what it shows.

In: `WarehouseFigures`. Out: `Plot`s, SVG as text. Next: `reelstream.batch.report.warehouse_page` puts them on a page.
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from matplotlib.axes import Axes

from reelstream.batch.report.svg_plot import MODEL, OTHER, Plot, bars, label, lines, svg
from reelstream.batch.report.warehouse_figures import WarehouseFigures
from reelstream.store.quality_figures import points

NOTHING = "There is nothing to draw yet."
LABELS = 6
"""Words below an axis, at the most."""


def all_plots(figures: WarehouseFigures) -> dict[str, list[Plot]]:
    """By section of the page."""
    return {
        "came_in": [by_month(figures), by_stars(figures)],
        "versions": [rmse_by_version(figures), ndcg_by_version(figures)],
        "live": [live_rmse(figures), live_hits(figures), live_ndcg(figures)],
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
    title, counts = f"How many {figures.unit} are given?", dict(figures.came_in["by_stars"])
    if not counts:
        return Plot(title, "", NOTHING)

    def draw(axes: Axes) -> None:
        bars(axes, {"ratings": list(counts.values())}, [f"{stars:g}" for stars in counts], width=0.8)
        axes.set(xlabel=figures.unit, ylabel="ratings")

    most = max(counts, key=counts.__getitem__)
    share, mean = counts[most] / sum(counts.values()), figures.came_in["mean_rating"]
    reading = f"On average {mean:.2f} {figures.unit}; most often {most:g}, {share:.0%} of all ratings."
    return Plot(title, svg(draw, "by-stars", f"Number of ratings by {figures.unit}. {reading}"), reading)


def rmse_by_version(figures: WarehouseFigures) -> Plot:
    title = "Is the predicted rating better than the bias-only baseline?"
    return _by_version(figures, title, f"RMSE in {figures.unit}", "rmse", "rmse_bias_only", "biases only")


def ndcg_by_version(figures: WarehouseFigures) -> Plot:
    title = "Is the list better than a popularity list?"
    return _by_version(figures, title, "nDCG@10", "ndcg_at_10", "ndcg_at_10_popularity", "popularity")


def _by_version(figures: WarehouseFigures, title: str, unit: str, ours: str, base: str, baseline: str) -> Plot:
    rows = [row for row in figures.versions if not row["rolled_back"] and None not in (row[ours], row[base])]
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


def live_rmse(figures: WarehouseFigures) -> Plot:
    title = "How well are live ratings predicted?"
    return _live(figures, title, f"RMSE in {figures.unit}", "rmse", {"biases only": "bias_only_rmse"})


def live_hits(figures: WarehouseFigures) -> Plot:
    title = "How often was the movie that they came to like among the ten?"
    baselines = {"popularity": "popular_hit_rate", "popularity of late": "recent_hit_rate"}
    return _live(figures, title, "hit rate@10", "hit_rate", baselines)


def live_ndcg(figures: WarehouseFigures) -> Plot:
    title = "And how far up was it?"
    baselines = {"popularity": "popular_ndcg_at_10", "popularity of late": "recent_ndcg_at_10"}
    return _live(figures, title, "nDCG@10", "ndcg_at_10", baselines)


def _live(figures: WarehouseFigures, title: str, unit: str, ours: str, baselines: dict[str, str]) -> Plot:
    value = figures.live
    if not value:
        why = "No live rating was scored yet: that takes a published version, and a movie new to its user."
        return Plot(title, "", why)
    over = points(value["over_time"], "ratings" if ours == "rmse" else "liked")
    if len(over) < 2:
        return Plot(title, "", "There are too few minutes with live ratings for a line.")
    times = [datetime.fromisoformat(point["ended_at"]).timestamp() for point in over]

    def draw(axes: Axes) -> None:
        low, high = ([_drawn(point[f"{ours}_{end}"]) for point in over] for end in ("low", "high"))
        axes.fill_between(times, low, high, color=MODEL, alpha=0.2, linewidth=0)
        names = {"this model": ours, **baselines}
        lines(axes, times, {name: [_drawn(point[field]) for point in over] for name, field in names.items()}, ".")
        at = np.linspace(times[0], times[-1], 3)
        axes.set_xticks(at, [datetime.fromtimestamp(time, UTC).strftime("%d %b %H:%M") for time in at])
        axes.set(ylabel=unit)

    beside = ", ".join(f"{name} {_said(value[field])}" for name, field in baselines.items())
    better = "Lower" if ours == "rmse" else "Higher"
    interval = f"95 % interval {_said(value[f'{ours}_low'])} to {_said(value[f'{ours}_high'])}"
    reading = (
        f"{better} is better. {unit.split(' in ')[0]} {_said(value[ours])} in all, {interval}; {beside}. Each point is of "
        f"{value['ratings'] / len(over):,.0f} ratings on average, with its interval."
    )
    return Plot(title, svg(draw, f"live-{ours}", f"{unit} over time. {reading}"), reading)


def _drawn(value: float | None) -> float:
    return float("nan") if value is None else value


def _said(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


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
