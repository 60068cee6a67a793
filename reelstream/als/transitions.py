"""Transitions: which movies users rate soon after which.

In: users' ratings in their order. Out: Transitions, and scores of what comes next for a user. Next: `list_scores` adds them
to the ranking model's.
What a transition is, and the formula of the scores: `transition_rule`.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from reelstream.als import reference
from reelstream.als.arrays import F64, I32, I64, Csr, index_of, row_starts
from reelstream.als.transition_rule import (
    FADE,
    SUCCESSORS,
    WINDOW,
    TransitionArrays,
    ages_of_row,
    arriving_weight,
    leaving_weight,
)


class Transitions:
    """T, a row a movie: the row of movie_ids[a] has `lengths[a]` entries from `starts[a]` on, in no order.

    `learn` changes it in place, by one thread at a time and while no other reads it.
    """

    def __init__(
        self, movie_ids: I64, starts: I64, lengths: I32, successors: I32, counts: I64, leaving: I64, arriving: I64
    ) -> None:
        """movie_ids: int64[T], each once, in any order. successors int32, positions in movie_ids, and counts int64, their T
        in 1 / UNIT: the entries of all rows. leaving, arriving: int64[T], T[a→·] and T[·→b] in 1 / UNIT, of all that was
        ever learned, be it among the entries or not."""
        self.movie_ids, self.starts, self.lengths = movie_ids, starts, lengths
        self.successors, self.counts = successors, counts
        self.leaving, self.arriving = leaving, arriving
        self._room = lengths.copy()  # entries that a row may take where it lies
        self._used = len(successors)  # entries of the pool that some row has, or has left
        self._order = np.argsort(movie_ids)
        self._links: tuple[I64, int, I64, I64] | None = None

    @classmethod
    def nothing(cls) -> Transitions:
        ids, none = np.empty(0, np.int64), np.empty(0, np.int32)
        return cls(ids, ids, none, none, ids, ids, ids)

    @classmethod
    def of(cls, movie_ids: I64, by_user: Csr, by_movie: Csr, *, threads: int | None = None) -> Transitions:
        """Of all ratings of a matrix, by_user with ages. Memory beyond the result: a few numbers a rating."""
        from reelstream.als import transition_rows  # importing numba takes a moment, and reading factors needs none

        return cls(movie_ids, *transition_rows.build(by_user, by_movie, threads))

    def row(self, a: int) -> tuple[I32, I64]:
        """(successors, counts) of the movie at a position, in ascending order of position."""
        entries = slice(self.starts[a], self.starts[a] + self.lengths[a])
        order = np.argsort(self.successors[entries])
        return self.successors[entries][order], self.counts[entries][order]

    def index(self, ids: I64) -> I64:
        """Positions in movie_ids, int64 in the shape of `ids`; -1 where unknown."""
        at = index_of(self.movie_ids[self._order], ids)
        return np.where(at >= 0, self._order[at], -1) if len(self._order) else at

    def learn(self, before: tuple[I64, I64, I32], after: tuple[I64, I64, I32], n_rows: int) -> None:
        """Takes the difference that new ratings of n_rows users make; new movies get a row.

        before, after: (row int64[L] ascending, movie_id int64[L], ages int32[L]) of the same users, all of their ratings.
        Costs what has changed in the order of the ratings, not what stayed: ten entries a rating that is a user's newest.
        Where a full row gets a new successor, it takes the place of the least, if that is less.
        """
        from reelstream.als import transition_rows

        self._add_movies(np.concatenate([before[1], after[1]]))
        pairs = transition_rows.difference(self._sequences(before, n_rows), self._sequences(after, n_rows))
        self._make_room(pairs[0])
        transition_rows.add(
            *pairs, self.starts, self.lengths, self._room, self.successors, self.counts, self.leaving, self.arriving
        )

    def next_scores(self, histories: Csr, movie_ids: I64) -> Csr:
        """t of each row's successors that it has not rated, divided by the row's largest: at most 1.

        histories: R rows with ages over positions in movie_ids. Returns R rows over the same positions, ascending. Without
        numba it is slow, and meant for a few rows.
        """
        if not find_spec("numba"):
            return reference.next_scores(histories, self.arrays(movie_ids))
        from reelstream.als import transition_rows

        return transition_rows.next_scores(histories, self.arrays(movie_ids))

    def arrays(self, movie_ids: I64) -> TransitionArrays:
        """What `next_scores` is computed from: the arrays of `__init__` from `starts` on, the rows of movie_ids (int64[M]) and
        the positions of the rows there (int64[T]), -1 where there is none."""
        rows = (self.starts, self.lengths, self.successors, self.counts, self.leaving, self.arriving)
        return (*rows, *self._linked(movie_ids))

    def parts(self, history: Csr, movie_ids: I64, position: int) -> F64:
        """What each rating of one row adds to t of a movie, float64[L], not divided."""
        to_row, to_position = self._linked(movie_ids)
        parts = np.zeros(len(history.indices))
        for at in np.flatnonzero(ages_of_row(history) < WINDOW).tolist():
            a = to_row[history.indices[at]]
            if a >= 0:
                successors, counts = self.row(int(a))
                found = counts[to_position[successors] == position]
                parts[at] = FADE ** int(ages_of_row(history)[at]) * float(found.sum()) * leaving_weight(self.leaving[a])
        b = to_row[position]
        return parts * arriving_weight(self.arriving[b]) if b >= 0 else parts

    def _linked(self, movie_ids: I64) -> tuple[I64, I64]:
        """(int64[M], row of each of movie_ids; int64[T], the position of each row's movie there), -1 where there is none."""
        links = self._links
        if links is None or links[0] is not movie_ids or links[1] != len(self.movie_ids):
            to_position = index_of(movie_ids, self.movie_ids)
            links = (movie_ids, len(self.movie_ids), self.index(movie_ids), to_position)
            self._links = links
        return links[2:]

    def _sequences(self, ratings: tuple[I64, I64, I32], n_rows: int) -> tuple[I64, I32]:
        """(indptr int64[n_rows + 1], positions int32[L], a user's oldest rating first)."""
        row, movie_id, ages = ratings
        indptr = row_starts(np.bincount(row, minlength=n_rows))
        sequence = np.empty(len(row), np.int32)
        sequence[indptr[row + 1] - 1 - ages] = self.index(movie_id)
        return indptr, sequence

    def _add_movies(self, ids: I64) -> None:
        new = np.setdiff1d(ids, self.movie_ids)
        if not len(new):
            return
        zeros = np.zeros(len(new), np.int64)
        self.movie_ids = np.concatenate([self.movie_ids, new])
        self._order = np.argsort(self.movie_ids)
        self.starts = np.concatenate([self.starts, zeros])
        self.leaving, self.arriving = (np.concatenate([sums, zeros]) for sums in (self.leaving, self.arriving))
        self.lengths, self._room = (
            np.concatenate([sizes, zeros.astype(np.int32)]) for sizes in (self.lengths, self._room)
        )

    def _make_room(self, rows: I32) -> None:
        """Moves rows that may get more entries than they have room for to the end of the pool, with twice the room."""
        changed, more = np.unique(rows, return_counts=True)
        wanted = np.minimum(self.lengths[changed] + more, SUCCESSORS)
        tight = changed[wanted > self._room[changed]]
        if not len(tight):
            return
        room = np.minimum(2 * wanted[wanted > self._room[changed]], SUCCESSORS)
        starts = self._used + row_starts(room)
        if starts[-1] > len(self.successors):
            size = max(int(starts[-1]), 2 * len(self.successors))
            self.successors, self.counts = (_grown(pool, size) for pool in (self.successors, self.counts))
        for a, start in zip(tight.tolist(), starts[:-1].tolist(), strict=True):
            old, length = int(self.starts[a]), int(self.lengths[a])
            for pool in (self.successors, self.counts):
                pool[start : start + length] = pool[old : old + length]
        self.starts[tight], self._room[tight] = starts[:-1], room
        self._used = int(starts[-1])


def _grown(pool: np.ndarray, size: int) -> np.ndarray:
    grown = np.zeros(size, pool.dtype)
    grown[: len(pool)] = pool
    return grown
