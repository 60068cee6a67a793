"""One HTML page on a warehouse, for a person: what came in, how good the versions are, how fresh, and whose list is what.

In: `WarehouseFigures`. Out: an HTML file that needs no network, no script and no other file. Next: a browser.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from reelstream.batch.report import html_page, warehouse_plots
from reelstream.batch.report.html_page import Plot, document, figure, table
from reelstream.batch.report.warehouse_figures import WarehouseFigures
from reelstream.events import REASONS

STEPS = {
    "queue": "waiting in Kafka",
    "read": "read and parsed",
    "store": "stored",
    "score": "scored",
    "fold_in": "folded in",
    "publish": "published",
}
SOURCES = {"refit": "from the refit", "fold_in": "folded in since", "popular": "the popular list"}
VERSIONS_SHOWN = 30


def write(path: Path, figures: WarehouseFigures) -> None:
    """Raises UsageError if it can't be written there."""
    html_page.write(path, page(figures), "--output")


def page(figures: WarehouseFigures) -> str:
    body = "\n".join(
        [
            "<h1>How does the recommender stand?</h1>",
            f'<p class="note">Warehouse {escape(figures.warehouse)}, {escape(_time(figures.made_at))}.</p>',
            _sentences(stands_out(figures)),
            _section("What came in", _came_in(figures), warehouse_plots.came_in(figures)),
            _section("Quality by version", _versions(figures), warehouse_plots.versions(figures)),
            _section("Live quality", _live(figures), warehouse_plots.live(figures)),
            _section("Freshness", _freshness(figures), []),
            _section("The catalogue", "", warehouse_plots.catalogue(figures)),
            _section("Whose list is what", _examples(figures), []),
        ]
    )
    return document("reelstream report", body)


def stands_out(figures: WarehouseFigures) -> Iterator[str]:
    """Sentences on what a person should know first."""
    came, fresh = figures.came_in, figures.freshness
    if not came["ratings"]:
        yield "No rating has come in yet; `reelstream replay ratings.csv` sends some."
    if came["rejected"]:
        share = came["rejected"] / (came["accepted"] + came["rejected"])
        events = "1 event was" if came["rejected"] == 1 else f"{came['rejected']:,} events were"
        yield f"{events} rejected, {share:.1%} of all{_most(came['rejected_for'])}."
    last = next((row for row in reversed(figures.versions) if row["published"]), None)
    if last and _both(last, "ndcg_at_10", "ndcg_at_10_popularity"):
        more = "find more" if last["ndcg_at_10"] > last["ndcg_at_10_popularity"] else "do NOT find more"
        figures_of = f"nDCG@10 {last['ndcg_at_10']:.3f} against {last['ndcg_at_10_popularity']:.3f}"
        yield (
            f"The lists of version {int(last['version'])} {more} of what people like next than a popularity list: {figures_of}."
        )
    if last and _both(last, "rmse", "rmse_bias_only") and last["rmse"] >= last["rmse_bias_only"]:
        figures_of = f"RMSE {last['rmse']:.3f} against {last['rmse_bias_only']:.3f}"
        predicted = f"The ratings that version {int(last['version'])} predicts"
        yield f"{predicted} are NOT better than the bias-only baseline: {figures_of}."
    yield from _live_sentences(figures)
    held_back = [row for row in figures.versions if not row["published"]]
    if held_back:
        yield f"{len(held_back)} of {len(figures.versions)} refits were held back, as they were worse than the version before."
    if not fresh["version"]:
        yield "No version is published yet; `reelstream refit` makes one."
    elif fresh["ratings_since"]:
        yield f"{fresh['ratings_since']:,} ratings are newer than the current version; they count by fold-in alone."
    if fresh["stream"] in ("never ran", "does not run"):
        yield f"The stream {fresh['stream']}: new ratings wait in Kafka until `reelstream up` runs."
    elif fresh["stream"] != "running":
        yield f"The stream is {fresh['stream']}; `reelstream status` says why."


def _live_sentences(figures: WarehouseFigures) -> Iterator[str]:
    value = figures.live
    if not value:
        return
    if _both(value, "rmse", "bias_only_rmse") and value["rmse"] >= value["bias_only_rmse"]:
        figures_of = f"RMSE {value['rmse']:.3f} against {value['bias_only_rmse']:.3f}"
        yield f"Live ratings are NOT predicted better than by the bias-only baseline: {figures_of}."
    if _both(value, "hit_rate", "popular_hit_rate") and value["hit_rate"] <= value["popular_hit_rate"]:
        figures_of = f"{value['hit_rate']:.2%} against {value['popular_hit_rate']:.2%}"
        yield f"Live, users' own lists held NO more of the movies they came to like than the popular list: {figures_of}."


def _most(reasons: dict[str, int]) -> str:
    """Nothing where the events are gone, as after their user was forgotten."""
    if not reasons:
        return ""
    most = max(reasons, key=reasons.__getitem__)
    return f", most of them for {most}: {REASONS.get(most, 'a reason that this reelstream does not know')}"


def _both(row: dict[str, Any], one: str, other: str) -> bool:
    return row[one] is not None and row[other] is not None


