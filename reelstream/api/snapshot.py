"""What a reader sees of a warehouse at one moment: version, published lists, model, titles. Swapped whole.

In: a warehouse. Out: a `Snapshot`, the same for all threads of a process until a file that it was read from is replaced.
Next: `reelstream.api.lists`, `reelstream.api.why` and `reelstream.api.movie_queries` answer from it.

The parts are read when they are first asked for, and belong to the snapshot: a new one takes over those parts alone whose
files are still the same. A snapshot that was replaced is freed as soon as nobody answers from it any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from reelstream.als.arrays import I64, Mask
from reelstream.als.factors import Factors
from reelstream.als.fold_in import FoldIn
from reelstream.api.movie_filter import id_of
from reelstream.api.movies import Movies
from reelstream.api.published_lists import PublishedLists
from reelstream.api.search import MovieSearch
from reelstream.errors import NotReady, Unknown
from reelstream.store import models, new_movies
from reelstream.store.dismissed import DismissedMovies, DismissedStore
from reelstream.store.hidden_movies import HiddenMovies
from reelstream.store.movies import MoviesStore
from reelstream.store.pointer import Stamp, consistent, stamp
from reelstream.store.recommendations import NOTHING_PUBLISHED, RecommendationsStore, Version
from reelstream.top_lists import NO_MOVIES

T = TypeVar("T")


class Marks(NamedTuple):
    """Stamps of the files that a snapshot is read from. Whatever changes an answer replaces one of them."""

    titles: Stamp
    hidden: Stamp
    dismissed: tuple[Stamp, Stamp]
    current: Stamp
    users: Stamp
    updates: tuple[Stamp, Stamp]
    """Of the pointer, and of the directory: a user is forgotten without a move of the pointer."""
    model: tuple[Stamp, Stamp]
    """Of the refit's users, and of the movies folded in since."""


class Part(Generic[T]):
    """Read when it is first asked for, once, whichever thread asks."""

    def __init__(self, read: Callable[[], T], in_memory: T | None = None) -> None:
        self._read, self._lock = read, threading.Lock()
        self.in_memory = in_memory

    def get(self) -> T:
        if self.in_memory is not None:
            return self.in_memory
        with self._lock:
            if self.in_memory is None:
                self.in_memory = self._read()
                pa.default_memory_pool().release_unused()  # what reading took stays with Arrow otherwise
            return self.in_memory


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All answers from one are of one version. A part raises NotReady where it needs a version and none is published."""

    marks: Marks
    version_or_none: Version | None
    hidden: I64
    """The movies that no list has, int64[H] ascending."""
    dismissed: DismissedMovies
    movies_part: Part[Movies]
    lists_part: Part[PublishedLists]
    model_part: Part[FoldIn]
    search_part: Part[MovieSearch]

    @property
    def version(self) -> Version:
        return _there(self.version_or_none)

    @property
    def movies(self) -> Movies:
        """Titles and genres as they are now."""
        return self.movies_part.get()

    @property
    def lists(self) -> PublishedLists:
        return self.lists_part.get()

    @property
    def fold_in(self) -> FoldIn:
        return self.model_part.get()

    @property
    def factors(self) -> Factors:
        return self.fold_in.factors

    @property
    def search(self) -> MovieSearch:
        return self.search_part.get()

    @property
    def lists_in_memory(self) -> bool:
        """Whether `lists` and `movies` answer without reading a file."""
        return self.lists_part.in_memory is not None and self.movies_part.in_memory is not None

    def title(self, movie_id: int) -> str | None:
        """The title as it is now or, where none is loaded any more, as it was published."""
        title = self.movies.title(movie_id)
        return title if title or self.version_or_none is None else self.lists.titles.get(movie_id)

    def shown(self, movie_ids: I64, dismissed: I64 = NO_MOVIES) -> Mask:
        """bool[R]: which of the movies a list may have; of a user, what the user has not `dismissed`, int64[D]."""
        shown = np.ones(len(movie_ids), np.bool_)
        for left_out in (self.hidden, dismissed):
            if len(left_out):
                shown &= np.isin(movie_ids, left_out, invert=True)
        return shown

    def position(self, movie_id: int) -> int | None:
        """The movie's place in the factors; None where it has no rating that the version has seen."""
        at = int(self.factors.movie_index(np.array([id_of(movie_id)]))[0])
        return at if at >= 0 else None

    def known_position(self, movie_id: int) -> int:
        """The same. Raises Unknown where there is none."""
        at = self.position(movie_id)
        if at is None:
            raise Unknown(f"movie {movie_id} has no rating that the current version has seen.")
        return at


