"""`python -m reelstream.als` compiles the kernels into numba's cache, so that the first refit does not wait for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from reelstream.als.arrays import ages_of
from reelstream.als.factors import ModelSettings, RatingMatrix
from reelstream.als.fit import fit
from reelstream.als.fold_in import FoldIn
from reelstream.als.held_out import HeldOut
from reelstream.als.list_scores import list_scores
from reelstream.als.metrics import evaluate, measure
from reelstream.als.top_n import popular, similar_movies, top_n
from reelstream.als.transitions import Transitions


def compile_kernels() -> None:
    """Runs every kernel once, on a few ratings."""
    users, movies = np.divmod(np.arange(40), 5)
    stars = (1 + (users + movies) % 5).astype(np.float32)
    ages = ages_of(users, movies)
    matrix = RatingMatrix.from_triples(users, movies, stars, ages)
    factors = fit(matrix, ModelSettings(rating_iterations=1, ranking_iterations=1))
    FoldIn(factors).solve(matrix.by_user)
    list_scores(factors.ranking_user, matrix.by_user, factors)
    nothing = matrix.by_user.select(np.empty(0, np.int64))
    top_n(
        factors.ranking_user,
        factors.ranking_movie,
        replace(nothing, indptr=0 * matrix.by_user.indptr),
        3,
        extra=matrix.by_user,
    )
    transitions = Transitions.nothing()
    transitions.learn((users[:0], movies[:0], ages[:0]), (users, movies, ages), 8)
    similar_movies(factors.ranking_movie, 3)
    popular(factors, 3)
    evaluate(factors, matrix, users, movies, stars)
    measure(factors, HeldOut.of(matrix, users, movies, stars, 4.0), 3, with_auc=True)


if __name__ == "__main__":
    compile_kernels()