def _came_in(figures: WarehouseFigures) -> str:
    came = figures.came_in
    rows = [
        ("ratings that count", f"{came['ratings']:,}"),
        ("ratings accepted, changes included", f"{came['accepted']:,}"),
        ("rejected events", f"{came['rejected']:,}"),
        ("users", f"{came['users']:,}"),
        ("movies", f"{came['movies']:,}"),
        ("ratings of a user, median", _number(came["median_ratings_of_a_user"], 0)),
        ("micro-batches", f"{came['micro_batches']:,}"),
    ]
    text = table(("", "so far"), rows, "Ratings in the store, and events that came")
    if came["rejected_for"]:
        reasons = [(f"{name}: {REASONS.get(name, '')}", f"{count:,}") for name, count in came["rejected_for"].items()]
        text += table(("reason", "events"), reasons, "Why events were rejected")
    return text


def _versions(figures: WarehouseFigures) -> str:
    if not figures.versions:
        return "<p>No version was made yet.</p>"
    rows = [
        (
            f"{int(row['version'])}{'' if row['published'] else ' (held back)'}",
            _time(row["at"]) if row["at"] else None,
            _number(row["ratings"], 0),
            _number(row["rmse"]),
            _number(row["rmse_bias_only"]),
            _number(row["ndcg_at_10"]),
            _number(row["ndcg_at_10_popularity"]),
            _number(row["coverage"]),
            _number(row["refit_s"], 1),
        )
        for row in reversed(figures.versions[-VERSIONS_SHOWN:])
    ]
    columns = ("version", "made", "ratings", "RMSE", "biases only", "nDCG@10", "popularity", "coverage", "refit, s")
    return table(columns, rows, "On each user's newest ratings, held out")


def _live(figures: WarehouseFigures) -> str:
    value = figures.live
    if not value or not value["ratings"]:
        return ""
    rows = [
        ("RMSE / biases only", _number(value["rmse"]), _number(value["bias_only_rmse"])),
        ("hit rate / popular list", _percent(value["hit_rate"]), _percent(value["popular_hit_rate"])),
    ]
    caption = f"{value['ratings']:,} ratings, each predicted before it was learned from"
    return table(("", "this model", "baseline"), rows, caption)


def _freshness(figures: WarehouseFigures) -> str:
    fresh = figures.freshness
    steps = fresh["median_micro_batch"]
    rows: list[tuple[str, str | None]] = [
        ("the stream", fresh["stream"]),
        ("events that wait in Kafka", None if fresh["lag_events"] is None else f"{fresh['lag_events']:,}"),
        ("published", fresh["version"] and f"version {int(fresh['version'])}, {_age(fresh['age_s'])} old"),
        ("ratings since that version", _number(fresh["ratings_since"], 0)),
    ]
    text = table(("", "now"), rows, "Stream and version")
    if steps:
        took = [(name, f"{steps[f'{key}_s'] * 1000:,.0f}") for key, name in STEPS.items() if f"{key}_s" in steps]
        total = sum(value for name, value in steps.items() if name.endswith("_s"))
        caption = f"Median of the newest {steps['micro_batches']:,} micro-batches, {total * 1000:,.0f} ms in all"
        text += table(("step", "ms"), took, caption)
    return text


def _examples(figures: WarehouseFigures) -> str:
    if not figures.examples:
        return "<p>No list is published yet.</p>"
    popular = f"<div><h3>Popular</h3>{_movies('What a new user sees first', figures.popular, ordered=True)}</div>"
    return f'<div class="lists">{"".join(map(_example, figures.examples))}{popular}</div>'


def _example(one: dict[str, Any]) -> str:
    loved = [{**movie, "note": f"{movie['rating']:g} ★"} for movie in one["loved"]]
    movies = [{**movie, "note": f"expected {movie['predicted_rating']:.1f} ★"} for movie in one["recommended"]]
    name = f"User {one['user_id']}, {one['ratings']:,} {'rating' if one['ratings'] == 1 else 'ratings'}"
    best = _movies("Rated best", loved, ordered=False) if loved else ""
    source = SOURCES.get(one["source"] or "", "")
    return f"<div><h3>{escape(name)}</h3>{best}{_movies(f'Recommended, {source}', movies, ordered=True)}</div>"


def _movies(what: str, movies: Sequence[dict[str, Any]], *, ordered: bool) -> str:
    if not movies:
        return f'<p class="note">{escape(what)}: no movie</p>'
    tag = "ol" if ordered else "ul"
    items = "".join(f"<li>{escape(_name(movie))}{_note(movie)}</li>" for movie in movies)
    return f'<p class="note">{escape(what)}</p><{tag}>{items}</{tag}>'


def _name(movie: dict[str, Any]) -> str:
    return movie["title"] or f"Movie {movie['movie_id']}"


def _note(movie: dict[str, Any]) -> str:
    return f' <span class="note">{escape(movie["note"])}</span>' if "note" in movie else ""


def _section(title: str, text: str, plots: Sequence[Plot]) -> str:
    drawn = f'<div class="plots">{"".join(map(figure, plots))}</div>' if plots else ""
    return f"<section>\n<h2>{escape(title)}</h2>\n{text}\n{drawn}\n</section>"


def _sentences(sentences: Iterator[str]) -> str:
    return "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)


def _number(value: float | None, digits: int = 3) -> str | None:
    return None if value is None else f"{value:,.{digits}f}"


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{value:.2%}"


def _age(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:,.0f} s"


def _time(text: str) -> str:
    return text[:16].replace("T", " ") + " UTC"
