"""The events: what travels through Kafka.

In: a CSV row or a live rating. Out: JSON bytes, one event a record, keyed by the user's id.
Next: `reelstream.producer.send` sends them; `reelstream.stream.parse` reads plain ratings by itself, and all others by
`from_json`.

    {"v": 1, "user_id": 1, "movie_id": 296, "rating": 5.0, "rated_at": 1147880044000}
    {"v": 1, "action": "unrate", "user_id": 1, "movie_id": 296, "rated_at": 1147880045000}
    {"v": 1, "action": "forget", "user_id": 1, "rated_at": 1147880046000}
    {"v": 1, "action": "dismiss", "user_id": 1, "movie_id": 296, "rated_at": 1147880047000}
    {"v": 1, "action": "hide", "movie_id": 296, "rated_at": 1147880048000}

The second takes the rating back, the third has everything forgotten that the user rated up to then. The fourth is no
rating: the user is not interested in the movie, until `undismiss`. The fifth hides the movie from everybody, until `show`.
`rated_at` is in milliseconds since 1970-01-01 UTC. An id is an integer or a text, see `reelstream.ids`. Other fields are
ignored, so that a producer may add its own.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from reelstream.errors import BadRating
from reelstream.ids import MAX_ID, Id, check_id
from reelstream.times import time_error

EVENT_VERSION = 1
MAX_EVENT_BYTES = 10_000
MAX_BRACKETS = 500
MAX_DIGITS = 300
"""How many of `{` and `[` an event may have, and how many digits in a row; JSON parsers differ on what they take beyond."""

SHOWN_CHARACTERS = 80
"""Of a value, in what is said of an event."""

FIELDS = {
    "rate": ("v", "user_id", "movie_id", "rating", "rated_at"),
    "unrate": ("v", "user_id", "movie_id", "rated_at"),
    "forget": ("v", "user_id", "rated_at"),
    "dismiss": ("v", "user_id", "movie_id", "rated_at"),
    "undismiss": ("v", "user_id", "movie_id", "rated_at"),
    "hide": ("v", "movie_id", "rated_at"),
    "show": ("v", "movie_id", "rated_at"),
}
"""What an event of each `action` needs; without an action it is a rating."""

_INTEGERS = ("v", "rated_at")
_IDS = ("user_id", "movie_id")
_TOO_MANY_DIGITS = re.compile(f"[0-9]{{{MAX_DIGITS + 1}}}")

REASONS = {
    "oversize": f"longer than {MAX_EVENT_BYTES} bytes, or more than {MAX_BRACKETS} brackets or {MAX_DIGITS} digits in a row",
    "not_utf8": "bytes that are not UTF-8",
    "not_json": "not a JSON object",
    "unknown_version": f"`v` is not {EVENT_VERSION}",
    "unknown_action": "`action` is not `rate`, `unrate`, `forget`, `dismiss`, `undismiss`, `hide` or `show`",
    "missing_field": "one of `v, user_id, movie_id, rating, rated_at` is missing or null, and the action needs it",
    "wrong_type": "one of these fields has another JSON type, an integer is beyond 64 bits, or an id is text where the "
    "warehouse's are integers",
    "bad_id": "`user_id` or `movie_id` is below 0, or a text that cannot be an id",
    "nan": "`rating` is NaN or infinite, or `NaN` or `Infinity` stands anywhere for a number",
    "off_scale": "`rating` is outside the scale",
    "bad_time": "`rated_at` is before 1990, after 2100, or more than a day ahead of the record's own time",
    "not_in_form": "the value is not what `value_format` says, or does not fit the schema that it names",
    "unknown_schema": "the schema registry does not have the schema that the value names",
    "forgotten": "rated before its user asked to be forgotten; of such an event the bytes are not kept",
}
"""Every reason for which an event is rejected into `rejects/`, with its meaning."""


@dataclass(frozen=True, slots=True)
class RatingEvent:
    """One rating, in stars; None takes back what was given. `rated_at_ms` is in milliseconds since 1970-01-01 UTC."""

    user_id: Id
    movie_id: Id
    rating: float | None
    rated_at_ms: int

    @property
    def rated_at(self) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=self.rated_at_ms)

    def key(self) -> bytes:
        """One user's events share a key, hence a partition, hence an order."""
        return str(self.user_id).encode()

    def to_json(self) -> bytes:
        user_id, movie_id = self.user_id, self.movie_id
        if self.rating is None:
            return _json(action="unrate", user_id=user_id, movie_id=movie_id, rated_at=self.rated_at_ms)
        if type(user_id) is not int:
            user_id = json.dumps(user_id)
        if type(movie_id) is not int:
            movie_id = json.dumps(movie_id)
        return (
            f'{{"v":{EVENT_VERSION},"user_id":{user_id},"movie_id":{movie_id},'
            f'"rating":{self.rating!r},"rated_at":{self.rated_at_ms}}}'
        ).encode()


@dataclass(frozen=True, slots=True)
class ForgetEvent:
    """Whatever the user rated up to `rated_at_ms` is to be forgotten."""

    user_id: Id
    rated_at_ms: int

    def key(self) -> bytes:
        return str(self.user_id).encode()

    def to_json(self) -> bytes:
        return _json(action="forget", user_id=self.user_id, rated_at=self.rated_at_ms)


