"""`status` and `rejects`: what the processes of a warehouse say of themselves, and what the pointers say."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.text import Text

from reelstream.cli.options import existing_warehouse, out, print_json, print_table
from reelstream.cli.status_quality import print_quality
from reelstream.settings import Settings
from reelstream.store.ratings import RatingsStore

STEPS = {
    "queue": "queue",
    "read": "read and parse",
    "store": "store",
    "score": "score",
    "fold_in": "fold-in",
    "publish": "publish",
}
"""What a micro-batch's time goes to, in order."""
AGAIN = ("older", "rolled back")
"""States of versions that a rollback can publish."""


def show(value: dict[str, Any]) -> None:
    """The same for a person, in a few lines."""
    ratings, stream, trigger, refit = value["ratings"], value["stream"], value["trigger"], value["refit"]
    out.print(f"[bold]warehouse[/]  {escape(value['warehouse'])}", soft_wrap=True)
    out.print(f"[bold]broker[/]     {escape(value['broker'] or 'not running')}")
    if (page := value["serve"]) and page["alive"]:
        out.print(f"[bold]page[/]       {escape(page['url'])}")
    if stream:
        running = stream["state"] if stream["alive"] or stream["state"] == "stopped" else "ended without a word"
        lag = "unknown" if stream["lag_events"] is None else f"{stream['lag_events']:,} events"
        out.print(f"[bold]stream[/]     {running}; lag {lag}; {stream['events_per_s']:,.1f} events/s")
        if len(topics := stream.get("topics", ())) > 1:
            out.print(f"           topics: {', '.join(topics)}", soft_wrap=True, markup=False)
        if last := stream.get("last_batch"):
            out.print(
                f"           last micro-batch: {last['accepted']:,} ratings, {last['users_folded_in']:,} users folded in; "
                + ", ".join(
                    f"{step} {last[f'{key}_s'] * 1000:.0f}" for key, step in STEPS.items() if f"{key}_s" in last
                )
                + " ms",
                soft_wrap=True,
            )
        for gap in stream.get("accepted_loss", ()):
            lost = f"offsets {gap['first']} to {gap['last']} of topic {gap['topic']} partition {gap['partition']}"
            out.print(f"           data loss accepted: {lost}", soft_wrap=True, markup=False)
        _error(stream)
        for warning in value["warnings"]:
            out.print(f"           {warning}", style="yellow", soft_wrap=True, markup=False)
    else:
        out.print("[bold]stream[/]     never ran here")
    tombstones = f"{ratings['tombstones']:,} tombstones, " if ratings["tombstones"] else ""
    out.print(
        f"[bold]ratings[/]    {ratings['accepted']:,} accepted, {ratings['rejected']:,} rejected, {tombstones}"
        f"{ratings['batch']:,} micro-batches in {ratings['folders']} directories"
    )
    if trigger and trigger["alive"]:
        out.print(
            f"[bold]refits[/]     {trigger['state']}; {trigger['new_ratings']:,} new ratings of "
            f"{trigger['refit_after_ratings']:,}, or {trigger['refit_after_minutes']:g} minutes"
        )
        _error(trigger)
    if value["adopted_settings"]:
        out.print(
            "           with adopted model settings; `reelstream tune --adopt-defaults` goes back", soft_wrap=True
        )
    if refit and refit["state"] == "failed":
        out.print(f"           the last refit failed: {refit['error']}", style="red", soft_wrap=True, markup=False)
    if refit and refit["state"] == "running" and not refit["alive"]:
        out.print("           the last refit was killed; the next one starts anew", style="red", soft_wrap=True)
    if refit and refit["state"] == "held back":
        why = "; ".join(refit["reasons"])
        text = f"           version {refit['version']} is held back: {why}; `reelstream refit --force` publishes all the same"
        out.print(text, style="red", soft_wrap=True, markup=False)
    if stream and stream.get("quality"):
        print_quality(stream["quality"])
    current = value["current"]
    if not current:
        out.print("[bold]version[/]    none published yet")
        return
    out.print(
        f"[bold]version[/]    {current['version']}, {current['age_s']:,.0f} s old, {current['engine']}, "
        f"{current['ratings']:,} ratings of {current['users']:,} users and {current['movies']:,} movies; "
        f"{current['ratings_since']:,} since",
        soft_wrap=True,
    )
    if again := current["rolled_back"]:
        out.print(f"           {rollback_sentence(current['version'], again)}", soft_wrap=True, markup=False)
    if others := [f"{one['version']} ({one['state']})" for one in value["versions"] if one["state"] in AGAIN]:
        text = f"           also on disk: {', '.join(others)}; `reelstream rollback` publishes one of them again"
        out.print(text, soft_wrap=True, markup=False)
    print_metrics(current)


