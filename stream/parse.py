"""Kafka records → checked ratings and reasons, by column expressions alone.

In: a DataFrame with Kafka's columns (value, topic, partition, offset, timestamp). Out: the columns of COLUMNS;
`reason` is
null where the event keeps the contract of `reelstream.events`, and `raw` is null there too. A good event with a null
rating takes one back; one with `forget` has no movie either. Next: `stream.ingest`.

A good rating costs one JSON parse. Only where that parse does not give a good event is the reason looked for.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from reelstream.events import EVENT_VERSION, FIELDS, MAX_AHEAD_MS, MAX_EVENT_BYTES

COLUMNS = (
    "forget",
    "user_id",
    "movie_id",
    "rating",
    "rated_at_ms",
    "reason",
    "raw",
    "topic",
    "partition",
    "offset",
    "received_at_ms",
)
_TYPED = "v BIGINT, action STRING, user_id BIGINT, movie_id BIGINT, rating DOUBLE, rated_at BIGINT, _corrupt STRING"
_TEXT = "v STRING, action STRING, user_id STRING, movie_id STRING, rating STRING, rated_at STRING, _corrupt STRING"
_OPTIONS = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": "_corrupt"}
_NEEDED_BY_ALL = FIELDS["forget"]


def parse(records: DataFrame, *, rating_min: float, rating_max: float) -> DataFrame:
    """One row a record, in the columns of COLUMNS; every record comes out, as a rating or with a reason."""
    text = F.col("value").cast("string")
    received_at_ms = F.unix_millis("timestamp")
    parsed = records.select(
        "value",
        "topic",
        "partition",
        "offset",
        received_at_ms.alias("received_at_ms"),
        F.from_json(text, _TYPED, _OPTIONS).alias("event"),
    )
    checked = parsed.withColumn("reason", _reason(text, rating_min, rating_max))
    good = F.col("reason").isNull()
    action = _action(F.col("event"))
    return checked.select(
        (good & (action == "forget")).alias("forget"),
        F.when(good, F.col("event.user_id")).alias("user_id"),
        F.when(good & (action != "forget"), F.col("event.movie_id")).alias("movie_id"),
        F.when(good & (action == "rate"), F.col("event.rating").cast("float")).alias("rating"),
        F.when(good, F.col("event.rated_at")).alias("rated_at_ms"),
        "reason",
        F.when(~good, F.col("value")).alias("raw"),
        "topic",
        "partition",
        "offset",
        "received_at_ms",
    )


def _action(event: Column) -> Column:
    return F.coalesce(event["action"], F.lit("rate"))


def _reason(text: Column, rating_min: float, rating_max: float) -> Column:
    event = F.col("event")
    finite = ~F.isnan(event.rating) & (F.abs(event.rating) < F.lit(float("inf")))
    on_scale = event.rating.between(rating_min, rating_max)
    good_time = event.rated_at.between(F.lit(0), F.col("received_at_ms") + MAX_AHEAD_MS)
    one_flat_object = text.startswith("{") & (F.locate("{", text, 2) == 0) & (F.locate("}", text) == F.length(text))
    plainly_good = (
        event["_corrupt"].isNull()
        & one_flat_object
        & event["action"].isNull()
        & (event.v == EVENT_VERSION)
        & (event.user_id > 0)
        & (event.movie_id > 0)
        & finite
        & on_scale
        & good_time
        & (F.octet_length("value") <= MAX_EVENT_BYTES)
        & F.is_valid_utf8(text)
    )
    as_text = F.from_json(text, _TEXT, _OPTIONS)
    # Spark reads the first value and leaves the rest, as in `{…} {…}`; inside an array the rest is an error
    alone = F.from_json(F.concat(F.lit("["), text, F.lit("]")), "ARRAY<STRUCT<v STRING>>")
    action = _action(as_text)
    for_movie, for_rating = action != "forget", action == "rate"
    missing = [as_text[name].isNull() for name in _NEEDED_BY_ALL]
    missing += [for_movie & as_text.movie_id.isNull(), for_rating & as_text.rating.isNull()]
    mistyped = [event[name].isNull() for name in _NEEDED_BY_ALL]
    mistyped += [for_movie & event.movie_id.isNull(), for_rating & event.rating.isNull()]
    looked_for = (
        F.when(F.col("value").isNull(), "not_json")
        .when(F.octet_length("value") > MAX_EVENT_BYTES, "oversize")
        .when(~F.is_valid_utf8(text), "not_utf8")
        .when(~F.trim(text).startswith("{") | as_text.isNull() | as_text["_corrupt"].isNotNull(), "not_json")
        .when(F.coalesce(F.size(alone), F.lit(0)) != 1, "not_json")
        .when(~action.isin(*FIELDS), "unknown_action")
        .when(_any(missing), "missing_field")
        .when(_any(mistyped), "wrong_type")
        .when(event.v != EVENT_VERSION, "unknown_version")
        .when((event.user_id <= 0) | (for_movie & (event.movie_id <= 0)), "bad_id")
        .when(for_rating & ~finite, "nan")
        .when(for_rating & ~on_scale, "off_scale")
        .when(~good_time, "bad_time")
    )
    return F.when(F.coalesce(plainly_good, F.lit(False)), F.lit(None)).otherwise(looked_for)


def _any(conditions: list[Column]) -> Column:
    result = conditions[0]
    for condition in conditions[1:]:
        result = result | condition
    return result
