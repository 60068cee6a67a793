"""What was popular lately: a baseline that follows the day, beside the popular list of a version.

In: the movies of ratings, in their order. Out: the place of a movie at the moment of a rating. Next:
`reelstream.stream.prequential` compares lists with it.
A rating counts half once HALF_LIFE more have come: exponential forgetting, as in Vinagre, Jorge, "Forgetting mechanisms for
scalable collaborative filtering", JBCS 2012.
"""

from __future__ import annotations

import numpy as np

from reelstream.als.arrays import F64, I64, Csr, index_of

HALF_LIFE = 5_000
"""Ratings until a rating counts half."""
REMEMBERED = 20 * HALF_LIFE
"""Ratings that are looked at to begin with; what is older counts a millionth."""
_LARGE = 1e100


class RecentPopularity:
    """Not thread-safe."""

    def __init__(self, movie_id: I64) -> None:
        """movie_id: of the newest ratings, int64[L], the oldest first."""
        self._ids = np.empty(0, np.int64)
        self._weights = np.empty(0, np.float64)
        self._unit = 1.0
        self.learn(movie_id[-REMEMBERED:])

    def learn(self, movie_id: I64) -> None:
        """Adds ratings, int64[L], the oldest first."""
        if not len(movie_id):
            return
        new = np.setdiff1d(movie_id, self._ids)
        if len(new):
            ids = np.union1d(self._ids, new)
            weights = np.zeros(len(ids))
            weights[index_of(ids, self._ids)] = self._weights
            self._ids, self._weights = ids, weights
        np.add.at(self._weights, index_of(self._ids, movie_id), self._grown(len(movie_id)))
        self._unit *= 2 ** (len(movie_id) / HALF_LIFE)
        if self._unit > _LARGE:
            self._weights, self._unit = self._weights / self._unit, 1.0

    def places(self, movie_ids: I64, rated: I64, rows: I64, seen: Csr) -> I64:
        """How many movies that the user has not rated are ahead of the rated one, int64[H]; of equal ones the lower one is.

        movie_ids: int64[M], the candidates. rated: int64[R], positions of all ratings of a micro-batch in their order, -1 for
        those that are no candidate. rows: int64[H] ascending, those whose place is asked for, each just before it counts
        itself. seen: what the H users have rated.
        """
        at = index_of(self._ids, movie_ids) if len(self._ids) else np.full(len(movie_ids), -1)
        weights = np.where(at >= 0, self._weights[at], 0.0) if len(self._ids) else np.zeros(len(movie_ids))  # [M]
        grown, done = self._grown(len(rated)), 0
        places = np.zeros(len(rows), np.int64)
        for i, row in enumerate(rows.tolist()):
            before = np.arange(done, row)[rated[done:row] >= 0]
            np.add.at(weights, rated[before], grown[before])
            done = row
            movie = rated[row]
            ahead = weights > weights[movie]
            ahead[:movie] |= weights[:movie] == weights[movie]
            places[i] = np.count_nonzero(ahead) - np.count_nonzero(ahead[seen.row(i)[0]])
        return places

    def _grown(self, n: int) -> F64:
        """What each of the next n ratings counts, float64[n]: more and more, instead of all others less."""
        return np.asarray(self._unit * 2 ** (np.arange(1, n + 1) / HALF_LIFE), np.float64)
