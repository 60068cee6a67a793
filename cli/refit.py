"""`refit`: both models, fitted on all ratings now, and a new version."""

from __future__ import annotations

from typing import Annotated

import typer

from reelstream.cli.options import (
    AsJson,
    Bootstrap,
    Warehouse,
    existing_warehouse,
    out,
    print_json,
    progress_bar,
    settings_of,
)


def refit(
    warehouse: Warehouse = None,
    bootstrap_servers: Bootstrap = None,
    engine: Annotated[str | None, typer.Option(help="native or mllib. \\[default: native]")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Publish it even if it is worse than the last version.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fit both models on all ratings now and publish a new version.

    It is measured on each user's newest ratings; one that is worse than the last version by more than `gate_margin`, or
    than the popular movies, is held back, and the exit code is 9. Examples: `reelstream refit --engine mllib` ·
    `reelstream refit --force`
    """
    from reelstream.batch.refit import refit as run_refit

    settings = settings_of(warehouse, bootstrap_servers, engine=engine)
    existing_warehouse(settings)
    with progress_bar(quiet=as_json) as bar:
        task = bar.add_task("refit", total=None, note="")

        def progress(what: str, done: int, of: int) -> None:
            bar.update(task, description=what, completed=done, total=of)

        version = run_refit(settings, force=force, progress=progress)
    if as_json:
        print_json({"version": version.name, "as_of": version.as_of, "accepted": version.accepted, **version.info})
        return
    from reelstream.cli.status import print_metrics

    out.print(f"Version {version.name} published in {version.info['seconds']['all']:.1f} s.")
    print_metrics(version.info)
