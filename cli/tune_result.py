"""What `tune` answers: the best trials of each model, and the winner on the test part, for a person or as JSON."""

from __future__ import annotations

from typing import Any

from reelstream.batch.evaluation.search_space import SETTINGS, SYMBOLS
from reelstream.batch.evaluation.trials import FIGURES, NAMES
from reelstream.batch.evaluation.tune import Tuned
from reelstream.cli.options import out, print_table

SHOWN = 5
"""Trials of each model in its table, beside the one in use."""

COLUMNS = {
    "winner": "winner",
    "in_use": "in use",
    "defaults": "defaults",
    "bias_only": "biases only",
    "popularity": "popularity",
}


def as_json(tuned: Tuned) -> dict[str, Any]:
    """Everything that was found, but for the single trials: these are in the table."""
    return {
        **tuned.info,
        "trials": len(tuned.rows),
        "trials_kept": tuned.kept,
        "trials_failed": sum(bool(row["error"]) for row in tuned.rows),
        "best": {
            model: {name: value for name, value in row.items() if value is not None}
            for model, row in tuned.best.items()
        },
        "settings": tuned.winner.to_dict(),
        "test": tuned.test,
    }


def show(tuned: Tuned, answer: dict[str, Any]) -> None:
    """In 80 columns. answer: out, heat_map and adopted, as the command gives them as JSON too."""
    failed = [row for row in tuned.rows if row["error"]]
    kept = f", {tuned.kept:,} of them from before" if tuned.kept else ""
    out.print(
        f"{len(tuned.rows):,} trials on {tuned.info['ratings']:,} ratings, held out by {tuned.info['split']}{kept}."
    )
    if failed:
        out.print(f"{len(failed):,} failed; the first: {failed[0]['error']}", markup=False, soft_wrap=True)
    for model in tuned.best:
        _show_trials(tuned, model)
    columns = [name for name in COLUMNS if name != "in_use" or tuned.test["in_use"] != tuned.test["defaults"]]
    names = {**NAMES, "coverage": "coverage"}
    rows = [(text, *(_digits(tuned.test[column].get(name), 3) for column in columns)) for name, text in names.items()]
    title = f"On {tuned.info['test_ratings']:,} test ratings that chose nothing"
    print_table(title, ("", *(COLUMNS[column] for column in columns)), rows)
    out.print(f"Trials: {answer['out']}/trials", soft_wrap=True, markup=False)
    if answer["heat_map"]:
        out.print(f"Heat map: {answer['heat_map']}", soft_wrap=True, markup=False)
    if answer["adopted"]:
        out.print("Adopted: the next refits take the winner. `reelstream tune --adopt-defaults` is the way back.")
    else:
        out.print("Not adopted. The same command with --adopt does that; no trial runs again.")


def _show_trials(tuned: Tuned, model: str) -> None:
    """The best trials of a model, and the settings in use if they are not among them."""
    own = [row for row in tuned.rows if row["model"] == model and not row["error"]]
    figure, other = FIGURES[model]
    in_use = tuned.in_use.get(model)
    best = sorted(own, key=lambda row: row[figure] if model == "rating" else -row[figure])[:SHOWN]
    shown = [*best, *([in_use] if in_use and in_use not in best else [])]
    varied = [name for name in SETTINGS[model] if len({row[name] for row in own}) > 1]
    rows = [
        (
            ", ".join(mark for mark, is_it in (("best", row is best[0]), ("in use", row is in_use)) if is_it),
            *(f"{row[name]:g}" for name in varied),
            _digits(row[figure], 4),
            _digits(row[other], 4),
            f"{row['fit_seconds']:.2f}",
        )
        for row in shown
    ]
    symbols = [SYMBOLS.get(short := name.partition("_")[2], short) for name in varied]
    print_table(f"{model.capitalize()} model", ("", *symbols, NAMES[figure], NAMES[other], "fit s"), rows)


def _digits(value: float | None, digits: int) -> str | None:
    return None if value is None else f"{value:.{digits}f}"
