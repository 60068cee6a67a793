"""One HTML page on an evaluation: figures, plots, and what they say. It needs no network, no script and no other file.

In: `Evaluation` and the table that the command prints. Out: `index.html`. Next: a browser.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reelstream.batch.evaluation.evaluate import Evaluation
from reelstream.batch.evaluation.plots import all_plots
from reelstream.batch.report import html_page


def write(
    directory: Path,
    evaluation: Evaluation,
    summary: Sequence[str],
    columns: Sequence[str],
    rows: Sequence[Sequence[str | None]],
) -> Path:
    """Puts `directory`/index.html in place whole and returns its path; the directory is made if missing.

    summary: sentences. columns, rows: the table of figures; None is a figure that a model does not have.
    Raises UsageError if it can't be written there.
    """
    path = directory / "index.html"
    plots = all_plots(evaluation)
    page = html_page.render("evaluation.html", summary=summary, columns=columns, rows=rows, plots=plots)
    html_page.write(path, page, "--report")
    return path
