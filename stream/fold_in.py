"""Fold-in: fresh top-N lists of the users that just rated, from the movie factors of the current version.

In: a micro-batch's ratings. Out: rows of USERS in `updates/` of the current version. Next: `reelstream.api.recommender`
merges.

When a refit publishes a new version, every user with ratings that the refit had not seen is folded into it (`refresh`),
whether the stream was running by then or not: the version's pointer tells up to which micro-batch the refit had seen.
Movies that the version does not know are folded in too (`fold_in_movies`), and their raters once more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reelstream.als.arrays import I64
from reelstream.als.fold_in import FoldIn
from reelstream.settings import Settings
from reelstream.store import models, new_movies
from reelstream.store.dismissed import DismissedStore
from reelstream.store.hidden_movies import HiddenMovies, HideChange
from reelstream.store.hide import take_off_lists
from reelstream.store.id_texts import IdTexts
from reelstream.store.movies import MoviesStore, Titles
from reelstream.store.pointer import Stamp
from reelstream.store.rating_rows import already_in, in_order, latest
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore, Version
from reelstream.store.updates import Updates
from reelstream.stream.history import COLUMNS, History
from reelstream.stream.new_movies import NewMovies
from reelstream.stream.prequential import score
from reelstream.stream.quality import Quality
from reelstream.stream.recent_popularity import REMEMBERED, RecentPopularity
from reelstream.top_lists import RatingArrays, folded_lists, rating_arrays, similar_of


@dataclass(frozen=True, slots=True)
class Folded:
    """How many users a micro-batch folded in, and the seconds of it: to score the ratings, to make the lists, to
    write them."""

    users: int = 0
    score_s: float = 0.0
    fold_in_s: float = 0.0
    publish_s: float = 0.0


NOTHING = Folded()
NOBODY: I64 = np.empty(0, np.int64)


class FoldInStage:
    """Holds the current version's factors and every user's history. Its methods may be called by any thread.

    A micro-batch calls `forget` and `fold`; a thread beside it calls the others, again and again.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._store = RatingsStore(settings.warehouse)
        self._recommendations = RecommendationsStore(settings.warehouse)
        self._movies = MoviesStore(settings.warehouse)
        self._hidden = HiddenMovies(settings.warehouse)
        self._taken_off: tuple[str, Stamp] | None = None
        self.dismissed = DismissedStore(settings.warehouse)
        self.quality = Quality(settings.warehouse)
        self._lock = threading.Lock()
        self._batch = self._store.state().batch
        self._history = History(self._store.read(columns=COLUMNS))
        self._loaded: _Loaded | None = None
        self._as_of = datetime.fromtimestamp(0, UTC)
        self._owed = np.empty(0, np.int64)  # users whose lists could not be written

    def take(self, others: pa.Table, batch: int, texts: IdTexts) -> I64:
        """Stores the events of a micro-batch that hide or dismiss movies, in the columns of CHECKED; returns whose lists they
        change, int64 ascending. The ratings store does not have the micro-batch yet, but `texts` has its text ids."""
        movie_id, rated_at_ms, action = (others[name].to_pylist() for name in ("movie_id", "rated_at_ms", "action"))
        changes = zip(movie_id, action, rated_at_ms, strict=True)
        hidden = [HideChange(movie, what == "hide", at) for movie, what, at in changes if what in ("hide", "show")]
        if hidden:
            self._hidden.apply(hidden, texts)
        dismissed = others.filter(pc.is_in(others["action"], pa.array(["dismiss", "undismiss"])))
        columns = {name: dismissed[name] for name in ("user_id", "movie_id", "topic", "partition", "offset")}
        rated_at = dismissed["rated_at_ms"].cast(pa.timestamp("ms", tz="UTC"))
        is_so = pc.equal(dismissed["action"], "dismiss")
        self.dismissed.append(pa.table({**columns, "dismissed": is_so, "rated_at": rated_at}), batch, texts)
        return np.unique(dismissed["user_id"].to_numpy())

    def fold(self, ratings: pa.Table, batch: int, dismissers: I64 = NOBODY) -> Folded:
        """Adds a micro-batch that is in the store by now, scores it, and writes the lists of its users and `dismissers`.

        Whatever fails here, the next `refresh` makes up for it.
        """
        with self._lock:
            user_id, movie_id = ratings["user_id"].to_numpy(), ratings["movie_id"].to_numpy()
            users = np.union1d(user_id, dismissers)
            loaded = self._loaded
            before = self._history.of(users) if loaded else None
            self._history.append(ratings)
            self._batch = batch
            if loaded is None or before is None:
                return NOTHING
            try:
                began = time.perf_counter()
                if loaded.version.batch < batch:  # else its refit was so quick as to have seen these ratings
                    newest = in_order(latest(ratings, taken_back=True))
                    columns = (newest["user_id"].to_numpy(), newest["movie_id"].to_numpy(), newest["rating"].to_numpy())
                    scores = score(columns, before, loaded.fold_in, loaded.recent)
                    self.quality.add(scores, loaded.version.name, datetime.now(UTC))
                    loaded.recent.learn(columns[1][~np.isnan(columns[2])])
                scored = time.perf_counter()
                history = self._history.of(users)
                if loaded.version.batch < batch:
                    loaded.learn(before, history, len(users))
                loaded.add(user_id, movie_id)
                lists = self._lists(users, history, loaded)
                made = time.perf_counter()
                loaded.updates.append(lists, batch)
                return Folded(len(users), scored - began, made - scored, time.perf_counter() - made)
            except BaseException:
                self._loaded = None
                raise

    def forget(self, forgotten: Mapping[int, int]) -> None:
        """Leaves out from now on what the users rated up to a time: user_id → milliseconds since 1970."""
        with self._lock:
            self._history.forget(forgotten)
            self._owed = np.setdiff1d(self._owed, np.array(sorted(forgotten), np.int64))
            if self._loaded:
                self._loaded.new_movies.forget(np.array(sorted(forgotten), np.int64))

    def fold_again(self, user_ids: Sequence[int]) -> None:
        """Fresh lists of those of the users who have ratings."""
        with self._lock:
            users = np.unique(np.array(user_ids, np.int64))
            self._write(users[np.unique(self._history.of(users)[0])])

    def refresh(self) -> bool:
        """Takes up a newly published version, or changed titles, if there is one; True if so.

        Micro-batches go on with the version before until the new one is in memory.
        """
        version, movies_version = self._recommendations.current_or_none(), self._movies.version()
        loaded = self._loaded
        if version is None:
            return False
        self._recommendations.link_latest(version)
        if loaded and loaded.version.name == version.name:
            if loaded.movies_version == movies_version:
                return False
            loaded.titles, loaded.movies_version = self._movies.titles(), movies_version
            return True
        loaded = _Loaded(version, movies_version, self._movies.titles())
        with self._lock:
            self._loaded = loaded
            self._catch_up(loaded)
            loaded.recent = RecentPopularity(self._history.newest(REMEMBERED))
            rated_since = self._rated_since(max(version.batch, loaded.updates.batch()))
            self._write(np.union1d(rated_since, self._came_back(version)))
            rated = self._history.pairs()
        for user_id, movie_id in rated:
            loaded.add(user_id, movie_id)
        return True

    def fold_in_movies(self) -> bool:
        """Folds in the movies that the version does not know and that were rated since the last call; True if any.

        They have similar movies from now on, and places in the lists that are made from now on.
        """
        loaded = self._loaded
        if loaded is None or not loaded.new_movies.pending():
            return False
        factors = loaded.new_movies.fold(self._ratings_of)
        if factors is None:
            return False
        fold_in, new = FoldIn(factors), loaded.new_movies.movie_ids
        n, hidden = self.settings.top_n, self._hidden.ids()
        similar = similar_of(factors, new, loaded.titles, n=n, version=loaded.version.name, hidden=hidden)
        try:
            new_movies.save(loaded.version, factors, new, similar)
        except BaseException:
            with self._lock:
                if self._loaded is loaded:
                    self._loaded = None  # the next `refresh` starts anew, with all movies and raters
            raise
        with self._lock:
            if self._loaded is loaded:
                loaded.fold_in = fold_in
                self._write(loaded.take_raters())
        return True

    def take_off_hidden(self) -> bool:
        """Takes movies that were hidden since off the lists in the files, beside the micro-batches; True if any had one."""
        loaded, stamp = self._loaded, self._hidden.stamp()
        if loaded is None or (loaded.version.name, stamp) == self._taken_off:
            return False
        found = False
        if len(hidden := self._hidden.ids()):
            with self._lock:  # lists that were begun with the movies hidden before are in the files now
                if len(users := _with_no_other(loaded.updates.read(), hidden)):
                    self._write(users)  # else an older list of theirs would be the newest one
            found = take_off_lists(loaded.version, hidden)
        self._taken_off = (loaded.version.name, stamp)
        return found

    def compact(self) -> bool:
        """Compacts small update files, beside the micro-batches; True if there was something to do."""
        loaded = self._loaded
        return loaded is not None and loaded.updates.compact()

    def _ratings_of(self, user_ids: I64) -> RatingArrays:
        with self._lock:
            return self._history.of(user_ids)

    def _rated_since(self, batch: int) -> I64:
        """The users with ratings or dismissals in micro-batches after that one, ascending; and perhaps others."""
        raters = self._store.read(columns=["user_id"], after_batch=batch)["user_id"].to_numpy()
        return np.union1d(raters, self.dismissed.users_since(batch))

    def _came_back(self, version: Version) -> I64:
        """The users who were forgotten, have rated since, and have no list: a kill came before the new one."""
        forgotten = np.array(sorted(self._store.forgotten()), np.int64)
        rated = forgotten[np.unique(self._history.of(forgotten)[0])]
        if not len(rated):
            return rated
        return np.setdiff1d(rated, self._recommendations.read_users(version, rated.tolist())["user_id"].to_numpy())

    def _catch_up(self, loaded: _Loaded) -> None:
        """Has the transitions learn what has come since the refit read the ratings."""
        users = self._rated_since(loaded.version.batch)
        known = latest(already_in(self._store.read(user_ids=users.tolist()), loaded.offsets))
        loaded.learn(rating_arrays(users, known), self._history.of(users), len(users))

    def _write(self, user_ids: np.ndarray) -> None:
        self._owed = np.union1d(self._owed, user_ids)
        if loaded := self._loaded:
            self._loaded = None  # whatever fails here, the next `refresh` makes up for it
            lists = self._lists(self._owed, self._history.of(self._owed), loaded)
            loaded.updates.append(lists, self._batch)
            self._loaded, self._owed = loaded, self._owed[:0]

    def _lists(self, user_ids: np.ndarray, history: RatingArrays, loaded: _Loaded) -> pa.Table:
        """Newer than every list before it, whatever the clock says."""
        self._as_of = max(datetime.now(UTC), self._as_of, loaded.as_of) + timedelta(milliseconds=1)
        return folded_lists(
            user_ids,
            history,
            loaded.fold_in,
            loaded.titles,
            n=self.settings.top_n,
            version=loaded.version.name,
            as_of=self._as_of,
            hidden=self._hidden.ids(),
            dismissed=self.dismissed.now().of(user_ids),
        )


