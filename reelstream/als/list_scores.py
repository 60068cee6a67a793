"""The one score that a list is in the order of: the ranking model's, and what is often watched next.

    score = x·v / s + β · t / t_max
x is the user's and v the movie's ranking vector, s the largest x·v of a movie that the user has not rated, and t / t_max
what `transitions` says of the movie: 0 to 1, and 0 for a movie that the user has rated. So the best movie of either model
has 1 of its own, however many ratings there are. Without transitions, or with β = 0, the score is x·v.

In: users' ranking vectors and histories. Out: ListScores. Next: `top_n` makes lists of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reelstream.als.arrays import F32, I64, Csr
from reelstream.als.factors import Factors
from reelstream.als.top_n import top_n


@dataclass(frozen=True, slots=True)
class ListScores:
    """The score of movie m for row r is vectors[r] · ranking_movie[m], and what `extra` has for it."""

    vectors: F32
    """float32[R, K]: x / s."""
    scale: F32
    """float32[R]: s."""
    extra: Csr | None
    """R rows of positions, ascending, with values above 0: β · t / t_max. None where there are no transitions."""

    def rows(self, rows: I64) -> ListScores:
        """Only those, int64[S]."""
        return ListScores(self.vectors[rows], self.scale[rows], self.extra and self.extra.select(rows))


def list_scores(
    ranking: F32, histories: Csr, factors: Factors, *, after: Csr | None = None, threads: int | None = None
) -> ListScores:
    """ranking: float32[R, K], the users' vectors. histories: what each of the R users has rated, with ages, over the
    positions in `factors.movie_ids`. after: the transitions' `next_scores` of these, where they are there already. s is 1
    where no movie that is not rated has a product above 0."""
    beta = np.float32(factors.settings.ranking_transition_weight)
    if factors.transitions is None or not beta:
        return ListScores(ranking, np.ones(len(ranking), np.float32), None)
    _, best = top_n(ranking, factors.ranking_movie, histories, 1, threads=threads)  # [R, 1]
    scale: F32 = np.where(best[:, 0] > 0, best[:, 0], np.float32(1)).astype(np.float32)  # [R]
    extra = factors.transitions.next_scores(histories, factors.movie_ids) if after is None else after
    vectors: F32 = ranking / scale[:, None]
    return ListScores(vectors, scale, Csr(extra.indptr, extra.indices, beta * extra.values))


def mean_of(scores: list[ListScores], n_movies: int) -> ListScores:
    """The mean of several users' scores, as one row; each of them has one row."""
    vectors: F32 = np.mean([one.vectors for one in scores], axis=0, dtype=np.float32)  # [1, K]
    sums = np.zeros(n_movies, np.float32)
    for one in scores:
        if one.extra is not None:
            sums[one.extra.indices] += one.extra.values / np.float32(len(scores))
    positions = np.flatnonzero(sums).astype(np.int32)
    return ListScores(vectors, np.ones(1, np.float32), Csr(np.array([0, len(positions)]), positions, sums[positions]))
