"""The form of a record's value → an event as `reelstream.events` has it.

In: a record's bytes, in whatever form other producers send them. Out: the same event as JSON in our own form, which
`reelstream.events.from_json` checks. Next: `reelstream.stream.parse`.

Our own events, from the page or `reelstream rate`, are taken in every form: they have `v`, and none of the other names.
Where only names differ, Spark reads plain ratings itself (`renamed`); all else comes here, record by record.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from pyspark.sql import Column
from pyspark.sql import functions as F

from reelstream.errors import BadRating
from reelstream.events import EVENT_VERSION
from reelstream.settings import FIELDS, RECORD_TIME, Settings
from reelstream.stream.envelopes import DELETED, EPOCH, Change, change_in, is_connect, is_debezium, with_types
from reelstream.stream.registry_values import RegistryValues
from reelstream.times import UNITS

MAX_VALUE_BYTES = 2**20
"""Of a value in another form, which may carry its schema; Kafka's own limit. Longer ones are rejected as `oversize`."""

NAMES_OF_ENVELOPES = (b'"payload"', b'"after"', b'"before"', b'"__deleted"')


class ValueForm:
    """What the values of the topic look like, as the settings say."""

    def __init__(self, settings: Settings) -> None:
        self._names = settings.field_names
        self._paths = {name: path.split(".") for name, path in self._names.items() if path != RECORD_TIME}
        self._unit = settings.time_unit
        self._form = settings.value_format
        of_registry = self._form in ("avro", "json-schema", "protobuf")
        self._registry = RegistryValues(self._form, settings.schema_registry) if of_registry else None

    def own_events(self, raw: bytes, received_at_ms: int) -> list[bytes]:
        """The events as JSON in our own form: one, or two where a row became that of another user or movie, or none for
        what is no event, the mark of a deleted key. Bytes that are in none of the other forms come back as they are.

        Raises BadRating where the form is another one than the settings say, or what the value holds is not to be read.
        """
        if not self._may_be_foreign(raw):
            return [raw]
        with_schema = self._registry is not None and not raw.lstrip().startswith(b"{")
        try:
            if self._registry and with_schema:
                value = self._registry.read(raw)
            elif not isinstance(value := json.loads(raw.decode()), dict):
                return [raw]
        except (ValueError, RecursionError):
            return [raw]
        try:
            fields = self._events(value, received_at_ms, foreign=with_schema)
            return [raw] if fields is None else [json.dumps(event, default=_plain).encode() for event in fields]
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise BadRating("not_in_form", f"{type(error).__name__}: {error}") from None

    def is_own(self, names: Sequence[str]) -> bool:
        """Whether objects of such fields, `v` among them, come out of `own_events` as they are."""
        return not any(path[0] in names for path in self._paths.values())

    def _may_be_foreign(self, raw: bytes) -> bool:
        """Cheap, and no to nearly all events of our own."""
        if len(raw) > MAX_VALUE_BYTES:
            return False
        return bool(self._names) or self._form != "json" or any(name in raw for name in NAMES_OF_ENVELOPES)

    def _events(
        self, value: Mapping[str, Any], received_at_ms: int, *, foreign: bool
    ) -> list[Mapping[str, Any]] | None:
        """The fields of each event in a value; None for one of our own."""
        connect = is_connect(value)
        inside = with_types(value["schema"], value["payload"]) if connect else value
        if inside is None:
            return []
        own = not (connect or foreign) and inside.get("v") is not None
        if not own and is_debezium(inside):
            return self._of_change(change_in(inside), received_at_ms)
        named = any(_at(inside, path) is not None for path in self._paths.values())
        if own and not named:
            return None
        if self._form == "debezium" or (self._form == "connect" and not connect):
            raise BadRating("not_in_form", f"no envelope of {self._form}")
        return [self._fields(inside, received_at_ms)] if connect or foreign or self._names else None

    def _of_change(self, change: Change, received_at_ms: int) -> list[Mapping[str, Any]]:
        before, after = (
            None if row is None else self._fields(row, received_at_ms, change.event)
            for row in (change.before, change.after)
        )
        events: list[Mapping[str, Any]] = [] if after is None else [after]
        if before and (after is None or _moved(before, after)):
            at = change.at_ms if before["rated_at"] is None else before["rated_at"]
            events.insert(0, {**before, "action": "unrate", "rating": None, "rated_at": at})
        return events

    def _fields(
        self, row: Mapping[str, Any], received_at_ms: int, around: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Of a row; a name that begins with none of its own is looked for in what stands `around` it."""
        found: dict[str, Any] = {}
        for name in FIELDS:
            path = self._paths.get(name, [name])
            found[name] = _at(row if around is None or path[0] in row or name not in self._paths else around, path)
        by_record = self._names.get("rated_at") == RECORD_TIME
        time = received_at_ms if by_record else _milliseconds(found["rated_at"], self._unit)
        return {"v": EVENT_VERSION, **found, "rated_at": time}

    # the same by Spark, for flat objects

    @property
    def renames(self) -> bool:
        """Whether Spark can read plain ratings: the other names are of the object itself, and differ by more than case."""
        names = [*FIELDS, "v", "_corrupt", DELETED, *("".join(path) for path in self._paths.values())]
        distinct = len({name.casefold() for name in names}) == len(names)
        of_json = bool(self._names) and self._form == "json"
        return of_json and distinct and all(len(path) == 1 for path in self._paths.values())

    def schema(self, own: str) -> str:
        """`own`, the columns of our fields, with the other names beside them."""
        types = dict(column.split(" ") for column in own.split(", "))
        names = {name: path[0].replace("`", "``") for name, path in self._paths.items()}
        return ", ".join([own, f"{DELETED} STRING", *(f"`{other}` {types[name]}" for name, other in names.items())])

    def renamed(self, event: Column, received_at_ms: Column) -> Column:
        """A struct of our own names, from one of `schema`."""
        foreign = event["v"].isNull()
        for path in self._paths.values():
            foreign = foreign | event[path[0]].isNotNull()
        theirs = {name: event[self._paths.get(name, [name])[0]] for name in FIELDS}
        deleted = F.lower(F.coalesce(event[DELETED], F.lit("false"))) != "false"
        theirs["action"] = F.when(deleted, F.lit("unrate")).otherwise(theirs["action"])
        unit = UNITS[self._unit]
        ms = F.call_function("div", F.try_multiply(theirs["rated_at"], F.lit(unit.ms)), F.lit(unit.per))
        ms = F.when(theirs["rated_at"] >= 0, ms)  # of a negative one `own_event` decides
        theirs["rated_at"] = received_at_ms if self._names.get("rated_at") == RECORD_TIME else ms
        fields = [F.when(foreign, value).otherwise(event[name]).alias(name) for name, value in theirs.items()]
        version = F.when(foreign, F.lit(EVENT_VERSION)).otherwise(event["v"]).alias("v")
        return F.struct(version, *fields, event["_corrupt"].alias("_corrupt")).alias("event")


def _moved(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether both say whose rating of what it is, and not the same."""
    pair = [before["user_id"], before["movie_id"]]
    return None not in pair and pair != [after["user_id"], after["movie_id"]]


def _at(row: Mapping[str, Any], path: list[str]) -> Any:
    value: Any = row
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _milliseconds(value: Any, unit: str) -> Any:
    """Since 1970-01-01 UTC: of a number in the unit, or of an ISO date and time, UTC where it names no zone. What is none
    of these comes back as it is."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return value
    if isinstance(value, datetime):
        since = (value if value.tzinfo else value.replace(tzinfo=UTC)) - EPOCH
        return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000
    one = UNITS[unit]
    if type(value) is int:
        return value * one.ms // one.per
    return math.floor(value * one.ms / one.per) if type(value) is float and math.isfinite(value) else value


def _plain(value: Any) -> Any:
    """Of what JSON does not have. Raises TypeError for what no field can be."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} is in none of our fields")