@dataclass(frozen=True, slots=True)
class DismissEvent:
    """The user is not interested in the movie, or takes that back."""

    user_id: Id
    movie_id: Id
    dismissed: bool
    rated_at_ms: int

    def key(self) -> bytes:
        return str(self.user_id).encode()

    def to_json(self) -> bytes:
        action = "dismiss" if self.dismissed else "undismiss"
        return _json(action=action, user_id=self.user_id, movie_id=self.movie_id, rated_at=self.rated_at_ms)


@dataclass(frozen=True, slots=True)
class HideEvent:
    """No list has the movie from now on, or lists may have it again."""

    movie_id: Id
    hidden: bool
    rated_at_ms: int

    def key(self) -> bytes:
        """One movie's events share a key, hence an order."""
        return str(self.movie_id).encode()

    def to_json(self) -> bytes:
        action = "hide" if self.hidden else "show"
        return _json(action=action, movie_id=self.movie_id, rated_at=self.rated_at_ms)


AnyEvent = RatingEvent | ForgetEvent | DismissEvent | HideEvent
Event = TypeVar("Event", bound=AnyEvent)


def is_id(text: str) -> bool:
    """Whether the text is a number that an id could be; `check` tells whether it is one."""
    return text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS


def check(event: Event, *, rating_min: float, rating_max: float, now_ms: int) -> Event:
    """The event itself, if it keeps the contract.

    Raises BadRating with the same reason that the stream would reject it with.
    """
    for name in ("user_id", "movie_id"):
        check_id(name, getattr(event, name, 0))
    if isinstance(event, RatingEvent) and event.rating is not None:
        if not math.isfinite(event.rating):
            raise BadRating("nan", f"rating {event.rating} is not a number")
        if not rating_min <= event.rating <= rating_max:
            raise BadRating("off_scale", f"rating {event.rating:g} is not between {rating_min:g} and {rating_max:g}")
    if wrong := time_error(str(event.rated_at_ms), event.rated_at_ms, now_ms, number=event.rated_at_ms):
        raise BadRating("bad_time", wrong)
    return event


def from_json(raw: bytes, *, rating_min: float, rating_max: float, now_ms: int) -> AnyEvent:
    """Decodes and checks one record's value.

    Raises BadRating; its `reason` is a key of REASONS.
    """
    if len(raw) > MAX_EVENT_BYTES:
        raise BadRating("oversize", f"{len(raw)} bytes, more than {MAX_EVENT_BYTES}")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise BadRating("not_utf8", str(error)) from None
    if text.count("{") + text.count("[") > MAX_BRACKETS or _TOO_MANY_DIGITS.search(text):
        raise BadRating("oversize", f"more than {MAX_BRACKETS} brackets, or {MAX_DIGITS} digits in a row")
    no_numbers: list[str] = []
    try:
        pairs = json.loads(text, object_pairs_hook=tuple, parse_constant=no_numbers.append)
    except (ValueError, RecursionError) as error:
        raise BadRating("not_json", str(error)) from None
    if not isinstance(pairs, tuple):
        raise BadRating("not_json", f"a JSON {type(pairs).__name__}, not an object")
    if no_numbers:
        raise BadRating("nan", f"{no_numbers[0]} is not a number")
    fields = dict(pairs)
    action = "rate" if fields.get("action") is None else fields["action"]
    if not isinstance(action, str) or action not in FIELDS:
        raise BadRating("unknown_action", f"action {_shown(action)} is none of {', '.join(FIELDS)}")
    for name in FIELDS[action]:
        if fields.get(name) is None:
            raise BadRating("missing_field", f"{name} is null" if name in fields else f"no {name}")
    for name, value in pairs:  # of a name that is there twice the last counts, but no other may be wrong either
        if name == "rating" and type(value) not in (int, float, type(None)):
            raise BadRating("wrong_type", f"rating {_shown(value)} is not a number")
        if name in _INTEGERS and value is not None and (type(value) is not int or not -MAX_ID - 1 <= value <= MAX_ID):
            raise BadRating("wrong_type", f"{name} {_shown(value)} is not a 64-bit integer")
        if name in _IDS and type(value) not in (str, type(None)):
            if type(value) is int and -MAX_ID - 1 <= value <= MAX_ID:
                continue
            raise BadRating("wrong_type", f"{name} {_shown(value)} is neither a text nor a 64-bit integer")
    if fields["v"] != EVENT_VERSION:
        raise BadRating("unknown_version", f"v {fields['v']} is not {EVENT_VERSION}")
    event: AnyEvent
    if action == "forget":
        event = ForgetEvent(fields["user_id"], fields["rated_at"])
    elif action in ("dismiss", "undismiss"):
        event = DismissEvent(fields["user_id"], fields["movie_id"], action == "dismiss", fields["rated_at"])
    elif action in ("hide", "show"):
        event = HideEvent(fields["movie_id"], action == "hide", fields["rated_at"])
    else:
        rating = float(fields["rating"]) if action == "rate" else None
        event = RatingEvent(fields["user_id"], fields["movie_id"], rating, fields["rated_at"])
    return check(event, rating_min=rating_min, rating_max=rating_max, now_ms=now_ms)


def _json(**fields: Id | str) -> bytes:
    return json.dumps({"v": EVENT_VERSION, **fields}, separators=(",", ":")).encode()


def _shown(value: object) -> str:
    """A value of JSON, of which objects came as tuples of pairs."""
    if isinstance(value, tuple | list):
        return "(an object)" if isinstance(value, tuple) else "(an array)"
    text = json.dumps(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
