"""Kafka records → checked ratings and reasons, by column expressions alone.

In: a DataFrame with Kafka's columns (value, topic, partition, offset, timestamp). Out: the columns of COLUMNS;
`reason` is null where the event keeps the contract of `reelstream.events`, and `raw` is null there too. A good event
with a null rating takes one back; one with `forget` has no movie either. Next: `stream.ingest`.

A good rating costs one JSON parse. Only where that parse does not give a good event is the reason looked for.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from reelstream.events import EVENT_VERSION, FIELDS, MAX_AHEAD_MS, MAX_BRACKETS, MAX_DIGITS, MAX_EVENT_BYTES

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
_LENIENT = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": "_corrupt", "allowSingleQuotes": "false"}
_STRICT = {**_LENIENT, "allowNonNumericNumbers": "false"}
"""JSON as RFC 8259 has it, and as `reelstream.events` reads it."""


def parse(records: DataFrame, *, rating_min: float, rating_max: float) -> DataFrame:
    """One row a record, in the columns of COLUMNS; every record comes out, as a rating or with a reason.

    1. parse the event, and see whether it is plainly a good rating
    2. of the others: see whether their bytes are fit to be JSON at all
    3. and parse them again, as text, to tell what is missing from what has another type
    """
    text = F.col("value").cast("string")
    event = F.from_json(text, _TYPED, _STRICT).alias("event")
    rows = records.select(
        "value", "topic", "partition", "offset", F.unix_millis("timestamp").alias("received_at_ms"), event
    )
    # each step is a projection of its own, so that no row is parsed once for every use of what was parsed
    plain = F.coalesce(_plainly_good(text, rating_min, rating_max), F.lit(False))
    rows = rows.withColumn("plain", plain)  # 1
    rows = rows.withColumn("unfit", F.when(~F.col("plain"), _unfit(text)))  # 2
    unclear = ~F.col("plain") & F.col("unfit").isNull()
    rows = rows.withColumn("as_text", F.when(unclear, F.from_json(text, _TEXT, _STRICT)))  # 3
    reason = F.coalesce("unfit", F.when(unclear, _reason(text, rating_min, rating_max)))
    good = F.col("reason").isNull()
    action = _action(F.col("event"))
    return rows.withColumn("reason", reason).select(
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


def _plainly_good(text: Column, rating_min: float, rating_max: float) -> Column:
    """What is good by the first parse alone; it says no to some good events too, such as those with more objects."""
    event = F.col("event")
    one_flat_object = text.startswith("{") & (F.locate("{", text, 2) == 0) & (F.locate("}", text) == F.length(text))
    return (
        event["_corrupt"].isNull()
        & (F.octet_length("value") <= MAX_DIGITS)
        & one_flat_object
        & ~text.contains("[")
        & event["action"].isNull()
        & (event.v == EVENT_VERSION)
        & (event.user_id > 0)
        & (event.movie_id > 0)
        & _finite(event.rating)
        & event.rating.between(rating_min, rating_max)
        & _good_time(event.rated_at)
        & F.is_valid_utf8(text)
    )


def _finite(rating: Column) -> Column:
    return ~F.isnan(rating) & (F.abs(rating) < F.lit(float("inf")))


def _good_time(rated_at: Column) -> Column:
    return rated_at.between(F.lit(0), F.col("received_at_ms") + MAX_AHEAD_MS)


def _unfit(text: Column) -> Column:
    size_bytes = F.octet_length("value")
    brackets = F.length(text) - F.length(F.translate(text, "{[", ""))
    too_large = (brackets > MAX_BRACKETS) | text.rlike(f"[0-9]{{{MAX_DIGITS + 1}}}")
    return (
        F.when(F.col("value").isNull(), "not_json")
        .when(size_bytes > MAX_EVENT_BYTES, "oversize")
        .when(~F.is_valid_utf8(text), "not_utf8")
        .when((size_bytes > MAX_DIGITS) & too_large, "oversize")
    )


def _action(event: Column) -> Column:
    return F.coalesce(event["action"], F.lit("rate"))


def _reason(text: Column, rating_min: float, rating_max: float) -> Column:
    event, as_text = F.col("event"), F.col("as_text")
    action = _action(as_text)
    for_movie, for_rating = action != "forget", action == "rate"
    missing = [as_text[name].isNull() for name in FIELDS["forget"]]
    missing += [for_movie & as_text.movie_id.isNull(), for_rating & as_text.rating.isNull()]
    is_object = F.ltrim(text, F.lit(" \t\r\n")).startswith("{")
    no_numbers = (text.contains("NaN") | text.contains("Infinity")) & ~_broken(F.from_json(text, _TEXT, _LENIENT))
    return (
        F.when(~is_object, "not_json")
        .when(_broken(as_text), F.when(no_numbers, "nan").otherwise("not_json"))
        .when(~_alone(text), "not_json")
        .when(~action.isin(*FIELDS), "unknown_action")
        .when(_any(missing), "missing_field")
        .when(event["_corrupt"].isNotNull(), "wrong_type")
        .when(event.v != EVENT_VERSION, "unknown_version")
        .when((event.user_id <= 0) | (for_movie & (event.movie_id <= 0)), "bad_id")
        .when(for_rating & ~_finite(event.rating), "nan")
        .when(for_rating & ~event.rating.between(rating_min, rating_max), "off_scale")
        .when(~_good_time(event.rated_at), "bad_time")
    )


def _broken(parsed: Column) -> Column:
    return parsed.isNull() | parsed["_corrupt"].isNotNull()


def _alone(text: Column) -> Column:
    """Whether nothing follows the value that the text begins with.

    Spark reads the first value and leaves the rest, as in `{…} {…}` or `{…}] x`. So an end is put behind it, longer than
    the text and therefore not in it: if the second value is that end, the first was the whole text.
    """
    end = F.repeat(F.lit("."), F.length(text))
    pair = F.concat(F.lit("["), text, F.lit(',"'), end, F.lit('"]'))
    return F.coalesce(F.get_json_object(pair, "$[1]") == end, F.lit(False))


def _any(conditions: list[Column]) -> Column:
    result = conditions[0]
    for condition in conditions[1:]:
        result = result | condition
    return result
