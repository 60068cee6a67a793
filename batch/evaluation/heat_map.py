"""A tune as a picture: the figure that decides, over the two settings that were varied most.

In: rows of TRIALS. Out: `heatmap.svg`, a panel a model. Next: a person looks at it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from reelstream.batch.evaluation.search_space import BY_RATIO, MODELS, SETTINGS, SYMBOLS
from reelstream.batch.evaluation.trials import FIGURES, NAMES
from reelstream.batch.report.svg_plot import saved
from reelstream.store import pointer

Row = dict[str, Any]

MOST_CELLS = 12
"""Columns, and rows, of a heat map; where there would be more, or most would be empty, trials are drawn as points."""
BEST = "#d62728"


def draw(rows: Sequence[Row], best: dict[str, Row], path: Path) -> Path | None:
    """Writes the picture; None, and no file, where no setting was varied.

    rows: of TRIALS, those that failed included. best: the best of them by model.
    A cell shows the best of its trials, whatever their other settings are; a setting varied alone makes a line.
    """
    panels = [(model, found, most_varied(found)) for model in MODELS if (found := _good(rows, model))]
    panels = [panel for panel in panels if panel[2]]
    if not panels:
        path.unlink(missing_ok=True)
        return None
    figure = Figure(figsize=(7.2 * len(panels), 5.4), layout="constrained")
    for place, (model, found, names) in enumerate(panels, 1):
        axes = figure.add_subplot(1, len(panels), place)
        axes.set_title(f"{model.capitalize()} model, {len(found)} trials", fontweight="bold")
        if len(names) == 1:
            _line(axes, found, best[model], names[0])
        elif _fills_cells(found, *names):
            _cells(axes, found, best[model], *names)
        else:
            _points(axes, found, best[model], *names)
    pointer.write_file(path, saved(figure, "reelstream").encode())
    return path


def most_varied(rows: Sequence[Row]) -> list[str]:
    """The one or two settings with the most different values, most first; empty where all trials are alike."""
    model = rows[0]["model"]
    values = {name: len({row[name] for row in rows}) for name in SETTINGS[model]}
    varied = [name for name, count in values.items() if count > 1]
    return sorted(varied, key=lambda name: -values[name])[:2]


def label(name: str) -> str:
    """A setting's name for a person: `ranking_alpha0` is "alpha0 (α₀)"."""
    short = name.partition("_")[2]
    symbol = SYMBOLS.get(short, short)
    return short.replace("_", " ") + (f" ({symbol})" if symbol != short else "")


def _good(rows: Sequence[Row], model: str) -> list[Row]:
    return [row for row in rows if row["model"] == model and not row["error"]]


def _figure_of(row: Row) -> str:
    return FIGURES[row["model"]][0]


def _title(row: Row) -> str:
    better = "lower" if row["model"] == "rating" else "higher"
    return f"{NAMES[_figure_of(row)]} on validation ({better} is better)"


def _colours(rows: Sequence[Row]) -> tuple[Any, Normalize]:
    """(colour map, scale): better figures are lighter, whichever way that is."""
    values = [row[_figure_of(row)] for row in rows]
    return colormaps["viridis_r" if rows[0]["model"] == "rating" else "viridis"], Normalize(min(values), max(values))


def _fills_cells(rows: Sequence[Row], across: str, up: str) -> bool:
    """True for a grid; a random search hardly has two trials in one row."""
    n_x, n_y = (len({row[name] for row in rows}) for name in (across, up))
    return max(n_x, n_y) <= MOST_CELLS and n_x * n_y <= 2 * len({(row[across], row[up]) for row in rows})


def _cells(axes: Axes, rows: Sequence[Row], best: Row, across: str, up: str) -> None:
    xs, ys = (sorted({row[name] for row in rows}) for name in (across, up))
    better = min if best["model"] == "rating" else max
    grid = np.full((len(ys), len(xs)), np.nan)
    for row in rows:
        cell, value = (ys.index(row[up]), xs.index(row[across])), row[_figure_of(row)]
        grid[cell] = value if np.isnan(grid[cell]) else better(grid[cell], value)
    colours, scale = _colours(rows)
    axes.imshow(grid, cmap=colours, norm=scale, origin="lower", aspect="auto")
    for (y, x), value in np.ndenumerate(grid):
        if not np.isnan(value):
            dark = np.dot(colours(scale(value))[:3], (0.299, 0.587, 0.114)) < 0.55
            size = min(10.0, 72 / len(xs))
            axes.text(x, y, f"{value:.4f}", ha="center", va="center", color="white" if dark else "black", fontsize=size)
    corner = (xs.index(best[across]) - 0.47, ys.index(best[up]) - 0.47)
    axes.add_patch(Rectangle(corner, 0.94, 0.94, fill=False, edgecolor=BEST, linewidth=3, label="best"))
    axes.set_xticks(range(len(xs)), [f"{x:g}" for x in xs], rotation=45 if len(xs) > 6 else 0)
    axes.set_yticks(range(len(ys)), [f"{y:g}" for y in ys])
    axes.set(xlabel=label(across), ylabel=label(up))
    axes.figure.colorbar(ScalarMappable(scale, colours), ax=axes, label=_title(best))


def _points(axes: Axes, rows: Sequence[Row], best: Row, across: str, up: str) -> None:
    colours, scale = _colours(rows)
    figure = _figure_of(best)
    shown = sorted(rows, key=lambda row: row[figure], reverse=best["model"] == "rating")  # the best on top
    columns = ([row[name] for row in shown] for name in (across, up, figure))
    x, y, value = columns
    points = axes.scatter(x, y, c=value, cmap=colours, norm=scale, s=70, edgecolors="0.3", linewidths=0.6)
    _mark(axes, best, across, best[up])
    _scale(axes, "x", across, x)
    _scale(axes, "y", up, y)
    axes.set(xlabel=label(across), ylabel=label(up))
    axes.figure.colorbar(points, ax=axes, label=_title(best))


def _line(axes: Axes, rows: Sequence[Row], best: Row, across: str) -> None:
    figure = _figure_of(best)
    x, y = zip(*sorted((row[across], row[figure]) for row in rows), strict=True)
    axes.plot(x, y, marker="o", color="#31688e")
    _mark(axes, best, across, best[figure])
    _scale(axes, "x", across, x)
    if len(x) <= MOST_CELLS:
        axes.set_xticks(x, [f"{value:g}" for value in x])
        axes.minorticks_off()
    axes.set(xlabel=label(across), ylabel=_title(best))
    axes.grid(alpha=0.3)


def _mark(axes: Axes, best: Row, across: str, height: float) -> None:
    ring: dict[str, Any] = {
        "markersize": 15,
        "markerfacecolor": "none",
        "markeredgecolor": BEST,
        "markeredgewidth": 2.5,
    }
    axes.plot(best[across], height, "o", **ring, label=f"best: {best[_figure_of(best)]:.4f}")
    axes.legend(loc="best")


def _scale(axes: Axes, which: Literal["x", "y"], name: str, values: Sequence[float]) -> None:
    """Logarithmic, with numbers as a person writes them, where a setting counts by ratio."""
    if name not in BY_RATIO or min(values) <= 0:
        return
    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())
