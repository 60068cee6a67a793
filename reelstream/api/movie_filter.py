"""Which part of which list is wanted: places, genres, years.

In: the keywords of the Python API. Out: `Wanted`, checked. Next: `reelstream.api.movies` says which movies fit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypedDict

from reelstream.errors import BadRating, UsageError
from reelstream.ids import MAX_ID, Id, check_id, number_of


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which part of a list is wanted: `n` places after the first `offset`, of the movies that every filter lets through.

    A movie fits the genres if it has any of them; a year is from the end of the title, and a movie without one fits no
    years. `include_seen` leaves the user's own movies in.
    """

    n: int = 10
    offset: int = 0
    include_seen: bool = False
    genres: frozenset[str] = frozenset()
    year_from: int | None = None
    year_to: int | None = None

    def __post_init__(self) -> None:
        if self.n < 0 or self.offset < 0:
            raise UsageError(f"n {self.n} and offset {self.offset} must be 0 or more.")

    @property
    def end(self) -> int:
        return self.offset + self.n

    @property
    def filtered(self) -> bool:
        return bool(self.genres) or self.year_from is not None or self.year_to is not None

    @property
    def plain(self) -> bool:
        """Whether a published list answers, as far as it reaches."""
        return not self.filtered and not self.include_seen


class MovieFilter(TypedDict, total=False):
    """Which movies a list is of, as the methods of the Python API take it."""

    offset: int
    """Places to leave out before the first one."""
    genres: Iterable[str]
    """Movies with any of them, in any case."""
    year_from: int | None
    year_to: int | None
    """Years at the end of the titles, both included."""


class ListFilter(MovieFilter, total=False):
    include_seen: bool
    """Leaves movies in that the user has rated."""


def wanted(n: int, filters: ListFilter) -> Wanted:
    """Raises UsageError for an n or an offset below 0."""
    genres = frozenset(genre.casefold() for genre in filters.get("genres", ()))
    return Wanted(
        n,
        filters.get("offset", 0),
        filters.get("include_seen", False),
        genres,
        filters.get("year_from"),
        filters.get("year_to"),
    )


def id_of(value: Id | None) -> int:
    """The number of the id. Raises UsageError if there is none, if it is beyond 64 bits, or a text that cannot be an id."""
    if value is None:
        raise UsageError("an id is missing; give user= or ratings=, and movie_id= where one movie is asked about.")
    if isinstance(value, str):
        try:
            check_id("id", value)
        except BadRating as error:
            raise UsageError(f"{error}.") from None
        return number_of(value)
    if not -MAX_ID <= value <= MAX_ID:
        raise UsageError(f"id {value} is beyond 64 bits; ids go up to 2^63 - 1.")
    return int(value)
