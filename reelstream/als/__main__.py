"""`python -m reelstream.als` compiles the kernels into numba's cache, so that the first refit does not wait for it."""

from __future__ import annotations

import numpy as np

from reelstream.als.factors import ModelSettings, RatingMatrix
from reelstream.als.fit import fit
from reelstream.als.fold_in import FoldIn
from reelstream.als.held_out import HeldOut
from reelstream.als.metrics import evaluate, measure
from reelstream.als.top_n import popular, similar_movies, top_n


def compile_kernels() -> None:
    """Runs every kernel once, on a few ratings."""
    users, movies = np.divmod(np.arange(40), 5)
    stars = (1 + (users + movies) % 5).astype(np.float32)
    matrix = RatingMatrix.from_triples(users, movies, stars)
    factors = fit(matrix, ModelSettings(rating_iterations=1, ranking_iterations=1))
    FoldIn(factors).solve(matrix.by_user)
    top_n(factors.ranking_user, factors.ranking_movie, matrix.by_user, 3)
    similar_movies(factors.ranking_movie, 3)
    popular(factors, 3)
    evaluate(factors, matrix, users, movies, stars)
    measure(factors, HeldOut.of(matrix, users, movies, stars), 3, with_auc=True)


if __name__ == "__main__":
    compile_kernels()
