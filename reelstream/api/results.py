"""What the Python API answers with: one dataclass a kind of row.

In: nothing. Out: frozen dataclasses, and `Rows`, a list of them that turns into a table.
Next: `reelstream.api.recommender` fills them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd

Row = TypeVar("Row")


class Rows(list[Row]):
    """A list of rows of one kind, as an Arrow table or a pandas DataFrame where one is wanted."""

    def to_arrow(self) -> pa.Table:
        return pa.Table.from_pylist([asdict(row) for row in self])  # type: ignore[call-overload]

    def to_pandas(self) -> pd.DataFrame:
        """Needs pandas, which reelstream itself does without."""
        return self.to_arrow().to_pandas()


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One place of a list. `source` is "refit", "fold_in" (from the ratings as they are now) or "popular" (none known)."""

    rank: int
    movie_id: int
    title: str | None
    score: float
    predicted_rating: float
    source: str
    version: str
    as_of: datetime


@dataclass(frozen=True, slots=True)
class GroupRecommendation:
    """One place of a list for several users: `score` is the mean of theirs, `predicted_ratings` are user_id → stars."""

    rank: int
    movie_id: int
    title: str | None
    score: float
    predicted_ratings: dict[int, float]
    source: str
    version: str


@dataclass(frozen=True, slots=True)
class Prediction:
    """The predicted rating in stars, and its parts: mean + user_bias + movie_bias + taste, clipped to the scale.

    `source` is "model", "movie" (the user has no rating), "user" (the movie has none) or "mean" (neither has).
    `rated` is what the user gave the movie, if anything. `user_id` is null where the ratings were given without one.
    """

    user_id: int | None
    movie_id: int
    title: str | None
    predicted_rating: float
    mean: float
    user_bias: float
    movie_bias: float
    taste: float
    user_ratings: int
    movie_ratings: int
    source: str
    version: str
    rated: float | None


@dataclass(frozen=True, slots=True)
class Reason:
    """One of the user's ratings and what it adds to a score: `part` in the score's unit, `share` of it.

    A part below 0 speaks against the movie.
    """

    movie_id: int
    title: str | None
    rating: float
    part: float
    share: float
    next_part: float
    """What of `part` comes from what users watch after this movie; above 0 for the newest ratings only."""


@dataclass(frozen=True, slots=True)
class Because:
    """Why a movie has the score it has: the parts of all `reasons` and `hidden_part` add up to `score`."""

    movie_id: int
    title: str | None
    score: float
    next_part: float
    """The sum of those of all reasons: what the order of the ratings adds."""
    version: str
    reasons: Rows[Reason]
    """All ratings of the user that the version knows, but for those of hidden movies; the largest part first."""
    hidden_part: float = 0.0
    """What the user's ratings of hidden movies add."""
    hidden_share: float = 0.0
    """`hidden_part` of `score`."""
    hidden_count: int = 0
    """How many these are."""


@dataclass(frozen=True, slots=True)
class Surprise:
    """A rating, and what the model expects of it from all the user's others; `surprise` = rating − expected_rating."""

    movie_id: int
    title: str | None
    rating: float
    expected_rating: float
    surprise: float
    version: str


@dataclass(frozen=True, slots=True)
class SimilarMovie:
    """One of the movies nearest to another; `score` is the cosine of their ranking factors."""

    rank: int
    movie_id: int
    title: str | None
    score: float
    version: str


@dataclass(frozen=True, slots=True)
class NextMovie:
    """One of the movies that users often watch after another; the first has `score` 1."""

    rank: int
    movie_id: int
    title: str | None
    score: float
    version: str


@dataclass(frozen=True, slots=True)
class PopularMovie:
    """`score` is the sum of all ratings of the movie, in stars."""

    rank: int
    movie_id: int
    title: str | None
    score: float
    predicted_rating: float
    n_ratings: int
    version: str


@dataclass(frozen=True, slots=True)
class Movie:
    """Facts of a movie: `year` from the end of its title, ratings as the current version has seen them (0: none)."""

    movie_id: int
    title: str | None
    year: int | None
    genres: tuple[str, ...]
    n_ratings: int
    mean_rating: float | None
    hidden: bool = False
    """Whether no list has it."""


@dataclass(frozen=True, slots=True)
class HiddenMovie:
    """A movie that no list has, and since when."""

    movie_id: int
    title: str | None
    hidden_at: datetime


@dataclass(frozen=True, slots=True)
class DismissedMovie:
    """A movie that a user is not interested in, and since when."""

    movie_id: int
    title: str | None
    dismissed_at: datetime


def as_plain(value: Any) -> dict[str, Any]:
    """A row as a dict of its fields, without copying what they hold."""
    return {name: getattr(value, name) for name in value.__dataclass_fields__}