def _with_no_other(lists: pa.Table, movie_ids: I64) -> I64:
    """The users whose lists, rows of USERS, have none but these movies; int64 ascending."""
    user_id, movie_id = lists["user_id"].to_numpy(), lists["movie_id"].to_numpy()
    return np.setdiff1d(user_id, user_id[np.isin(movie_id, movie_ids, invert=True)])


class _Loaded:
    """A version in memory."""

    def __init__(self, version: Version, movies_version: int, titles: Titles) -> None:
        base = FoldIn(models.load(version.model_path))
        factors = new_movies.load_factors(version, base.factors)
        self.version = version
        self.offsets = models.offsets(version.model_path)
        self.movies_version = movies_version
        self.titles = titles
        self.updates = Updates(version.path)
        self.as_of = max(version.as_of, self.updates.as_of() or version.as_of)
        self.new_movies = NewMovies(base, factors)
        self.fold_in = base if factors is base.factors else FoldIn(factors)
        self.recent = RecentPopularity(np.empty(0, np.int64))
        self._raters = np.empty(0, np.int64)
        self._lock = threading.Lock()

    def learn(self, before: RatingArrays, after: RatingArrays, n_users: int) -> None:
        """Has the transitions learn what makes the difference between all ratings of n_users users before and after."""
        if transitions := self.fold_in.factors.transitions:
            transitions.learn((*before[:2], before[3]), (*after[:2], after[3]), n_users)

    def add(self, user_id: np.ndarray, movie_id: np.ndarray) -> None:
        self.new_movies.add(user_id, movie_id)
        unknown = self.fold_in.factors.movie_index(movie_id) < 0
        if unknown.any():
            with self._lock:
                self._raters = np.union1d(self._raters, user_id[unknown])

    def take_raters(self) -> np.ndarray:
        """Who rated a movie that `fold_in` did not know, int64 ascending, since the last call."""
        with self._lock:
            raters, self._raters = self._raters, self._raters[:0]
        return raters
