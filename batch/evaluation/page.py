"""One HTML page on an evaluation: figures, plots, and what they say. It needs no network, no script and no other file.

In: `Evaluation` and the table that the command prints. Out: `index.html`. Next: a browser.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from reelstream.batch.evaluation.evaluate import Evaluation
from reelstream.batch.evaluation.plots import all_plots
from reelstream.batch.report import html_page
from reelstream.batch.report.html_page import Plot, document, figure, table

MEANINGS = {
    "RMSE, MAE": "how many stars a prediction is off; RMSE counts large misses more. Lower is better.",
    "R², explained variance": "the share of the spread of ratings that is predicted; 1 is all, 0 is no better than the mean.",
    "nDCG, MAP, MRR": "how far in front of a list the relevant movies are; 1 is perfect.",
    "precision, recall": "the share of a list that is relevant, and the share of the relevant movies that are on it.",
    "AUC": "how often a relevant movie is scored above one that is not; 0.5 is chance.",
    "coverage": "the share of all movies that are on somebody's list.",
    "novelty": "how rarely the listed movies were rated: each bit more halves the share of users who rated them.",
    "diversity": "how unlike the movies of a list are, by this model; 0 is all alike.",
}


def write(
    folder: Path,
    evaluation: Evaluation,
    summary: Sequence[str],
    columns: Sequence[str],
    rows: Sequence[Sequence[str | None]],
) -> Path:
    """Puts `folder`/index.html in place whole and returns its path; the folder is made if missing.

    summary: sentences. columns, rows: the table of figures; None is a figure that a model does not have.
    Raises UsageError if it can't be written there.
    """
    path = folder / "index.html"
    html_page.write(path, _page(summary, table(columns, rows), all_plots(evaluation)), "--report")
    return path


def _page(summary: Sequence[str], figures: str, plots: Sequence[Plot]) -> str:
    first, *others = summary
    meanings = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in MEANINGS.items())
    body = f"""<h1>How good are the models?</h1>
<p>{escape(first)}</p>
{"".join(f'<p class="note">{escape(text)}</p>' for text in others)}
{figures}
<details><summary>What the figures mean</summary><dl>{meanings}</dl></details>
<div class="plots">
{"".join(map(figure, plots))}
</div>"""
    return document("reelstream evaluate", body)
