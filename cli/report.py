"""`report`: one HTML page on a warehouse, for a person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reelstream.cli.options import AsJson, Warehouse, existing_warehouse, out, print_json, progress_bar, settings_of
from reelstream.extras import require

PAGE = Path("reelstream-report.html")


def report(
    output: Annotated[Path, typer.Option("--output", "-o", help="Write the page there.")] = PAGE,
    user: Annotated[list[int] | None, typer.Option(help="Show the list of this user; may be given again.")] = None,
    warehouse: Warehouse = None,
    as_json: AsJson = False,
) -> None:
    """Write one page for a person: what came in, quality by version, freshness, the catalogue, and lists.

    The page needs no network, no script and no other file. With --json the same figures are printed, and no page is
    written. Examples: `reelstream report` · `reelstream report --user 42 --output movies.html`
    """
    from reelstream.batch.report.warehouse_figures import gather

    if not as_json:
        require("report", "the page")
    settings = settings_of(warehouse)
    existing_warehouse(settings)
    with progress_bar(quiet=as_json) as progress:
        task = progress.add_task("reading the tables", total=2, note="")
        figures = gather(settings, user or ())
        if as_json:
            print_json(figures)
            return
        from reelstream.batch.report import warehouse_page

        progress.update(task, advance=1, description="drawing")
        warehouse_page.write(output, figures)
    out.print(f"The report is in {output}.", soft_wrap=True, markup=False)