def rollback_sentence(version: str, rolled_back: dict[str, Any]) -> str:
    """What became current again, in place of what, and why."""
    reason = f": {rolled_back['reason']}" if rolled_back["reason"] else ""
    return f"version {version} was published again in place of {rolled_back['from']}{reason}"


def tuning_line(tuning: dict[str, Any]) -> str | None:
    """What a refit found when it looked for better settings; None where it did not look."""
    tried = tuning.get("tried") or []
    if tuning.get("search_next"):
        return "With the shipped settings of the models; a search for better ones follows by itself."
    if not tried:
        return None
    names = {"rmse": "RMSE", "ndcg_at_10": "nDCG@10"}
    better = [
        f"{row['of']}, {names[row['figure']]} {row['before']:.3f} → {row['after']:.3f} with "
        + ", ".join(f"{name} {value:g}" for name, value in row["adopted"].items())
        for row in tried
        if row["adopted"]
    ]
    trials = sum(row["trials"] for row in tried)
    found = "; ".join(better) or "none is better by more than chance"
    return f"Tried {trials} other settings of the models: {found}."


def print_metrics(info: dict[str, Any]) -> None:
    """The metrics of a version beside the baselines and the version before, all on the same held-out ratings."""
    if line := tuning_line(info.get("tuning") or {}):
        out.print(line, soft_wrap=True, markup=False)
    metrics = info["metrics"]
    if not metrics:
        out.print("Too few ratings to hold some out and measure.")
        return
    last, baselines = (info.get("gate") or {}).get("last"), metrics["baselines"]
    differ = metrics.get("r2", 0.0) is not None  # else all ratings are the same, and an error says nothing
    names = {"rmse": "RMSE", "mae": "MAE", "r2": "R²"} if differ else {}
    names |= {
        "ndcg_at_10": "nDCG@10",
        "precision_at_10": "precision@10",
        "recall_at_10": "recall@10",
        "coverage": "coverage",
    }
    columns = {"this version": metrics, **({"the last": last} if last else {})}
    columns |= {"biases only": baselines["bias_only"], "popularity": baselines["popularity"]}
    rows = [(name, *(column.get(key) for column in columns.values())) for key, name in names.items()]
    cells = [(name, *(None if v is None else f"{v:.3f}" for v in values)) for name, *values in rows]
    print_table("On each user's newest ratings, held out", ("", *columns), cells)
    if metrics.get("overlap_at_10") is not None:
        out.print(
            f"Folded-in lists had {metrics['overlap_at_10']:.0%} of their 10 movies in common with the refit's "
            f"({metrics['folded_in_users']:,} users)."
        )


def show_rejects(settings: Settings, count: int, *, full: bool, as_json: bool) -> None:
    """The newest `count` rejected events, their bytes cut at the terminal's width unless `full`. Raises NotReady if there
    is no warehouse."""
    store = RatingsStore(existing_warehouse(settings))
    table = store.read_rejects()
    newest = table.slice(max(0, table.num_rows - count)).to_pylist()
    if as_json:
        print_json({"rejected": store.state().rejected, "events": newest})
        return
    out.print(f"{store.state().rejected:,} rejected events.")
    for row in newest:
        place = f"{row['topic']}/{row['partition']}/{row['offset']}"
        told = "  ".join(one for one in (row["reason"], place, row["detail"]) if one)
        out.print(Text(_printable(told)), soft_wrap=True)
        if row["raw"] is not None:
            raw = Text("    " + _printable(row["raw"].decode("utf-8", "backslashreplace")))
            if not full:
                raw.truncate(out.width, overflow="ellipsis")
            out.print(raw, soft_wrap=True)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _error(status: dict[str, Any]) -> None:
    if status.get("error"):
        out.print(f"           {status['error']}", style="red", soft_wrap=True, markup=False)
