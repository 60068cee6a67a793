"""One HTML page on a warehouse, for a person: what came in, how good the versions are, how fresh, and whose list is what.

In: `WarehouseFigures`. Out: an HTML file, from `templates/warehouse.html`. Next: a browser.
"""

from __future__ import annotations

from pathlib import Path

from reelstream.batch.report import html_page, warehouse_plots
from reelstream.batch.report.warehouse_figures import WarehouseFigures
from reelstream.events import REASONS


def write(path: Path, figures: WarehouseFigures) -> None:
    """Raises UsageError if it can't be written there."""
    html_page.write(path, page(figures), "--output")


def page(figures: WarehouseFigures) -> str:
    plots = warehouse_plots.all_plots(figures)
    return html_page.render("warehouse.html", figures=figures, plots=plots, reasons=REASONS)
