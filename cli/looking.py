"""`status`, `rejects`, `settings`: how a warehouse stands."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from reelstream.cli.options import AsJson, Bootstrap, Warehouse, out, print_json, settings_of, without_login


def status(warehouse: Warehouse = None, bootstrap_servers: Bootstrap = None, as_json: AsJson = False) -> None:
    """What runs, how far it is, how fresh it is, and what went wrong last.

    Example: `reelstream status --json`
    """
    from reelstream.api.status import collect
    from reelstream.cli import status as statuses

    value = collect(settings_of(warehouse, bootstrap_servers))
    print_json(value) if as_json else statuses.show(value)


def rejects(
    warehouse: Warehouse = None,
    bootstrap_servers: Bootstrap = None,
    count: Annotated[int, typer.Option("-n", "--count", min=0, help="Show so many of the newest.")] = 20,
    full: Annotated[
        bool, typer.Option("--full", help="Show all bytes of each, not cut at the terminal's width.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Rejected events, with the reason, the field that is wrong, where they came from, and their bytes.

    Example: `reelstream rejects -n 5 --full`
    """
    from reelstream.cli import status as statuses

    statuses.show_rejects(settings_of(warehouse, bootstrap_servers), count, full=full, as_json=as_json)


def settings(warehouse: Warehouse = None, bootstrap_servers: Bootstrap = None, as_json: AsJson = False) -> None:
    """Every setting, its value now, and what it means.

    Example: `reelstream settings --json`
    """
    from reelstream.settings import Settings

    now = settings_of(warehouse, bootstrap_servers)
    values = now.model_dump(mode="json") | asdict(now.scale) | {"liked_from": now.scale.liked}
    values["serve_token"] = values["serve_token"] and "(set)"
    values["schema_registry"] = without_login(values["schema_registry"])
    if as_json:
        print_json(values)
        return
    for name, field in Settings.model_fields.items():
        out.print(f"[bold]{name}[/] = {escape(str(values[name]))}", soft_wrap=True)
        out.print(f"    {field.description}", soft_wrap=True, markup=False)
