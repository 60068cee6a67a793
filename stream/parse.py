"""Kafka records → checked ratings and reasons.

In: a DataFrame with Kafka's columns (value, topic, partition, offset, timestamp). Out: a table in the columns of
CHECKED; `reason` is null where the event keeps the contract of `reelstream.events`, and so are `detail` and `raw`, unless an
id is text: then `raw` is there, beside its number. A good event with a null rating takes one back, unless it has an
`action`; one with `forget` has no movie either. Next: `reelstream.stream.ids`.

Spark reads plain ratings with integer ids, which nearly all events are, on all cores and with few expressions: each
micro-batch plans them anew; `reelstream.stream.text_id_ratings` reads those with text ids. `reelstream.events` decides on the
rest, so there is one place that tells why an event is rejected.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from reelstream.errors import BadRating
from reelstream.events import (
    EVENT_VERSION,
    MAX_DIGITS,
    DismissEvent,
    ForgetEvent,
    HideEvent,
    RatingEvent,
    from_json,
)
from reelstream.ids import number_of
from reelstream.stream import text_id_ratings
from reelstream.stream.value_form import ValueForm
from reelstream.times import MAX_AHEAD_MS, SINCE_MS, UNTIL_MS

PARSED = pa.schema(
    [
        ("user_id", pa.int64()),
        ("movie_id", pa.int64()),
        ("rating", pa.float32()),
        ("rated_at_ms", pa.int64()),
        ("raw", pa.binary()),
        ("topic", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("received_at_ms", pa.int64()),
    ]
)
"""What Spark hands over: a plain rating has its four fields and no `raw`, any other event has its bytes alone."""

CHECKED = pa.schema(
    [
        ("forget", pa.bool_()),
        ("action", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("user_text", pa.string()),
        ("movie_text", pa.string()),
        *PARSED,
    ]
)
"""`action` is that of an event about a movie that is no rating: `dismiss`, `undismiss`, `hide` or `show`."""
MAX_DETAIL = 200
"""Characters."""
_FIELDS = "v BIGINT, action STRING, user_id BIGINT, movie_id BIGINT, rating DOUBLE, rated_at BIGINT, _corrupt STRING"
_STRICT = {
    "mode": "PERMISSIVE",
    "columnNameOfCorruptRecord": "_corrupt",
    "allowSingleQuotes": "false",
    "allowNonNumericNumbers": "false",
}
"""JSON as RFC 8259 has it, and as `reelstream.events` reads it."""

TOMBSTONE = "tombstone"
"""In the place of a reason: a record that marks a deleted key, and is no event."""


def parse(records: DataFrame, *, rating_min: float, rating_max: float, form: ValueForm | None = None) -> DataFrame:
    """One row a record, in the columns of PARSED; every record comes out. Without a `form` events are in our own."""
    text = F.col("value").cast("string")
    renames = form is not None and form.renames
    fields = form.schema(_FIELDS) if form and renames else _FIELDS
    event = F.from_json(text, fields, _STRICT).alias("event")
    rows = records.select(
        "value", "topic", "partition", "offset", F.unix_millis("timestamp").alias("received_at_ms"), event
    )
    if form and renames:
        rows = rows.withColumn("event", form.renamed(F.col("event"), F.col("received_at_ms")))
    # a projection of its own, so that no row is parsed once for every use of what was parsed
    rows = rows.withColumn("plain", F.coalesce(_plainly_good(text, rating_min, rating_max), F.lit(False)))
    plain = F.col("plain")
    return rows.select(
        F.when(plain, F.col("event.user_id")).alias("user_id"),
        F.when(plain, F.col("event.movie_id")).alias("movie_id"),
        F.when(plain, F.col("event.rating").cast("float")).alias("rating"),
        F.when(plain, F.col("event.rated_at")).alias("rated_at_ms"),
        F.when(~plain, F.col("value")).alias("raw"),
        "topic",
        "partition",
        "offset",
        "received_at_ms",
    )


def check(rows: pa.Table, *, rating_min: float, rating_max: float, form: ValueForm | None = None) -> pa.Table:
    """The rows of `parse`, in their order and in the columns of CHECKED, with what their bytes say where it gave those."""
    is_open = pc.is_null(rows["user_id"])
    plain = _good(rows.filter(pc.invert(is_open)))
    if plain.num_rows == rows.num_rows:
        return plain
    opened, at = rows.filter(is_open), is_open.to_numpy()
    with_texts, fields = text_id_ratings.read(opened, rating_min, rating_max, form)
    one_by_one = np.delete(np.arange(opened.num_rows), with_texts)
    read = [_read(row, rating_min, rating_max, form) for row in opened.take(one_by_one).to_pylist()]
    others = pa.Table.from_pylist(list(itertools.chain.from_iterable(read)), CHECKED)
    places = [np.flatnonzero(~at), *(np.flatnonzero(at)[part] for part in (with_texts, one_by_one))]
    places[2] = np.repeat(places[2], [len(events) for events in read])
    parts = [plain, _good(opened.take(with_texts), fields), others]
    return pa.concat_tables(parts).take(np.argsort(np.concatenate(places), kind="stable"))


def _good(rows: pa.Table, fields: pa.Table | None = None) -> pa.Table:
    """Ratings that keep the contract, in the columns of CHECKED; `fields` take the place of those of the rows."""
    known = {name: table[name] for table in (rows, fields) if table is not None for name in table.schema.names}
    none = pa.nulls(rows.num_rows, pa.string())
    columns = {name: known.get(name, none) for name in CHECKED.names}
    return pa.table({**columns, "forget": pa.repeat(False, rows.num_rows)}).cast(CHECKED)


def _read(row: dict[str, Any], rating_min: float, rating_max: float, form: ValueForm | None) -> list[dict[str, Any]]:
    """What one record holds: a row an event, or one that tells why there is none."""
    raw, place = row["raw"], {name: row[name] for name in ("topic", "partition", "offset", "received_at_ms")}
    now_ms = row["received_at_ms"]
    try:
        own = [] if raw is None else form.own_events(raw, now_ms) if form else [raw]
        events = [from_json(one, rating_min=rating_min, rating_max=rating_max, now_ms=now_ms) for one in own]
    except BadRating as bad:
        return [{"forget": False, "reason": bad.reason, "detail": bad.detail[:MAX_DETAIL], "raw": raw, **place}]
    read = [{**_fields_of(event, raw), **place} for event in events]
    return read or [{"forget": False, "reason": TOMBSTONE, **place}]


def _fields_of(event: RatingEvent | ForgetEvent | DismissEvent | HideEvent, raw: bytes | None) -> dict[str, Any]:
    ids = {of: getattr(event, f"{of}_id") for of in ("user", "movie") if hasattr(event, f"{of}_id")}
    texts = {f"{of}_text": own for of, own in ids.items() if isinstance(own, str)}
    fields: dict[str, Any] = {f"{of}_id": number_of(own) for of, own in ids.items()}
    fields["rated_at_ms"] = event.rated_at_ms
    if texts:  # whether the warehouse takes them is to be seen
        fields |= {"raw": raw, **texts}
    if isinstance(event, ForgetEvent):
        return {"forget": True, **fields}
    if isinstance(event, DismissEvent):
        return {"forget": False, "action": "dismiss" if event.dismissed else "undismiss", **fields}
    if isinstance(event, HideEvent):
        return {"forget": False, "action": "hide" if event.hidden else "show", **fields}
    return {"forget": False, "rating": event.rating, **fields}


def _plainly_good(text: Column, rating_min: float, rating_max: float) -> Column:
    """One flat object with a rating that keeps the contract; it says no to some good events too, such as longer ones."""
    event = F.col("event")
    one_flat_object = text.startswith("{") & (F.locate("{", text, 2) == 0) & (F.locate("}", text) == F.length(text))
    return (
        event["_corrupt"].isNull()
        & (F.octet_length("value") <= MAX_DIGITS)
        & one_flat_object
        & ~text.contains("[")
        & event["action"].isNull()
        & (event.v == EVENT_VERSION)
        & (event.user_id >= 0)
        & (event.movie_id >= 0)
        & event.rating.between(rating_min, rating_max)
        & event.rated_at.between(SINCE_MS, F.least(F.col("received_at_ms") + MAX_AHEAD_MS, F.lit(UNTIL_MS)))
        & F.is_valid_utf8(text)
    )
