"""The plots of an evaluation, each with a plain reading of what it shows.

In: `Evaluation`. Out: `Plot`s, SVG as text. Next: `reelstream.batch.evaluation.page` puts them on a page.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from reelstream.als.arrays import F64, I64
from reelstream.als.list_metrics import ndcg
from reelstream.batch.evaluation.evaluate import Evaluation
from reelstream.batch.report.svg_plot import MODEL, OTHER, Plot, bars, svg

FEW = 10
"""Points of fewer test ratings are not drawn: chance moves them."""
STEPS = 18
"""Of predictions from end to end of the scale: a quarter of a star each."""
GROUPS = 5
"""Users are drawn in so many groups of about one size."""
NO_LISTS = "There is nothing to draw: no user in training has a relevant movie among the test ratings."


def all_plots(evaluation: Evaluation) -> list[Plot]:
    return [draw(evaluation) for draw in (calibration, error_by_count, ndcg_by_activity, popularity_bias)]


def calibration(evaluation: Evaluation) -> Plot:
    """Mean rating of the test rows that are predicted about the same, against the mean of these predictions."""
    predicted = evaluation.measured.predicted.astype(np.float64)
    actual = evaluation.held_out.rating
    scale, unit = evaluation.scale, evaluation.scale.unit
    width = (scale.rating_max - scale.rating_min) / STEPS or 1.0
    group = np.floor((predicted - scale.rating_min) / width).astype(np.int64)
    group -= group.min()
    rows = np.bincount(group)
    drawn = np.flatnonzero(rows >= min(FEW, rows.max()))
    said, given = means(predicted, group)[drawn], means(actual, group)[drawn]
    off = float(np.average(np.abs(said - given), weights=rows[drawn]))
    worst = int(np.argmax(np.abs(said - given)))
    span = f"from {said[0]:.1f} to {said[-1]:.1f}"

    def draw(axes: Axes) -> None:
        ends = [min(said.min(), given.min()), max(said.max(), given.max())]
        axes.plot(ends, ends, color=OTHER, linestyle="--", linewidth=1, label="right on average")
        axes.plot(said, given, color=MODEL, linewidth=1.2, label="this model")
        axes.scatter(said, given, s=8 + 130 * rows[drawn] / rows.max(), color=MODEL)
        axes.set(xlabel=f"predicted {unit}", ylabel="mean rating given")
        axes.legend()

    return Plot(
        f"Do predicted {unit} mean what they say?",
        svg(draw, "calibration", f"Mean rating given against predicted {unit}, {span}, beside the diagonal."),
        f"Each point holds the test ratings with predictions in {width:.2g} {unit}; a larger point holds more. On the "
        f"dashed line people gave what the model said. On average they were {off:.2f} {unit} apart; the farthest point is at "
        f"{said[worst]:.1f} predicted, where people gave {given[worst]:.1f}.",
    )


def error_by_count(evaluation: Evaluation) -> Plot:
    """RMSE by how many training ratings the row's movie has, and by how many its user has."""
    held_out, unit = evaluation.held_out, evaluation.scale.unit
    squares = (evaluation.measured.predicted.astype(np.float64) - held_out.rating) ** 2
    groups = {
        "by the movie's ratings": counts_at(held_out.train.by_movie.counts(), held_out.movie),
        "by the user's ratings": counts_at(held_out.train.by_user.counts(), held_out.user),
    }
    curves = {}
    for name, counts in groups.items():
        group = np.searchsorted(_EDGES, counts, side="right") - 1
        rows = np.bincount(group, minlength=len(_EDGES))
        drawn = np.flatnonzero(rows >= min(FEW, rows.max()))
        curves[name] = drawn, np.sqrt(means(squares, group)[drawn])
    shown = np.unique(np.concatenate([drawn for drawn, _ in curves.values()]))

    def draw(axes: Axes) -> None:
        for (name, (at, rmse)), (colour, mark) in zip(curves.items(), ((MODEL, "o-"), (OTHER, "s--")), strict=True):
            axes.plot(np.searchsorted(shown, at), rmse, mark, color=colour, linewidth=1.2, label=name)
        axes.set_xticks(range(len(shown)), ["0" if i == 0 else f"{_EDGES[i]}+" for i in shown])
        axes.set(xlabel="ratings in training, from … on", ylabel=f"RMSE, {unit}")
        axes.legend()

    said = " ".join(
        f"{name.capitalize()}: {rmse[0]:.2f} {unit} for {_label(at[0])}, {rmse[-1]:.2f} for {_label(at[-1])}."
        for name, (at, rmse) in curves.items()
    )
    return Plot(
        "How far off, for movies and users with few ratings?",
        svg(draw, "error", f"RMSE by number of training ratings. {said}"),
        f"The error of predicted {unit}, lower is better. {said} With 0 a row is cold: its prediction falls back on "
        "the mean and the bias that is known.",
    )


