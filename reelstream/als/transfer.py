"""A model on other ratings than its own: how good the last version would be today.

In: the factors of one fit, the ratings of another. Out: Factors of the other's users and movies. Next: `metrics.evaluate`
compares the two on the same held-out ratings.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from reelstream.als.arrays import F32, index_of
from reelstream.als.factors import Factors, RatingMatrix
from reelstream.als.fit import movie_sums
from reelstream.als.fold_in import FoldIn


def transfer(factors: Factors, matrix: RatingMatrix) -> Factors:
    """The movies as `factors` have them (unknown ones at 0: the mean, and no score), and all users of `matrix`
    folded in with their ratings there."""
    at = index_of(factors.movie_ids, matrix.movie_ids)  # [M]

    def rows(known: F32) -> F32:
        moved = np.zeros((len(at), *known.shape[1:]), np.float32)
        moved[at >= 0] = known[at[at >= 0]]
        return moved

    carried = replace(
        factors,
        user_ids=matrix.user_ids,
        movie_ids=matrix.movie_ids,
        movie_bias=rows(factors.movie_bias),
        rating_movie=rows(factors.rating_movie),
        ranking_movie=rows(factors.ranking_movie),
        movie_counts=matrix.by_movie.counts(),
        movie_sums=movie_sums(matrix.by_movie),
    )
    users = FoldIn(carried).solve(matrix.by_user)
    return replace(carried, user_bias=users.user_bias, rating_user=users.rating, ranking_user=users.ranking)
