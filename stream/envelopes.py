"""Envelopes around a row: Kafka Connect's JSON with a schema, and the change events of Debezium.

In: a decoded value. Out: `Change`: the row before and the row after it. Next: `reelstream.stream.value_form`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from reelstream.errors import BadRating

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DECIMAL = "org.apache.kafka.connect.data.Decimal"
PER_SECOND = {
    "org.apache.kafka.connect.data.Timestamp": 1000,
    "io.debezium.time.Timestamp": 1000,
    "io.debezium.time.MicroTimestamp": 1_000_000,
    "io.debezium.time.NanoTimestamp": 1_000_000_000,
}
"""Types of times, which a schema names, and how many of their units are a second."""

DELETED = "__deleted"
"""What Debezium's ExtractNewRecordState adds to a row; with `true` the row is one that was deleted."""

ROWS = {"c": "after", "r": "after", "u": "after", "d": "before"}
"""Operation → where the row is that it is about: created, read by a snapshot, updated, deleted."""


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to a row. `before` is None for one that is new or whose old values the database did not send, `after`
    for one that was deleted; both for a null in an envelope. `event` is what stands around them."""

    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    event: Mapping[str, Any] = field(default_factory=dict)

    @property
    def at_ms(self) -> Any:
        """When the database made it."""
        source = self.event.get("source")
        at = source.get("ts_ms") if isinstance(source, Mapping) else None
        return self.event.get("ts_ms") if at is None else at


def is_connect(value: Mapping[str, Any]) -> bool:
    return value.keys() == {"schema", "payload"}


def is_debezium(value: Mapping[str, Any]) -> bool:
    return DELETED in value or (isinstance(value.get("op"), str) and not value.keys().isdisjoint(("before", "after")))


def change_in(value: Mapping[str, Any]) -> Change:
    """value: of `is_debezium`. Raises BadRating for an operation on no row, and for one without its row."""
    if DELETED in value:
        return Change(value, None) if str(value[DELETED]).lower() == "true" else Change(None, value)
    operation = value["op"]
    if operation not in ROWS:
        raise BadRating("unknown_action", f"op {operation!r}")
    before, after = value.get("before"), value.get("after")
    if not isinstance(value.get(ROWS[operation]), Mapping):
        raise BadRating("missing_field", f"no {ROWS[operation]}")
    return Change(before if isinstance(before, Mapping) else None, None if operation == "d" else after, value)


def with_types(schema: Any, value: Any) -> Any:
    """A payload of Connect's JsonConverter, with times and decimals as its schema has them. Raises BadRating for a time
    that no calendar has."""
    if not isinstance(schema, Mapping) or value is None:
        return value
    if schema.get("type") == "struct" and isinstance(value, Mapping):
        inner = {one["field"]: one for one in schema["fields"]}
        return {name: with_types(inner.get(name), one) for name, one in value.items()}
    name = schema.get("name")
    if name in PER_SECOND and type(value) is int:
        return moment(value, PER_SECOND[name])
    if name == DECIMAL and isinstance(value, str):
        unscaled = int.from_bytes(base64.b64decode(value, validate=True), "big", signed=True)
        return Decimal(unscaled).scaleb(-int(schema["parameters"]["scale"]))
    return value


def moment(value: int, per_second: int) -> datetime:
    try:
        return EPOCH + timedelta(microseconds=value * 1_000_000 // per_second)
    except OverflowError:
        raise BadRating("bad_time", f"{value} at {per_second} a second is no time") from None
