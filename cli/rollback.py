"""`rollback`: an older version that is still kept becomes the current one again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from reelstream.cli.options import AsJson, Warehouse, err, existing_warehouse, out, print_json, print_table, settings_of
from reelstream.errors import Busy, NotReady, UsageError

if TYPE_CHECKING:
    from reelstream.settings import Settings

WAIT_S = 120.0


def rollback(
    version: Annotated[
        str | None,
        typer.Argument(metavar="[VERSION]", help="Such as 3 or 000003. \\[default: the one before the current one]"),
    ] = None,
    warehouse: Warehouse = None,
    reason: Annotated[str | None, typer.Option(help="Why; it is kept in the history of the versions.")] = None,
    show: Annotated[bool, typer.Option("--list", help="Show the versions on disk, and change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Publish an older version again that is still on disk: the current one was bad.

    Readers, the page and the stream follow within a second; no rating is lost, and who has rated since gets a fresh list.
    The next refit comes as after a publish, and is measured against this version. The version that had to go stays on disk:
    naming it undoes the rollback. Examples: `reelstream rollback` · `reelstream rollback 3 --reason "too many sequels"` ·
    `reelstream rollback --list`
    """
    from reelstream.store.rollback import rollback as run_rollback

    settings = settings_of(warehouse)
    existing_warehouse(settings)
    if show:
        _show_versions(settings, as_json=as_json)
        return
    done = run_rollback(settings.warehouse, _name(version), (reason or "").strip() or None)
    now, changed = done.version, done.place_of is not None
    fresh = _fold_in(settings) if changed else True
    if as_json:
        again = now.rolled_back if changed else None
        print_json(
            {
                "version": now.name,
                "changed": changed,
                "published_at": now.published_at,
                "as_of": now.as_of,
                "rolled_back": again and {"from": again["from"], "to": now.name, "reason": again["reason"]},
                "lists_fresh": fresh,
            }
        )
        return
    if not changed:
        out.print(f"Version {now.name} is the current one already; nothing was changed.")
        return
    out.print(
        f"Version {now.name}, of {now.as_of:%Y-%m-%d %H:%M:%S} UTC, was published again in place of {done.place_of} at "
        f"{now.published_at:%Y-%m-%d %H:%M:%S} UTC.",
        soft_wrap=True,
    )
    if fresh:
        out.print("Who has rated since it was made has a fresh list by it.")
    else:
        err.print("The stream has not folded in yet who has rated since it was made; it will as soon as it runs again.")


def _name(version: str | None) -> str | None:
    """As versions are called on disk. Raises UsageError for what is no number."""
    if version is None:
        return None
    digits = version.removeprefix("version=")
    if not (digits.isascii() and digits.isdecimal()):
        raise UsageError(
            f"{version!r} is no version; `reelstream rollback --list` shows those on disk, such as 000003."
        )
    return f"{int(digits):06d}"


def _fold_in(settings: Settings) -> bool:
    """Waits until the stream has folded in who has rated since; where none runs, does it."""
    from reelstream.store import run_files
    from reelstream.store.locks import exclusive
    from reelstream.store.ratings import RatingsStore
    from reelstream.store.recommendations import RecommendationsStore
    from reelstream.stream.fold_in import FoldInStage

    try:
        with exclusive(settings.warehouse / "run" / "stream.lock", "A stream"):
            stage = FoldInStage(settings)
            stage.refresh()
            stage.fold_in_movies()
            return True
    except Busy:
        published, batch = RecommendationsStore(settings.warehouse), RatingsStore(settings.warehouse).state().batch
        return bool(
            run_files.wait_for_stream(
                settings.warehouse, lambda: (published.counted_up_to() or 0) >= batch or None, WAIT_S
            )
        )


def _show_versions(settings: Settings, *, as_json: bool) -> None:
    from reelstream.cli.status import AGAIN
    from reelstream.store.recommendations import RecommendationsStore
    from reelstream.store.rollback import previous

    published = RecommendationsStore(settings.warehouse)
    versions = [_row(info) for info in published.versions()]
    try:
        default = previous(published.kept())
    except NotReady:
        default = None
    if as_json:
        print_json({"default": default, "versions": versions})
        return
    columns = {"version": "version", "state": "state", "fitted_at": "made", "ratings": "ratings"}
    columns |= {"rmse": "RMSE", "ndcg_at_10": "nDCG@10"}
    cells = [[_cell(row[key]) for key in columns] for row in versions]
    print_table("Versions on disk", list(columns.values()), cells)
    if default:
        text = f"`reelstream rollback` publishes {default} again."
    elif any(row["state"] in AGAIN for row in versions):
        text = "None is older than the current one; `reelstream rollback VERSION` publishes another one."
    else:
        text = "There is no other version to publish."
    out.print(text, soft_wrap=True, markup=False)


def _row(info: dict[str, Any]) -> dict[str, Any]:
    metrics = info.get("metrics") or {}
    known = {name: info.get(name) for name in ("version", "state", "fitted_at", "ratings", "users", "movies")}
    return {**known, "rmse": metrics.get("rmse"), "ndcg_at_10": metrics.get("ndcg_at_10")}


def _cell(value: Any) -> str | None:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value).replace("T", " ")[:16] if value is not None else None
