"""What goes over the wire: the bodies that are taken and the answers that are given, with examples for OpenAPI.

In: nothing. Out: pydantic models. Next: the routes name them; a request's body is checked by them. Answers are written by
`reelstream.serve.json_response` and checked against them in the tests.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from reelstream.api.movie_filter import ListFilter, Wanted, wanted
from reelstream.ids import MAX_CHARACTERS, MAX_ID, PATTERN

MAX_N = 1000
MAX_OFFSET = 1_000_000
MAX_RATINGS = 2000
MAX_GROUP = 50
MAX_QUERY = 200

AnyId = Annotated[int, Field(ge=0, le=MAX_ID)] | Annotated[str, Field(pattern=PATTERN, max_length=MAX_CHARACTERS)]
"""Text where the warehouse's ids are text."""
N = Annotated[int, Query(ge=0, le=MAX_N, description="How many places.")]
Offset = Annotated[int, Query(ge=0, le=MAX_OFFSET, description="How many places to leave out before them.")]


class Filters(BaseModel):
    """What of a list is wanted: places, genres and years."""

    n: int = Field(10, ge=0, le=MAX_N, description="How many places.")
    offset: int = Field(0, ge=0, le=MAX_OFFSET, description="How many places to leave out before them.")
    genre: list[str] = Field(
        [], max_length=20, description="Only movies with any of these genres.", examples=[["Comedy"]]
    )
    year_from: int | None = Field(None, ge=0, le=9999, description="Only movies of this year or later.")
    year_to: int | None = Field(None, ge=0, le=9999, description="Only movies of this year or earlier.")

    def wanted(self) -> Wanted:
        """As the Python API takes it."""
        filters: ListFilter = {"offset": self.offset, "year_from": self.year_from, "year_to": self.year_to}
        return wanted(self.n, {**filters, "genres": self.genre, "include_seen": getattr(self, "include_seen", False)})


class ListQuery(Filters):
    include_seen: bool = Field(False, description="Leave movies in that the user has rated.")


class GroupQuery(ListQuery):
    user_id: list[AnyId] = Field(
        min_length=1, max_length=MAX_GROUP, description="A user of the group; again for each.", examples=[[1, 2]]
    )


