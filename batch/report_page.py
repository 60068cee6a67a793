"""One HTML page on an evaluation: figures, plots, and what they say. It needs no network, no script and no other file.

In: `Evaluation` and the table that the command prints. Out: `index.html`. Next: a browser.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from batch.evaluate import Evaluation
from batch.report_plots import Plot, all_plots
from reelstream.errors import UsageError
from reelstream.store import pointer

MEANINGS = {
    "RMSE, MAE": "how many stars a prediction is off; RMSE counts large misses more. Lower is better.",
    "R², explained variance": "the share of the spread of ratings that is predicted; 1 is all, 0 is no better than the mean.",
    "nDCG, MAP, MRR": "how far in front of a list the relevant films are; 1 is perfect.",
    "precision, recall": "the share of a list that is relevant, and the share of the relevant films that are on it.",
    "AUC": "how often a relevant film is scored above one that is not; 0.5 is chance.",
    "coverage": "the share of all films that are on somebody's list.",
    "novelty": "how rarely the listed films were rated: each bit more halves the share of users who rated them.",
    "diversity": "how unlike the films of a list are, by this model; 0 is all alike.",
}

_CSS = """
:root { color-scheme: light dark; --page: #fdfdfc; --ink: #22252a; --soft: #5d6470; --line: #d9dce1;
        --model: #0b62a8; --other: #d2741a; }
@media (prefers-color-scheme: dark) {
  :root { --page: #15181c; --ink: #e7e9ec; --soft: #a2a9b4; --line: #363c45; --model: #63b3f5; --other: #f0a458; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 68rem; background: var(--page); color: var(--ink);
       font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.1rem; line-height: 1.3; margin: 0 0 .5rem; }
p { margin: 0 0 .5rem; max-width: 46rem; }
.note { color: var(--soft); }
.wide { overflow-x: auto; margin: 1.25rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .9rem .3rem 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; }
th:first-child { text-align: left; font-weight: 400; }
td:nth-child(2) { font-weight: 600; color: var(--model); }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 2rem; }
figure { margin: 0; padding-top: .75rem; border-top: 1px solid var(--line); }
figure svg { display: block; width: 100%; height: auto; }
figcaption { color: var(--soft); margin-top: .5rem; }
details { margin: 0 0 1.5rem; }
summary { cursor: pointer; }
dl { margin: .5rem 0; max-width: 46rem; }
dt { font-weight: 600; }
dd { margin: 0 0 .4rem; color: var(--soft); }
@media (max-width: 30rem) {
  body { font-size: .95rem; }
  table { font-size: .78rem; width: 100%; }
  th, td { padding-right: .3rem; }
  th { white-space: normal; vertical-align: bottom; }
}
"""


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
    page = _page(summary, _table(columns, rows), all_plots(evaluation))
    try:
        pointer.write_file(path, page.encode(), durable=False)
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror}; name another folder with --report.") from None
    return path


def _page(summary: Sequence[str], table: str, plots: Sequence[Plot]) -> str:
    first, *others = summary
    meanings = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in MEANINGS.items())
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>reelstream evaluate</title>
<style>{_CSS}</style>
</head>
<body>
<main>
<h1>How good are the models?</h1>
<p>{escape(first)}</p>
{"".join(f'<p class="note">{escape(text)}</p>' for text in others)}
{table}
<details><summary>What the figures mean</summary><dl>{meanings}</dl></details>
<div class="plots">
{"".join(map(_figure, plots))}
</div>
</main>
</body>
</html>
"""


def _table(columns: Sequence[str], rows: Sequence[Sequence[str | None]]) -> str:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join(
        f'<tr><th scope="row">{escape(name or "")}</th>'
        + "".join(f"<td>{'–' if cell is None else escape(cell)}</td>" for cell in cells)
        + "</tr>\n"
        for name, *cells in rows
    )
    return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>'


def _figure(plot: Plot) -> str:
    drawing = plot.svg.replace("<svg", f'<svg role="img" aria-label="{escape(plot.alt)}"', 1)
    return f"<figure>\n<h2>{escape(plot.title)}</h2>\n{drawing}\n<figcaption>{escape(plot.reading)}</figcaption>\n</figure>\n"
