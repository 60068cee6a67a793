"""A matplotlib drawing as an <svg> element that takes the looks of the page it stands in.

In: a function that draws on axes. Out: SVG as text. Next: `reelstream.batch.evaluation.plots` uses it.
Colours and font are names that the page's style sheet gives a value, so that they fit a dark page and a light one.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reelstream.als.arrays import F64

INK, MODEL, OTHER = "#101112", "#202122", "#303132"
_COLOURS = {INK: "currentColor", MODEL: "var(--model)", OTHER: "var(--other)"}
_STYLE: dict[Any, Any] = {
    **{"svg.fonttype": "none", "font.family": "DejaVu Sans", "font.size": 8.5, "axes.labelsize": 8.5},
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
    **{"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "lines.markersize": 5},
    **{"axes.grid": True, "axes.axisbelow": True, "grid.color": INK, "grid.alpha": 0.12},
}


def svg(draw: Callable[[Axes], None], name: str) -> str:
    """What `draw` puts on axes, as an <svg> element without a size of its own and without ids but those it refers to."""
    with rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(4.7, 3.0), layout="constrained")
        draw(figure.add_subplot())
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r' (xmlns|xmlns:xlink|version|width|height)="[^"]*"', "", text, count=5)
    text = re.sub(r' id="(?!\w*[0-9a-f]{10})[^"]*"', "", text)
    text = text.replace("'DejaVu Sans'", "system-ui")
    for token, colour in _COLOURS.items():
        text = text.replace(token, colour)
    return text.strip()


def bars(axes: Axes, heights: dict[str, F64], labels: list[str]) -> None:
    """Pairs of bars, side by side."""
    for (name, height), shift, colour in zip(heights.items(), (-0.2, 0.2), (MODEL, OTHER), strict=True):
        axes.bar(np.arange(len(labels)) + shift, height, 0.38, color=colour, label=name)
    axes.set_xticks(range(len(labels)), labels)
    axes.grid(False, axis="x")
    axes.legend()