Source = Literal["refit", "fold_in", "popular"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class GivenRating(_Model):
    movie_id: AnyId = Field(examples=[296])
    rating: float = Field(allow_inf_nan=False, description="Stars, on the scale of the settings.", examples=[4.5])


class Stars(_Model):
    rating: float = Field(allow_inf_nan=False, description="Stars, on the scale of the settings.", examples=[4.5])


class AnonymousUser(_Model):
    """Somebody who is no user: nothing of this is stored. Of a movie that comes twice the last rating counts."""

    ratings: list[GivenRating] = Field(
        max_length=MAX_RATINGS, examples=[[{"movie_id": 296, "rating": 5.0}, {"movie_id": 356, "rating": 2.0}]]
    )


class Movie(BaseModel):
    movie_id: int | str = Field(examples=[296])
    title: str | None = Field(examples=["Pulp Fiction (1994)"])
    year: int | None = Field(examples=[1994])
    genres: list[str] = Field(examples=[["Crime", "Drama"]])


class RankedMovie(Movie):
    rank: int = Field(examples=[1])
    score: float = Field(description="What the list is ordered by.", examples=[0.83])


class RecommendedMovie(RankedMovie):
    predicted_rating: float = Field(description="Stars.", examples=[4.4])
    rated: float | None = Field(description="What the user gave it; with include_seen alone.", examples=[None])


class GroupMovie(RankedMovie):
    predicted_ratings: dict[str, float] = Field(description="user_id → stars.", examples=[{"1": 4.4, "2": 3.9}])


class PopularMovie(RankedMovie):
    predicted_rating: float
    n_ratings: int


class RatedMovie(Movie):
    rating: float = Field(examples=[4.5])
    rated_at: datetime | None = Field(description="Null where it is acknowledged and not in the store yet.")


class SurprisingRating(Movie):
    rating: float
    expected_rating: float = Field(description="What the user's other ratings let expect, in stars.")
    surprise: float = Field(description="rating − expected_rating.")


class MovieFacts(Movie):
    n_ratings: int
    mean_rating: float | None
    hidden: bool = Field(description="Whether no list has it.")


class Dismissed(BaseModel):
    """Kafka has it; the next list of the user counts it."""

    user_id: int | str
    movie_id: int | str
    dismissed: bool
    partition: int
    offset: int


class DismissedMovie(Movie):
    dismissed_at: datetime | None = Field(description="Null where it is acknowledged and not in the store yet.")


class DismissedMovies(BaseModel):
    user_id: int | str
    movies: list[DismissedMovie]


class HiddenMovie(BaseModel):
    movie_id: int | str = Field(examples=[296])
    title: str | None = Field(examples=["Pulp Fiction (1994)"])
    hidden_at: datetime


class HiddenMovies(BaseModel):
    movies: list[HiddenMovie]


class Visibility(BaseModel):
    """From the next answer on."""

    movie_id: int | str
    hidden: bool


class FromModel(BaseModel):
    """Every answer of the model says where it comes from."""

    source: Source = Field(description="refit, fold_in (the ratings as they are now) or popular (none known).")
    version: str = Field(description="The model's version.", examples=["000003"])
    age_s: float = Field(description="Seconds since that version was published.", examples=[412.7])


class Recommendations(FromModel):
    user_id: int | str | None = Field(default=None, description="Not in the answer to an anonymous user.")
    as_of: datetime = Field(description="When the list was made.")
    movies: list[RecommendedMovie]


class GroupRecommendations(FromModel):
    user_ids: list[int | str]
    movies: list[GroupMovie]


class Prediction(FromModel):
    user_id: int | str
    movie_id: int | str
    title: str | None
    predicted_rating: float = Field(description="Stars: mean + user_bias + movie_bias + taste, on the scale.")
    mean: float
    user_bias: float
    movie_bias: float
    taste: float
    user_ratings: int
    movie_ratings: int
    basis: Literal["model", "movie", "user", "mean"] = Field(description="What of user and movie the model knows.")
    rated: float | None


class Reason(Movie):
    rating: float
    part: float = Field(description="What this rating adds to the score; below 0 it speaks against the movie.")
    share: float = Field(description="part / score.")
    next_part: float = Field(description="What of part comes from what users watch after this movie.")


class Others(BaseModel):
    count: int
    part: float
    share: float


class Because(FromModel):
    """The parts of `reasons` and `others` add up to `score`."""

    user_id: int | str | None = None
    movie_id: int | str
    title: str | None
    score: float
    next_part: float = Field(description="What the order of the user's ratings adds to the score.")
    reasons: list[Reason]
    others: Others


class UsersRatings(BaseModel):
    user_id: int | str
    total: int
    ratings: list[RatedMovie]


class Surprises(FromModel):
    user_id: int | str
    ratings: list[SurprisingRating]


class NewUser(BaseModel):
    user_id: int | str = Field(
        description="A random id, exact in JavaScript; nothing is stored.", examples=[5629499534213120]
    )


class Acknowledged(BaseModel):
    """Kafka has it; the next list of the user counts it."""

    user_id: int | str
    movie_id: int | str
    rating: float | None = Field(description="Null where the rating was taken back.")
    partition: int
    offset: int


class Found(BaseModel):
    query: str
    movies: list[MovieFacts]


class SimilarMovies(FromModel):
    movie_id: int | str
    title: str | None
    movies: list[RankedMovie]


class NextMovies(SimilarMovies):
    """The first movie's score is 1."""


class Popular(FromModel):
    movies: list[PopularMovie]


class GenreNames(BaseModel):
    genres: list[str]


class Scale(BaseModel):
    rating_min: float
    rating_max: float
    rating_step: float = Field(description="From one rating to the next; 0 where any number may be given.")
    liked_from: float = Field(description="A movie counts as liked if rated so much or more.")
    kind: Literal["stars", "thumbs", "likes", "points"] = Field(
        description="What ratings look like: stars in halves or whole, one of two values, always 1, or points."
    )


class Versions(BaseModel):
    current: str | None
    versions: list[dict[str, Any]] = Field(description="What is on disk, its state, and all that is known of it.")
    history: list[dict[str, Any]] = Field(description="A row for each refit and each rollback, oldest first.")


class LiveFigures(BaseModel):
    """Of ratings that were scored by what was known before each; null where not defined. `popular_` is what popularity does,
    `recent_` popularity of late, `bias_only_` biases only; `_low` and `_high` are the ends of 95 % intervals."""

    ratings: int
    liked: int = Field(description="Ratings of a movie that was liked: these have a hit rate and an nDCG.")
    rmse: float | None = None
    rmse_low: float | None = None
    rmse_high: float | None = None
    bias_only_rmse: float | None = None
    hit_rate: float | None = None
    hit_rate_low: float | None = None
    hit_rate_high: float | None = None
    popular_hit_rate: float | None = None
    recent_hit_rate: float | None = None
    ndcg_at_10: float | None = None
    ndcg_at_10_low: float | None = None
    ndcg_at_10_high: float | None = None
    popular_ndcg_at_10: float | None = None
    recent_ndcg_at_10: float | None = None


class QualityPoint(LiveFigures):
    ended_at: datetime


class Quality(LiveFigures):
    over_time: list[QualityPoint] = Field(description="Oldest first; each has its share of the ratings.")


class Well(BaseModel):
    status: Literal["ok"] = "ok"


class Problem(BaseModel):
    """RFC 9457."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["there is no movie 7."])
