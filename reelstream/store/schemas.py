"""The columns of every table in the warehouse. A writer casts to its schema; a reader may count on it."""

from __future__ import annotations

import pyarrow as pa

FORMAT = 2
"""Version of the layout on disk; written into every pointer. A newer one is refused; an older one is read, and written
as this one by the next change. 2: a rating taken back is a null, pointers have a checksum, users can be forgotten."""

_TIME = pa.timestamp("ms", tz="UTC")

NUMBERS = {"user_id": "user_number", "movie_id": "movie_number", "similar_movie_id": "similar_movie_number"}
"""Where ids are text, a table has them in the columns of this name, and their numbers in those at the end. A reader here gets
the numbers under the first name, so that all schemas hold."""

IDS = pa.schema([("of", pa.string()), ("number", pa.int64()), ("text", pa.string())])
"""Text ids and their numbers; `of` is "user_id" or "movie_id"."""

RATINGS = pa.schema(
    [
        ("user_id", pa.int64()),
        ("movie_id", pa.int64()),
        ("rating", pa.float32()),
        ("rated_at", _TIME),
        ("topic", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
    ]
)
"""A null rating takes back what the user gave the movie before."""

REJECTS = pa.schema(
    [
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("raw", pa.binary()),
        ("topic", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("received_at", _TIME),
    ]
)
FORGOTTEN = pa.schema(
    [
        ("user_id", pa.int64()),
        ("forgotten_at", _TIME),
        ("batch", pa.int64()),
        ("ratings", pa.int64()),
        ("rejects", pa.int64()),
        ("models", pa.int64()),
        ("lists", pa.int64()),
    ]
)
USERS = pa.schema(
    [
        ("user_id", pa.int64()),
        ("rank", pa.int32()),
        ("movie_id", pa.int64()),
        ("title", pa.string()),
        ("score", pa.float32()),
        ("predicted_rating", pa.float32()),
        ("source", pa.string()),
        ("version", pa.string()),
        ("as_of", _TIME),
    ]
)
"""Top-N of the users, in `users/` (source "refit") and `updates/` (source "fold_in")."""

LIST_ROWS = 20_000
"""Rows of a row group in a file of lists."""

SIMILAR = pa.schema(
    [
        ("movie_id", pa.int64()),
        ("rank", pa.int32()),
        ("similar_movie_id", pa.int64()),
        ("title", pa.string()),
        ("score", pa.float32()),
        ("version", pa.string()),
    ]
)
POPULAR = pa.schema(
    [
        ("rank", pa.int32()),
        ("movie_id", pa.int64()),
        ("title", pa.string()),
        ("score", pa.float32()),
        ("predicted_rating", pa.float32()),
        ("n_ratings", pa.int64()),
        ("version", pa.string()),
        ("as_of", _TIME),
    ]
)
MOVIES = pa.schema([("movie_id", pa.int64()), ("title", pa.string()), ("genres", pa.string())])
HIDDEN = pa.schema([("movie_id", pa.int64()), ("hidden", pa.bool_()), ("changed_at", _TIME)])
"""Movies that are on no list, and those that are shown again."""

DISMISSED = pa.schema(
    [
        ("user_id", pa.int64()),
        ("movie_id", pa.int64()),
        ("dismissed", pa.bool_()),
        ("rated_at", _TIME),
        ("batch", pa.int64()),
        ("topic", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
    ]
)
"""A user is not interested in a movie, or takes that back."""

QUALITY = pa.schema(
    [
        ("started_at", _TIME),
        ("ended_at", _TIME),
        ("version", pa.string()),
        ("ratings", pa.int64()),
        ("squared_error", pa.float64()),
        ("squared_error_squares", pa.float64()),
        ("bias_only_squared_error", pa.float64()),
        ("liked", pa.int64()),
        ("hits", pa.int64()),
        ("gain", pa.float64()),
        ("gain_squares", pa.float64()),
        ("popular_hits", pa.int64()),
        ("popular_gain", pa.float64()),
        ("recent_hits", pa.int64()),
        ("recent_gain", pa.float64()),
        ("rmse", pa.float64()),
        ("bias_only_rmse", pa.float64()),
        ("hit_rate", pa.float64()),
        ("popular_hit_rate", pa.float64()),
        ("recent_hit_rate", pa.float64()),
        ("ndcg_at_10", pa.float64()),
        ("popular_ndcg_at_10", pa.float64()),
        ("recent_ndcg_at_10", pa.float64()),
        ("rmse_low", pa.float64()),
        ("rmse_high", pa.float64()),
        ("hit_rate_low", pa.float64()),
        ("hit_rate_high", pa.float64()),
        ("ndcg_at_10_low", pa.float64()),
        ("ndcg_at_10_high", pa.float64()),
    ]
)
"""Sums and figures of the ratings scored in an interval; the sums of several rows add up."""