def ndcg_by_activity(evaluation: Evaluation) -> Plot:
    """Mean nDCG of users in groups of about one size, from those with the fewest training ratings to the most."""
    title, held_out = "Are lists good for everyone?", evaluation.held_out
    if not len(held_out.users):
        return Plot(title, "", NO_LISTS)
    counts = held_out.train.by_user.counts()[held_out.users]  # [R]
    edges = np.unique(np.quantile(counts, np.arange(GROUPS) / GROUPS, method="lower"))
    group = np.searchsorted(edges, counts, side="right") - 1  # [R]
    n_movies = len(held_out.train.movie_ids)
    lists = {"this model": evaluation.measured.lists, "popularity": evaluation.popular_lists}
    ours, popular = (means(ndcg(positions, held_out.relevant, n_movies), group) for positions in lists.values())
    last = [*(edges[1:] - 1), counts.max()]
    labels = [f"{low}–{high}" if low < high else f"{low}" for low, high in zip(edges, last, strict=True)]

    def draw(axes: Axes) -> None:
        bars(axes, {"this model": ours, "popularity": popular}, labels)
        axes.set(xlabel="the user's ratings in training", ylabel=f"nDCG@{evaluation.measured.lists.shape[1]}")

    ahead = int((ours > popular).sum())
    said = f"{ours[0]:.2f} for users with {labels[0]} ratings, {ours[-1]:.2f} for those with {labels[-1]}"
    return Plot(
        title,
        svg(draw, "activity", f"nDCG of this model and of popularity by user activity: {said}."),
        f"How well lists put relevant movies in front, 1 is perfect; each pair of bars has about as many users. This model: "
        f"{said}. It is ahead of the list of popular movies in {ahead} of {len(ours)} groups. Who has rated more has also "
        "more relevant movies held out, which makes a hit likelier.",
    )


def popularity_bias(evaluation: Evaluation) -> Plot:
    """Each tenth of the movies, most rated first: its share of the training ratings and of the places on lists."""
    title, lists = "Only the popular movies?", evaluation.measured.lists
    if not (lists >= 0).any():
        return Plot(title, "", NO_LISTS)
    counts = evaluation.held_out.train.by_movie.counts()  # [M]
    tenth = np.empty(len(counts), np.int64)
    tenth[np.argsort(-counts, kind="stable")] = np.arange(len(counts)) * 10 // len(counts)
    rated = np.bincount(tenth, weights=counts, minlength=10) / counts.sum()
    listed = np.bincount(tenth[lists[lists >= 0]], minlength=10) / (lists >= 0).sum()

    def draw(axes: Axes) -> None:
        names = ["first", *(str(i) for i in range(2, 10)), "last"]
        bars(axes, {"places on lists": 100 * listed, "training ratings": 100 * rated}, names)
        axes.set(xlabel="tenth of the movies, most rated first", ylabel="share in %")

    said = f"The most rated tenth of the movies has {rated[0]:.1%} of the ratings and {listed[0]:.1%} of the places on lists"
    return Plot(
        title,
        svg(draw, "popularity", f"Share of list places and of training ratings by tenth of the movies. {said}."),
        f"{said}; the less rated half has {rated[5:].sum():.1%} and {listed[5:].sum():.1%}. Where the first bar of a pair "
        "is higher, lists show these movies more than people rate them.",
    )


_EDGES = np.array([0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 100_000])
"""Lower ends of the groups of a number of ratings."""


def counts_at(counts: I64, positions: I64) -> I64:
    """counts[positions], int64[T]; 0 where the position is -1."""
    return np.where(positions >= 0, counts[positions], 0)


def means(values: np.ndarray, group: I64) -> F64:
    """The mean of the values of each group, float64[groups]; 0 for an empty one."""
    found: F64 = np.bincount(group, weights=values) / np.maximum(np.bincount(group), 1)
    return found


def _label(group: int) -> str:
    low, high = int(_EDGES[group]), int(_EDGES[group + 1]) - 1 if group + 1 < len(_EDGES) else None
    if high is None:
        return f"{low:,}+"
    return str(low) if low == high else f"{low:,}–{high:,}"
