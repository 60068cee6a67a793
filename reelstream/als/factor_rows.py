"""One side of Factors, all of its arrays at once: some of its rows, or more rows merged in.

In: Factors. Out: Factors. Next: `fold_in` adds users and movies, `reelstream.store.new_movies` keeps the movies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from reelstream.als.arrays import I64
from reelstream.als.factors import Factors

USERS = ("user_ids", "user_bias", "rating_user", "ranking_user")
"""The arrays of the users: row i of each belongs to row i of the first, the ids."""
MOVIES = ("movie_ids", "movie_bias", "rating_movie", "ranking_movie", "movie_counts", "movie_sums")
"""Those of the movies."""


def arrays_of(factors: Factors, names: tuple[str, ...]) -> dict[str, Any]:
    """The arrays of USERS or MOVIES, by name."""
    return {name: getattr(factors, name) for name in names}


def rows_at(factors: Factors, names: tuple[str, ...], positions: I64) -> Factors:
    """Of that side only the rows at the positions, int64[S] ascending."""
    return replace(factors, **{name: array[positions] for name, array in arrays_of(factors, names).items()})


def with_rows(factors: Factors, names: tuple[str, ...], more: Mapping[str, Any]) -> Factors:
    """The same side with R rows more; `more` has an array for each name, of ids in any order, none of them there."""
    order = np.argsort(np.concatenate([getattr(factors, names[0]), more[names[0]]]))  # [rows + R]
    rows: dict[str, Any] = {
        n: np.concatenate([array, more[n]])[order] for n, array in arrays_of(factors, names).items()
    }
    return replace(factors, **rows)
