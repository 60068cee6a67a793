"""Parts of the training ratings that settings are compared on, so that what a model is shown on stays unseen.

In: a RatingMatrix. Out: Folds, and what a model loses on each of their users. Next: `reelstream.batch.tuning.search`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from reelstream.als.arrays import F32, F64, I32, I64, Csr
from reelstream.als.factors import Factors, ModelSettings, RatingMatrix
from reelstream.als.fit import movie_sums, transitions
from reelstream.als.held_out import HeldOut
from reelstream.als.list_metrics import ndcg
from reelstream.als.list_scores import list_scores
from reelstream.als.metrics import predicted_stars
from reelstream.als.top_n import top_n

SHARE = 0.2
"""Of a user's ratings, held out in each fold."""
LIST_LENGTH = 10


@dataclass(frozen=True, slots=True)
class Rule:
    """What a fold holds out of a user's n ratings: the newest SHARE of them, or so many; without ages a random SHARE."""

    newest: int | None = None
    relevant_from: float | None = None
    """Stars; None is what counts as liked."""

    def held_out(self, counts: I64) -> I64:
        return np.minimum(counts, self.newest) if self.newest else np.floor(counts * SHARE + 1e-9).astype(np.int64)


NEWEST_FIFTH = Rule()


@dataclass(frozen=True, slots=True)
class Fold:
    """Ratings to fit, ratings to compare on, and Factors that know all of the first but the two models."""

    held_out: HeldOut
    unfitted: Factors
    next_scores: Csr | None
    """What the transitions say to the users of `held_out`, see `Transitions.next_scores`."""

    @classmethod
    def of(cls, held_out: HeldOut, factors: Factors) -> Fold:
        """factors: of the training ratings, with the transitions."""
        known = factors.transitions
        after = None if known is None else known.next_scores(held_out.seen, factors.movie_ids)
        return cls(held_out, factors, after)

    @property
    def train(self) -> RatingMatrix:
        return self.held_out.train

    def of_users(self, most: int) -> Fold:
        """With so many of the users that lists are compared on, evenly spread."""
        held_out = self.held_out
        if len(held_out.users) <= most:
            return self
        rows = np.linspace(0, len(held_out.users) - 1, most).astype(np.int64)
        relevant, seen = held_out.relevant.select(rows), held_out.seen.select(rows)
        some = replace(held_out, users=held_out.users[rows], relevant=relevant, seen=seen)
        return replace(self, held_out=some, next_scores=self.next_scores and self.next_scores.select(rows))

    def rating_losses(self, factors: Factors) -> F64:
        """The sum of squared errors in stars² of each user with held-out ratings; all cold users are one."""
        error = (predicted_stars(factors, self.held_out).astype(np.float64) - self.held_out.rating) ** 2
        _, user = np.unique(self.held_out.user, return_inverse=True)
        return np.bincount(user, weights=error).astype(np.float64)

    def ranking_losses(self, factors: Factors, vectors: F32 | None = None) -> F64:
        """1 − nDCG@10 of each of `held_out.users`, float64[R]. vectors: theirs, float32[R, K]; None: as the factors have."""
        seen = self.held_out.seen
        if vectors is None:
            vectors = factors.ranking_user[self.held_out.users]
        scores = list_scores(vectors, seen, factors, after=self.next_scores)
        lists, _ = top_n(scores.vectors, factors.ranking_movie, seen, LIST_LENGTH, extra=scores.extra)
        return 1 - ndcg(lists, self.held_out.relevant, len(factors.movie_ids))


def folds(matrix: RatingMatrix, settings: ModelSettings, rule: Rule, *, ratings: int, n: int) -> list[Fold]:
    """n folds of at most so many ratings, those of users drawn by `settings.seed`; fewer where nothing would be held out.

    With ages the first holds out what is newest, the next one what is newest of the rest, and so on, and none is fitted on
    what is newer than what it holds out. Without ages each is drawn anew.
    """
    relevant_from = settings.liked_stars if rule.relevant_from is None else rule.relevant_from
    drawn = _drawn(matrix, ratings, settings.seed)
    by_user = drawn.by_user
    user = np.repeat(drawn.user_ids, by_user.counts())  # [L]
    movie, stars = drawn.movie_ids[by_user.indices], by_user.values  # [L], [L]
    found = []
    for train, test in _parts(by_user, rule, n, settings.seed):
        if train.any() and test.any():
            ages = None if by_user.ages is None else by_user.ages[train]
            part = RatingMatrix.from_triples(user[train], movie[train], stars[train], ages)
            held_out = HeldOut.of(part, user[test], movie[test], stars[test], relevant_from)
            found.append(Fold.of(held_out, unfitted(part, settings)))
    return found


def unfitted(matrix: RatingMatrix, settings: ModelSettings) -> Factors:
    """All that Factors are but the two models, whose arrays have no columns."""
    counts, sums = matrix.by_movie.counts(), movie_sums(matrix.by_movie)  # [M], [M]
    users, movies = (np.zeros((len(ids), 0), np.float32) for ids in (matrix.user_ids, matrix.movie_ids))
    return Factors(
        user_ids=matrix.user_ids,
        movie_ids=matrix.movie_ids,
        mean=float(sums.sum() / counts.sum()),
        user_bias=np.zeros(len(users), np.float32),
        movie_bias=np.zeros(len(movies), np.float32),
        rating_user=users,
        rating_movie=movies,
        ranking_user=users,
        ranking_movie=movies,
        movie_counts=counts,
        movie_sums=sums,
        settings=settings,
        transitions=transitions(matrix),
    )


def _drawn(matrix: RatingMatrix, ratings: int, seed: int) -> RatingMatrix:
    """The ratings of users drawn at random, at most so many; the matrix itself where it has no more."""
    counts = matrix.by_user.counts()  # [U]
    if counts.sum() <= ratings:
        return matrix
    order = np.random.default_rng(seed).permutation(len(counts))
    users = np.sort(order[np.cumsum(counts[order]) <= ratings])
    rows = matrix.by_user.select(users)
    return RatingMatrix.from_triples(
        np.repeat(matrix.user_ids[users], rows.counts()), matrix.movie_ids[rows.indices], rows.values, rows.ages
    )


def _parts(by_user: Csr, rule: Rule, n: int, seed: int) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """(training, held out) of each fold, bool[L]."""
    counts = by_user.counts()
    if by_user.ages is None:
        random = np.random.default_rng(seed)
        for _ in range(n):
            test = random.permutation(len(by_user.values)) < round(SHARE * len(by_user.values))
            yield ~test, test
        return
    ages: I32 = by_user.ages
    each = rule.held_out(counts)  # [U]
    for fold in range(n):
        since, until = np.repeat(each * fold, counts), np.repeat(each * (fold + 1), counts)  # [L]
        yield ages >= until, (ages >= since) & (ages < until)
