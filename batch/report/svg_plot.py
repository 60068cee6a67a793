"""A matplotlib drawing as an <svg> element that takes the looks of the page it stands in.

In: a function that draws on axes. Out: SVG as text. Next: the plots of both pages, and the heat map of a tune.
Colours and font are names that the page's style sheet gives a value, so that they fit a dark page and a light one.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
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
    **{"savefig.transparent": True},
}


@dataclass(frozen=True, slots=True)
class Plot:
    """`svg` is markup, and empty where there is nothing to draw; `reading` says what it shows, or why it is empty."""

    title: str
    svg: str
    reading: str


def svg(draw: Callable[[Axes], None], name: str, alt: str) -> Markup:
    """What `draw` puts on axes, as an <svg> element without a size of its own and without ids but those it refers to.

    name: of no other plot of the page. alt: describes it for who can't see it.
    """
    with rc_context(_STYLE):
        figure = Figure(figsize=(4.7, 3.0), layout="constrained")
        draw(figure.add_subplot())
        text = saved(figure, name)
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r' (xmlns|xmlns:xlink|version|width|height)="[^"]*"', "", text, count=5)
    text = re.sub(r' id="(?!\w*[0-9a-f]{10})[^"]*"', "", text)
    text = text.replace("'DejaVu Sans'", "system-ui")
    for token, colour in _COLOURS.items():
        text = text.replace(token, colour)
    return Markup(text.strip().replace("<svg", Markup('<svg role="img" aria-label="{}"').format(alt), 1))


def saved(figure: Figure, salt: str) -> str:
    """A whole SVG file, the same for the same drawing; other salts give other ids."""
    file = io.StringIO()
    with rc_context({"svg.hashsalt": salt}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def bars(
    axes: Axes, heights: Mapping[str, Sequence[float] | F64], labels: Sequence[str], width: float = 0.38, most: int = 10
) -> None:
    """Bars, or pairs of them side by side; at most so many labels."""
    shifts = (0.0,) if len(heights) == 1 else (-0.2, 0.2)
    for (name, height), shift, colour in zip(heights.items(), shifts, (MODEL, OTHER), strict=False):
        axes.bar(np.arange(len(labels)) + shift, height, width, color=colour, label=name)
    label(axes, labels, most)
    axes.grid(False, axis="x")
    if len(heights) > 1:
        axes.legend()


def lines(axes: Axes, x: Sequence[float], heights: Mapping[str, Sequence[float] | F64], marker: str) -> None:
    """The line of the model and, dashed and dotted, those of its baselines; `heights` has them by name, in this order."""
    for (name, height), colour, style in zip(heights.items(), (MODEL, OTHER, OTHER), ("-", "--", ":"), strict=False):
        axes.plot(x, height, style, marker=marker, color=colour, label=name)
    axes.legend()


def label(axes: Axes, labels: Sequence[str], most: int) -> None:
    """At 0, 1, 2 …; where there are more than `most`, some of them at even distances."""
    at = np.unique(np.linspace(0, len(labels) - 1, min(most, len(labels))).round().astype(int))
    axes.set_xticks(at, [labels[i] for i in at])
