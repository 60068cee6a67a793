"""Every rating is a test before it is training: how often the next movie that a user likes is among their ten best.

    python -m bench.prequential RATINGS.csv [--refit-every 5000] [--protocol liked] [--plot prequential.png]
        [--peers popularity recent iknn isgd river implicit] [--no-self-tuning]

Without a file: the 100,004 real ratings of the demo. Ratings go in the order of their times, of equal times in that of the
file. Ours is what the product runs: refits that go on from the last one, every user folded in anew with all ratings so far,
transitions learned rating by rating. The second refit searches for settings, and so does each that has four times the ratings
of the last search, on what came before it. `no_order` is the same without recency and transitions, and without a search.

Protocols: `liked` scores each rating of a movie that counts as liked: of 4 stars on a scale from 0.5 to 5;
`five-stars` takes in only ratings of 5 stars and scores what comes after the first fifth of them; `last-out` learns all but
the last rating of each user at once, and asks for that among all movies that the user has not rated.
A hit: fewer than ten movies that the user has not rated are ahead; of equal scores the movie with the lower id is. A movie
that nobody has rated yet is a miss for all, and counts. Intervals are of 95 %, by resampling users.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.harness import Figures, options, ratings, run
from bench.streaming_peers import PEERS, Peer
from reelstream.als.__main__ import compile_kernels
from reelstream.als.arrays import F32, I64, Csr, ages_of
from reelstream.als.factors import ModelSettings, RatingMatrix
from reelstream.als.fit import fit
from reelstream.als.fold_in import FoldIn
from reelstream.als.list_scores import list_scores
from reelstream.als.top_n import predict
from reelstream.batch.tuning.folds import NEWEST_FIFTH, Rule
from reelstream.batch.tuning.plan import GROWN
from reelstream.batch.tuning.search import search
from reelstream.settings import load

PLACES, RESAMPLED, POINTS = 10, 1000, 200


class Ours(Peer):
    """Both models and the transitions of reelstream."""

    def __init__(
        self, n_users: int, n_movies: int, liked_from: float, settings: ModelSettings, search_from: int, rule: Rule
    ) -> None:
        """search_from: ratings from which on a refit searches; rule: what it compares on."""
        super().__init__(n_users, n_movies, liked_from)
        self.settings, self.search_from, self.rule = settings, search_from, rule
        self.fold_in: FoldIn | None = None

    def scores(self, user: int) -> F32:
        history = self._history(user)
        if self.fold_in is None or history is None:
            return self.sums
        factors = self.fold_in.factors
        by = list_scores(self.fold_in.solve(history, threads=1).ranking, history, factors, threads=1)
        found = np.full(self.n_movies, -np.inf, np.float32)
        found[factors.movie_ids] = factors.ranking_movie @ by.vectors[0]
        if by.extra is not None:
            found[factors.movie_ids[by.extra.indices]] += by.extra.values
        return found

    def stars(self, user: int, movie: int) -> float | None:
        if self.fold_in is None:
            return None
        factors, history = self.fold_in.factors, self._history(user)
        folded = self.fold_in.solve(history or Csr.from_rows(*self._nothing(), 1), threads=1)
        return float(predict(factors, folded.user_bias, folded.rating, factors.movie_index(np.array([movie])))[0])

    def learn(self, user: int, movie: int, stars: float) -> None:
        before = self._ratings(user)
        super().learn(user, movie, stars)
        if self.fold_in and self.fold_in.factors.transitions and self.settings.ranking_transition_weight:
            after = self._ratings(user)
            self.fold_in.factors.transitions.learn(before[:2] + before[3:], after[:2] + after[3:], 1)

    def refit(self) -> None:
        parts = [self._ratings(user) for user in range(self.n_users)]
        user_id = np.repeat(np.arange(self.n_users), [len(part[0]) for part in parts])
        movie_id, stars, ages = (np.concatenate([part[at] for part in parts]) for at in (1, 2, 3))
        last = self.fold_in.factors if self.fold_in else None
        matrix = RatingMatrix.from_triples(user_id, movie_id, stars, ages)
        if len(stars) >= self.search_from:
            self.settings, self.search_from = search(matrix, self.settings, rule=self.rule).settings, GROWN * len(stars)
        self.fold_in = FoldIn(fit(matrix, self.settings, start=last))

    def _ratings(self, user: int) -> tuple[I64, I64, F32, Any]:
        """(row, movie, stars, ages) of all that the user has rated."""
        rated = self.rated[user]
        ages = np.arange(len(rated), dtype=np.int32)[::-1]
        return (
            np.zeros(len(rated), np.int64),
            np.array([*rated], np.int64),
            np.array([*rated.values()], np.float32),
            ages,
        )

    def _history(self, user: int) -> Csr | None:
        """The ratings of movies that the last refit knows; None where there is none."""
        row, movie, stars, ages = self._ratings(user)
        if self.fold_in is None or not len(row):
            return None
        at = self.fold_in.factors.movie_index(movie)
        order = np.flatnonzero(at >= 0)
        order = order[np.argsort(at[order])]
        again = ages_of(row[order], -ages[order].astype(np.int64))
        return Csr.from_rows(row[order], at[order], stars[order], 1, again) if len(order) else None

    @staticmethod
    def _nothing() -> tuple[I64, I64, F32]:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)


def prequential(asked: argparse.Namespace) -> Figures:
    table, _ = ratings(asked.ratings)
    user_id, movie_id, stars, rated_at = (table[name].to_numpy() for name in table.column_names)
    scale: Figures = {"rating_min": float(stars.min()), "rating_max": float(stars.max())}
    if asked.protocol == "five-stars":
        best = stars == stars.max()
        user_id, movie_id, stars, rated_at = user_id[best], movie_id[best], stars[best], rated_at[best]
    order = np.argsort(rated_at, kind="stable")[: asked.ratings_at_most]
    users, user = np.unique(user_id[order], return_inverse=True)
    movies, movie = np.unique(movie_id[order], return_inverse=True)
    stars = stars[order]
    compile_kernels()
    settings = replace(ModelSettings(), **scale)
    liked_from = settings.liked_stars
    no_order = replace(settings, ranking_recency_boost=0, ranking_recency_floor=1, ranking_transition_weight=0)
    shape = len(users), len(movies), liked_from
    never = len(user) + 1
    last_out = asked.protocol == "last-out"
    search_from = never if asked.no_self_tuning or not load().self_tuning else 1 if last_out else 2 * asked.refit_every
    rule = Rule(newest=1, relevant_from=scale["rating_min"]) if last_out else NEWEST_FIFTH
    contestants: dict[str, Peer] = {
        "reelstream": Ours(*shape, settings, search_from, rule),
        "no_order": Ours(*shape, no_order, never, rule),
    }
    contestants |= {name: PEERS[name](*shape) for name in asked.peers}
    scored = _scored(asked.protocol, user, stars, liked_from)
    learned_first = _learned_first(asked.protocol, user, scored)
    hits = {name: np.zeros(len(user), np.bool_) for name in contestants}
    errors: dict[str, list[float]] = {name: [] for name in contestants}
    seconds = dict.fromkeys(contestants, 0.0)
    for name, one in contestants.items():
        began, since = time.perf_counter(), 0
        for at in learned_first:
            one.learn(int(user[at]), int(movie[at]), float(stars[at]))
        if len(learned_first):
            one.refit()
        for at in np.setdiff1d(np.arange(len(user)), learned_first).tolist():
            u, m, r = int(user[at]), int(movie[at]), float(stars[at])
            if scored[at] and m not in one.rated[u]:
                hits[name][at] = _is_hit(one, u, m)
            if (predicted := one.stars(u, m)) is not None and m not in one.rated[u]:
                errors[name].append((predicted - r) ** 2)
            if asked.protocol != "last-out":
                one.learn(u, m, r)
                since += 1
                if since % asked.refit_every == 0:
                    one.refit()
        seconds[name] = time.perf_counter() - began
    rows, ours = np.flatnonzero(scored), contestants["reelstream"]
    assert isinstance(ours, Ours)
    if asked.plot:
        _plot(asked.plot, {name: found[rows] for name, found in hits.items()})
    return {
        "protocol": asked.protocol,
        "ratings": len(user),
        "scored": len(rows),
        "refit_every": asked.refit_every,
        "changed_settings": settings.changed_in(ours.settings),
        "contestants": {
            name: {
                **_hit_rate(hits[name][rows], user[rows]),
                "rmse": round(float(np.sqrt(np.mean(errors[name]))), 4) if errors[name] else None,
                "seconds": round(seconds[name], 1),
            }
            for name in contestants
        },
    }


def _scored(protocol: str, user: I64, stars: F32, liked_from: float) -> np.ndarray:
    """bool[L]."""
    if protocol == "liked":
        return stars >= liked_from
    scored = np.zeros(len(user), np.bool_)
    if protocol == "five-stars":
        scored[len(user) // 5 :] = True
    else:
        scored[len(user) - 1 - np.unique(user[::-1], return_index=True)[1]] = True
    return scored


def _learned_first(protocol: str, user: I64, scored: np.ndarray) -> I64:
    """Positions of ratings that are learned before any is scored."""
    return np.flatnonzero(~scored) if protocol == "last-out" else np.empty(0, np.int64)


def _is_hit(one: Peer, user: int, movie: int) -> bool:
    """Whether fewer than PLACES movies that the user has not rated are ahead."""
    scores = one.scores(user)
    score = scores[movie]
    if not one.counts[movie] or not np.isfinite(score):
        return False
    ahead = (scores > score) | ((scores == score) & (np.arange(len(scores)) < movie))
    ahead[np.fromiter(one.rated[user], np.int64, len(one.rated[user]))] = False
    return int(ahead.sum()) < PLACES


def _hit_rate(hits: np.ndarray, user: I64) -> Figures:
    """The share of hits, and its interval: users are drawn with replacement."""
    n = np.bincount(user).astype(float)  # [U]
    of_user = np.bincount(user, weights=hits)  # [U]
    drawn = np.random.default_rng(0).integers(0, len(n), (RESAMPLED, len(n)))
    rates = of_user[drawn].sum(axis=1) / np.maximum(n[drawn].sum(axis=1), 1)
    low, high = np.quantile(rates, [0.025, 0.975])
    return {"hit_rate_at_10": round(float(hits.mean()), 4), "interval": [round(float(low), 4), round(float(high), 4)]}


def _plot(path: Path, hits: dict[str, np.ndarray]) -> None:
    """Moving averages over a tenth of what was scored."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    for name, found in hits.items():
        width = max(1, len(found) // 10)
        sums = np.cumsum(np.concatenate([[0.0], found]))
        ends = np.linspace(width, len(found), POINTS).astype(int)
        axes.plot(ends, (sums[ends] - sums[ends - width]) / width, label=name)
    axes.set(xlabel="ratings scored", ylabel=f"hit rate@{PLACES}, mean of the last tenth")
    axes.legend()
    figure.savefig(path)


if __name__ == "__main__":
    parser = options(__doc__)
    parser.add_argument("ratings", type=Path, nargs="?", help="a MovieLens ratings.csv")
    parser.add_argument("--refit-every", type=int, default=5000, metavar="RATINGS")
    parser.add_argument("--peers", nargs="*", default=["popularity", "recent", "iknn", "isgd"], choices=[*PEERS])
    parser.add_argument("--protocol", choices=["liked", "five-stars", "last-out"], default="liked")
    parser.add_argument("--no-self-tuning", action="store_true", help="keep the shipped settings")
    parser.add_argument("--ratings-at-most", type=int, metavar="N", help="the oldest N ratings alone")
    parser.add_argument("--plot", type=Path, help="a PNG of moving averages; needs reelstream[report]")
    run("prequential", parser, prequential)
