"""The rating event: what travels through Kafka.

In: a CSV row or a live rating. Out: JSON bytes, one event a record, keyed by the user's id.
Next: `producer.send` sends them; `stream.parse` holds the same rules as Spark column expressions.

    {"v": 1, "user_id": 1, "movie_id": 296, "rating": 5.0, "rated_at": 1147880044000}

`rated_at` is in milliseconds since 1970-01-01 UTC. Other fields are ignored, so that a producer may add its own.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from reelstream.errors import BadRating

EVENT_VERSION = 1
MAX_EVENT_BYTES = 10_000
MAX_ID = 2**63 - 1
MAX_AHEAD_MS = 24 * 3600 * 1000
FIELDS = ("v", "user_id", "movie_id", "rating", "rated_at")

REASONS = {
    "oversize": f"longer than {MAX_EVENT_BYTES} bytes",
    "not_utf8": "bytes that are not UTF-8",
    "not_json": "not a JSON object",
    "unknown_version": f"`v` is not {EVENT_VERSION}",
    "missing_field": "one of `v, user_id, movie_id, rating, rated_at` is missing or null",
    "wrong_type": "a field has another JSON type, or an integer is beyond 64 bits",
    "bad_id": "`user_id` or `movie_id` is not positive",
    "nan": "`rating` is NaN or infinite",
    "off_scale": "`rating` is outside the scale",
    "bad_time": "`rated_at` is before 1970 or more than a day ahead of the record's own time",
}
"""Every reason for which an event is put aside into `rejects/`, with its meaning."""


@dataclass(frozen=True, slots=True)
class RatingEvent:
    """One rating. `rating` is in stars; `rated_at_ms` is in milliseconds since 1970-01-01 UTC."""

    user_id: int
    movie_id: int
    rating: float
    rated_at_ms: int

    @property
    def rated_at(self) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=self.rated_at_ms)

    def key(self) -> bytes:
        """One user's events share a key, hence a partition, hence an order."""
        return str(self.user_id).encode()

    def to_json(self) -> bytes:
        return (
            f'{{"v":{EVENT_VERSION},"user_id":{self.user_id},"movie_id":{self.movie_id},'
            f'"rating":{self.rating!r},"rated_at":{self.rated_at_ms}}}'
        ).encode()


def check(event: RatingEvent, *, rating_min: float, rating_max: float, now_ms: int) -> RatingEvent:
    """The event itself, if it keeps the contract.

    Raises BadRating with the same reason that the stream would reject it with.
    """
    for name in ("user_id", "movie_id"):
        value = getattr(event, name)
        if not 0 < value <= MAX_ID:
            raise BadRating("bad_id", f"{name} {value} is not between 1 and 2^63 - 1")
    if not math.isfinite(event.rating):
        raise BadRating("nan", f"rating {event.rating} is not a number")
    if not rating_min <= event.rating <= rating_max:
        raise BadRating("off_scale", f"rating {event.rating:g} is not between {rating_min:g} and {rating_max:g}")
    if not 0 <= event.rated_at_ms <= now_ms + MAX_AHEAD_MS:
        raise BadRating("bad_time", f"rated_at {event.rated_at_ms} ms is before 1970 or more than a day ahead")
    return event


def from_json(raw: bytes, *, rating_min: float, rating_max: float, now_ms: int) -> RatingEvent:
    """Decodes and checks one record's value; the readable twin of `stream.parse`.

    Raises BadRating; its `reason` is a key of REASONS.
    """
    if len(raw) > MAX_EVENT_BYTES:
        raise BadRating("oversize", f"{len(raw)} bytes")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise BadRating("not_utf8", str(error)) from None
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRating("not_json", str(error)) from None
    if not isinstance(fields, dict):
        raise BadRating("not_json", f"a JSON {type(fields).__name__}, not an object")
    for name in FIELDS:
        if fields.get(name) is None:
            raise BadRating("missing_field", f"no {name}")
    for name in ("v", "user_id", "movie_id", "rated_at"):
        if type(fields[name]) is not int or not -MAX_ID - 1 <= fields[name] <= MAX_ID:
            raise BadRating("wrong_type", f"{name} is not a 64-bit integer")
    if type(fields["rating"]) not in (int, float):
        raise BadRating("wrong_type", "rating is not a number")
    if fields["v"] != EVENT_VERSION:
        raise BadRating("unknown_version", f"v is {fields['v']}")
    event = RatingEvent(fields["user_id"], fields["movie_id"], float(fields["rating"]), fields["rated_at"])
    return check(event, rating_min=rating_min, rating_max=rating_max, now_ms=now_ms)
