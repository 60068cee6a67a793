"""New movies: those that the current version does not know, folded into it before the next refit.

In: who rated what, micro-batch by micro-batch, and the histories of those users. Out: the version's factors with the new
movies in them. Next: `reelstream.stream.fold_in` makes lists of them, `reelstream.store.new_movies` keeps them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from reelstream.als.arrays import I64, Csr, index_of
from reelstream.als.factor_rows import MOVIES, USERS, arrays_of, rows_at
from reelstream.als.factors import Factors
from reelstream.als.fold_in import FoldIn, with_movies, with_users
from reelstream.top_lists import RatingArrays, known_ratings

FRESH = 32
"""A movie is solved anew once its raters since are at least one in so many of those it had: a movie that many rate
costs each of its ratings the look-up of 32 users at the most, and one of up to 32 raters is always fresh."""
_USERS_AT_ONCE = 2_000
"""Users asked for in one call, which may hold a lock."""
_PAIR = np.dtype([("movie_id", "i8"), ("user_id", "i8")])


class NewMovies:
    """The movies that one loaded version does not know. One thread calls `fold`, any thread the rest meanwhile."""

    def __init__(self, fold_in: FoldIn, kept: Factors | None = None) -> None:
        """fold_in: of the version as its refit left it. kept: its factors with the movies that an earlier process folded
        in; the first `fold` solves all of those anew, or leaves them out."""
        self._fold_in = fold_in
        self._version = self._users = fold_in.factors
        self._extended = self._version if kept is None else kept
        self._lock = threading.Lock()
        self._raters = np.empty(0, _PAIR)  # [P], sorted: of each movie when it was solved last
        self._news: list[np.ndarray] = []  # pairs rated since
        self._lost = self.movie_ids  # movies that are due whoever rated them: they may have lost a rater
        self._waiting = np.empty(0, np.int64)  # raters that have rated no movie of the version

    @property
    def movie_ids(self) -> I64:
        """int64[R] ascending: the movies that are folded in."""
        return np.setdiff1d(self._extended.movie_ids, self._version.movie_ids, assume_unique=True)

    def add(self, user_id: I64, movie_id: I64) -> None:
        """Takes a micro-batch's ratings, also those taken back, or the whole history's; the history has them by now.

        user_id, movie_id: int64[L]. Ratings of movies that the version knows count where they are a user's first.
        """
        new = self._version.movie_index(movie_id) < 0  # [L]
        with self._lock:
            placed = self._waiting[np.isin(self._waiting, user_id[~new])]
            theirs = self._raters[np.isin(self._raters["user_id"], placed)]
            self._news.append(np.concatenate([_pairs(movie_id[new], user_id[new]), theirs]))

    def forget(self, user_ids: I64) -> None:
        """Has the movies that the users rated solved anew; the history has forgotten the users by now."""
        with self._lock:
            forgotten = np.isin(self._raters["user_id"], user_ids)
            self._lost = np.union1d(self._lost, self._raters["movie_id"][forgotten])

    def pending(self) -> bool:
        """Whether there is something for `fold` to do."""
        with self._lock:
            return len(self._due()) > 0

    def fold(self, history_of: Callable[[I64], RatingArrays]) -> Factors | None:
        """The version's factors with all new movies that a user it can place has rated; None if nothing changed.

        history_of: all ratings of users, int64[R] ascending and unique, as `History.of` gives them. Users, mean and the
        version's own movies are what they were; counts and sums of a new movie are of the ratings that it was solved from.
        Costs the histories of the raters of movies that are new or were rated since, and a pass over the factors; a movie
        that is neither stays as it was solved, whatever its raters do.
        """
        with self._lock:  # 1. which movies, and who rated them
            due = self._due()
            if not len(due):
                return None
            news = self._news.pop()
            taken = np.isin(news["movie_id"], due)
            self._news.append(news[~taken])
            self._raters = _sorted(np.concatenate([self._raters, news[taken]]))
            self._lost = self._lost[:0]
            raters = np.unique(self._raters["user_id"][np.isin(self._raters["movie_id"], due)])  # [R]
            self._waiting = np.union1d(self._waiting, raters)
        row, movie_id, rating, ages = _look_up(raters, history_of)  # [L] each

        known = known_ratings((row, movie_id, rating, ages), self._version, len(raters))  # 2. the raters' factors
        placed = known.counts() > 0  # [R]
        others = np.flatnonzero(~np.isin(self._users.user_ids, raters))
        users = with_users(
            rows_at(self._users, USERS, others),
            raters[placed],
            known.select(np.flatnonzero(placed)),
            fold_in=self._fold_in,
        )

        movie = index_of(due, movie_id)  # 3. the movies' factors; [L], -1 where it is not due
        counts = (movie >= 0) & placed[row]  # [L]
        by_movie = _by_movie(movie[counts], users.user_index(raters[row[counts]]), rating[counts], len(due))
        rated = by_movie.counts() > 0
        kept = np.flatnonzero(~np.isin(self._extended.movie_ids, due))
        before = replace(users, **arrays_of(rows_at(self._extended, MOVIES, kept), MOVIES))
        after = with_movies(before, due[rated], by_movie.select(np.flatnonzero(rated)))

        with self._lock:  # 4. from now on
            changed = rated.any() or len(kept) < len(self._extended.movie_ids)
            self._users, self._extended = users, replace(after, **arrays_of(self._version, USERS))
            of_others = self._raters[~np.isin(self._raters["movie_id"], due)]
            of_due = _pairs(due[movie[movie >= 0]], raters[row[movie >= 0]])
            self._raters = _sorted(np.concatenate([of_others, of_due]))
            self._waiting = np.setdiff1d(self._waiting, raters[placed])
        return self._extended if changed else None

    def _due(self) -> I64:
        """Movies to solve anew, int64 ascending. The caller holds the lock."""
        news = np.concatenate([np.empty(0, _PAIR), *self._news])
        self._news = [news]
        movies, came = np.unique(news["movie_id"], return_counts=True)
        raters = np.searchsorted(self._raters["movie_id"], movies, side="right") - np.searchsorted(
            self._raters["movie_id"], movies
        )
        out = self._extended.movie_index(movies) < 0
        return np.union1d(movies[out | (came * FRESH >= raters)], self._lost)


def _look_up(user_ids: I64, history_of: Callable[[I64], RatingArrays]) -> RatingArrays:
    """The users' ratings."""
    parts = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int32))]
    for start in range(0, len(user_ids), _USERS_AT_ONCE):
        row, movie_id, rating, ages = history_of(user_ids[start : start + _USERS_AT_ONCE])
        parts.append((row + start, movie_id, rating, ages))
    row, movie_id, rating, ages = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return row, movie_id, rating, ages


def _by_movie(movie: I64, user: I64, rating: np.ndarray, n_movies: int) -> Csr:
    """Ratings (position of the movie, position of the user, stars) as a Csr of a row a movie."""
    order = np.argsort(movie, kind="stable")
    return Csr.from_rows(movie[order], user[order], rating[order], n_movies)


def _pairs(movie_id: I64, user_id: I64) -> np.ndarray:
    pairs = np.empty(len(movie_id), _PAIR)
    pairs["movie_id"], pairs["user_id"] = movie_id, user_id
    return pairs


def _sorted(pairs: np.ndarray) -> np.ndarray:
    """By movie, then user; each pair once."""
    pairs = pairs[np.lexsort((pairs["user_id"], pairs["movie_id"]))]
    first = np.ones(len(pairs), bool)
    first[1:] = (pairs["movie_id"][1:] != pairs["movie_id"][:-1]) | (pairs["user_id"][1:] != pairs["user_id"][:-1])
    return pairs[first]
