"""The frame of every HTML page that is written to a file: its style, tables and figures. No network, no script.

In: titles, rows and plots. Out: HTML as text. Next: `reelstream.batch.evaluation.page` and
`reelstream.batch.report.warehouse_page` fill it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from reelstream.errors import UsageError
from reelstream.store import pointer


@dataclass(frozen=True, slots=True)
class Plot:
    """`svg` is empty where there is nothing to draw; `reading` says why then. `alt` describes it for who can't see it."""

    title: str
    svg: str
    alt: str
    reading: str


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
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); gap: 2rem; }
figure { margin: 0; padding-top: .75rem; border-top: 1px solid var(--line); }
figure svg { display: block; width: 100%; height: auto; }
figcaption { color: var(--soft); margin-top: .5rem; }
caption { text-align: left; min-width: 18rem; color: var(--soft); padding-bottom: .25rem; }
section { margin: 2rem 0; }
ol, ul { padding-left: 1.4rem; margin: 0 0 .5rem; }
.lists { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); gap: 1rem 2rem; }
h3 { font-size: 1rem; margin: .75rem 0 .25rem; }
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


def document(title: str, body: str) -> str:
    """A whole page; `body` is HTML, the title text."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_CSS}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def write(path: Path, page: str, option: str) -> None:
    """Puts the page in place whole; its folder is made if missing.

    Raises UsageError that names the option if it can't be written there.
    """
    try:
        pointer.write_file(path, page.encode("utf-8", "replace"), durable=False)
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror}; name another place with {option}.") from None


def table(columns: Sequence[str], rows: Sequence[Sequence[str | None]], caption: str = "") -> str:
    """The first cell of a row is its head; None is shown as a dash."""
    named = f"<caption>{escape(caption)}</caption>\n" if caption else ""
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join(
        f'<tr><th scope="row">{escape(name or "")}</th>'
        + "".join(f"<td>{'–' if cell is None else escape(cell)}</td>" for cell in cells)
        + "</tr>\n"
        for name, *cells in rows
    )
    return f'<div class="wide"><table>\n{named}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>'


def figure(plot: Plot) -> str:
    """A plot with its title and what it says."""
    drawing = plot.svg.replace("<svg", f'<svg role="img" aria-label="{escape(plot.alt)}"', 1)
    return f"<figure>\n<h2>{escape(plot.title)}</h2>\n{drawing}\n<figcaption>{escape(plot.reading)}</figcaption>\n</figure>\n"