class Snapshots:
    """The one place that remembers what is current. Thread-safe."""

    def __init__(self, warehouse: Path) -> None:
        self._published = RecommendationsStore(warehouse)
        self._titles = MoviesStore(warehouse)
        self._hidden = HiddenMovies(warehouse)
        self._dismissed = DismissedStore(warehouse)
        self._lock = threading.Lock()
        self._held: Snapshot | None = None

    def now(self) -> Snapshot:
        """The current snapshot. Costs no file while nothing has changed."""
        if held := self.in_memory():
            return held
        with self._lock:
            self._held = consistent(lambda: self._next(self._held))
            return self._held

    def in_memory(self) -> Snapshot | None:
        """The snapshot that is held, if it is still the current one."""
        held = self._held
        return held if held is not None and held.marks == self._marks_of(held) else None

    def ask(self, look: Callable[[Snapshot], T]) -> T:
        """What `look` says of the current snapshot; asked again where its version was removed meanwhile."""
        return consistent(lambda: look(self.now()))

    def marks(self) -> Marks:
        """What changes when any answer may. Costs no file."""
        return self._marks_of(self._held)

    def _next(self, held: Snapshot | None) -> Snapshot:
        """Stamps are taken before the files are read: one that is replaced meanwhile is read again next time."""
        current = self._published.stamp()
        same = held is not None and held.marks.current == current
        version = held.version_or_none if held and same else self._published.current_or_none()
        marks = self._marks(current, version)
        if held and held.marks == marks:
            return held
        hidden, dismissed = self._hidden.ids(), self._dismissed.now()
        movies = Part(lambda: Movies(self._titles.titles()))
        lists = Part(read := lambda: PublishedLists.read(_there(version)))
        model = Part(lambda: _model(_there(version)))
        if held:
            movies = held.movies_part if held.marks.titles == marks.titles else movies
            model = held.model_part if held.marks.model == marks.model else model
            if held.marks.users == marks.users:
                lists = held.lists_part
                if held.marks.updates != marks.updates and lists.in_memory:
                    lists = Part(read, lists.in_memory.newer())
        search = Part(lambda: _search(movies.get(), model.get() if version else None))
        if held and held.movies_part is movies and held.model_part is model:
            search = held.search_part
        return Snapshot(marks, version, hidden, dismissed, movies, lists, model, search)

    def _marks_of(self, held: Snapshot | None) -> Marks:
        """The marks as they would be, if its version is still the current one."""
        return self._marks(self._published.stamp(), held.version_or_none if held else None)

    def _marks(self, current: Stamp, version: Version | None) -> Marks:
        of_all = (self._titles.stamp(), self._hidden.stamp(), self._dismissed.stamp())
        if version is None:
            return Marks(*of_all, current, *_NO_FILES)
        updates = version.path / "updates"
        users, factors = version.path / "users" / "part-0.parquet", version.model_path / models.USERS
        return Marks(
            *of_all,
            current,
            stamp(users),
            (stamp(updates / "CURRENT"), stamp(updates)),
            (stamp(factors), stamp(version.model_path / new_movies.FACTORS)),
        )


_NONE: Stamp = (0, 0, 0)
_NO_FILES = (_NONE, (_NONE, _NONE), (_NONE, _NONE))


def _there(version: Version | None) -> Version:
    if version is None:
        raise NotReady(NOTHING_PUBLISHED)
    return version


def _model(version: Version) -> FoldIn:
    """With the movies that were folded in since the refit."""
    return FoldIn(new_movies.load_factors(version, models.load(version.model_path)))


def _search(movies: Movies, model: FoldIn | None) -> MovieSearch:
    counts = np.zeros(len(movies.titles.movie_ids), np.int64)
    if model is not None:
        at = model.factors.movie_index(movies.titles.movie_ids)
        counts = np.where(at >= 0, model.factors.movie_counts[at], 0)
    return MovieSearch(movies.titles, counts)
