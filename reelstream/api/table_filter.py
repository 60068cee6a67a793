"""Published tables of lists, without what is hidden or dismissed now.

In: rows of USERS or SIMILAR, and which movies to leave out. Out: the other rows, with ranks from 1 on. Next:
`reelstream.api.recommender` and `reelstream.api.sql` show them.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from reelstream.als.arrays import I64
from reelstream.store.dismissed import DismissedMovies
from reelstream.top_lists import renumbered_rows


def shown_lists(lists: pa.Table, hidden: I64, dismissed: DismissedMovies) -> pa.Table:
    """Rows of USERS, sorted by user, then rank. hidden: int64[H] ids."""
    user_id, movie_id = lists["user_id"].to_numpy(), lists["movie_id"].to_numpy()
    return renumbered_rows(lists, ~(np.isin(movie_id, hidden) | dismissed.covers(user_id, movie_id)))


def shown_similar(similar: pa.Table, hidden: I64) -> pa.Table:
    """Rows of SIMILAR, those of a movie together."""
    return renumbered_rows(similar, ~np.isin(similar["similar_movie_id"].to_numpy(), hidden), of="movie_id")
