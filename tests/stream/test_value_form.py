"""Events of other producers: they become the same ratings as our own would, or rejects with their bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from pyspark.sql import SparkSession

from reelstream.errors import UsageError
from reelstream.events import ForgetEvent, RatingEvent
from reelstream.settings import load
from reelstream.stream.parse import check, parse
from reelstream.stream.value_form import ValueForm

NOW = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
SCHEMA = "value BINARY, topic STRING, partition INT, offset BIGINT, timestamp TIMESTAMP"
FLAT = "user_id=uid,movie_id=item,rating=score,rated_at=at"
AT = 1_700_000_000_000
THEIRS = {"uid": 7, "item": 8, "score": 4, "at": AT}
AS_OURS = (7, 8, 4.0, AT)


def taken(spark: SparkSession, values: Sequence[bytes | None], **settings: Any) -> tuple[list[Any], list[bool]]:
    """(what each value is: its four fields, or the reason why it is rejected; whether Spark has read it)."""
    form = ValueForm(load(**settings))
    records = spark.createDataFrame([(value, "t", 0, n, NOW) for n, value in enumerate(values)], SCHEMA)
    rows = parse(records, rating_min=0.5, rating_max=5.0, form=form).toArrow()
    read = check(rows, rating_min=0.5, rating_max=5.0, form=form).sort_by("offset").to_pylist()
    for row, value in zip(read, values, strict=True):
        assert row["raw"] == (value if row["reason"] else None)
    names = ("user_id", "movie_id", "rating", "rated_at_ms")
    by_spark = rows.sort_by("offset")["user_id"].is_valid().to_pylist()
    return [row["reason"] or tuple(row[name] for name in names) for row in read], by_spark


def records_taken(spark: SparkSession, values: Sequence[bytes]) -> list[tuple[Any, ...]]:
    """(offset, movie_id, rating) in the order in which they come."""
    form = ValueForm(load(fields=FLAT))
    records = spark.createDataFrame([(value, "t", 0, n, NOW) for n, value in enumerate(values)], SCHEMA).coalesce(1)
    rows = parse(records, rating_min=0.5, rating_max=5.0, form=form).toArrow()
    read = check(rows, rating_min=0.5, rating_max=5.0, form=form).to_pylist()
    return [(row["offset"], row["movie_id"], row["rating"]) for row in read]


def text(value: object) -> bytes:
    return json.dumps(value).encode()


def test_other_names_are_read_by_spark_and_our_own_events_beside_them(spark: SparkSession) -> None:
    own = RatingEvent(1, 2, 3.5, AT)
    values = [text(THEIRS), own.to_json(), RatingEvent(1, 2, None, AT).to_json(), ForgetEvent(1, AT).to_json()]

    assert taken(spark, values, fields=FLAT) == (
        [AS_OURS, (1, 2, 3.5, AT), (1, 2, None, AT), (1, None, None, AT)],
        [True, True, False, False],
    )


def test_unwrapped_rows_that_were_deleted_are_taken_back_and_tombstones_are_none(spark: SparkSession) -> None:
    values = [text({**THEIRS, "__deleted": "false"}), text({**THEIRS, "__deleted": "true"}), None]

    found, by_spark = taken(spark, values, fields=FLAT)

    assert found == [AS_OURS, (7, 8, None, AS_OURS[3]), "tombstone"]
    assert by_spark == [True, False, False]


def test_a_row_that_became_that_of_another_movie_is_two_events_in_their_order(spark: SparkSession) -> None:
    moved = {"op": "u", "before": {**THEIRS, "item": 9}, "after": THEIRS}

    found = records_taken(spark, [text(THEIRS), text(moved), text({**THEIRS, "item": 3})])

    assert found == [(0, 8, 4.0), (1, 9, None), (1, 8, 4.0), (2, 3, 4.0)]


CASES: dict[str, tuple[object, object]] = {
    "plain": (THEIRS, AS_OURS),
    "a version of their own": ({**THEIRS, "v": 7}, AS_OURS),
    "both, theirs wins": ({**THEIRS, "user_id": 1, "movie_id": 2, "rating": 3, "rated_at": 4, "v": 1}, AS_OURS),
    "our names without a version": ({"user_id": 7, "movie_id": 8, "rating": 4, "rated_at": AT}, "missing_field"),
    "ISO": ({**THEIRS, "at": "2023-11-14T22:13:20Z"}, AS_OURS),
    "ISO with a zone": ({**THEIRS, "at": "2023-11-15T00:13:20.000+02:00"}, AS_OURS),
    "ISO without a zone": ({**THEIRS, "at": "2023-11-14 22:13:20"}, AS_OURS),
    "no time": ({**THEIRS, "at": "yesterday"}, "wrong_type"),
    "one is missing": ({name: value for name, value in THEIRS.items() if name != "score"}, "missing_field"),
    "off the scale": ({**THEIRS, "score": 9}, "off_scale"),
    "text": ({**THEIRS, "score": "good"}, "wrong_type"),
    "an action of theirs": ({**THEIRS, "action": "click"}, "unknown_action"),
    "taken back": ({**THEIRS, "action": "unrate"}, (7, 8, None, AS_OURS[3])),
    "no object": ([THEIRS], "not_json"),
    "other fields with objects": ({**THEIRS, "more": {"a": [1]}}, AS_OURS),
}


def test_each_case_is_a_rating_or_has_its_reason(spark: SparkSession) -> None:
    found, _ = taken(spark, [text(value) for value, _ in CASES.values()], fields=FLAT)

    assert dict(zip(CASES, found, strict=True)) == {name: right for name, (_, right) in CASES.items()}


def test_names_of_nested_objects_have_dots(spark: SparkSession) -> None:
    values = [
        text({"payload": {"after": THEIRS}, "v": 3}),
        text({"payload": None}),
        RatingEvent(1, 2, 3.5, AT).to_json(),
    ]
    nested = ",".join(f"{one.replace('=', '=payload.after.')}" for one in FLAT.split(","))

    found, by_spark = taken(spark, values, fields=nested)

    assert found == [AS_OURS, "missing_field", (1, 2, 3.5, AT)]
    assert by_spark == [False, False, True]


@pytest.mark.parametrize(
    ("unit", "time"),
    [("s", 1_700_000_000), ("ms", 1_700_000_000_000), ("us", 1_700_000_000_000_999), ("ns", 1_700_000_000_000_999_999)],
)
def test_times_of_theirs_have_a_unit_and_ours_are_milliseconds(spark: SparkSession, unit: str, time: int) -> None:
    values = [text({**THEIRS, "at": time}), RatingEvent(1, 2, 3.5, AT).to_json(), text({**THEIRS, "at": 2**63 - 1})]

    found, by_spark = taken(spark, values, fields=FLAT, time_unit=unit)

    assert found[:2] == [AS_OURS, (1, 2, 3.5, AT)]
    assert by_spark == [True, True, False]
    assert found[2] in ("bad_time", "wrong_type")


def test_a_negative_time_is_bad_in_each_unit(spark: SparkSession) -> None:
    assert taken(spark, [text({**THEIRS, "at": -1})], fields=FLAT, time_unit="us")[0] == ["bad_time"]


def test_seconds_may_have_a_fraction(spark: SparkSession) -> None:
    value = text({**THEIRS, "at": 1_700_000_000.25})

    assert taken(spark, [value], fields=FLAT, time_unit="s")[0] == [(*AS_OURS[:3], AS_OURS[3] + 250)]


def test_the_time_may_be_that_of_the_record(spark: SparkSession) -> None:
    values = [text({"user_id": 7, "movie_id": 8, "rating": 4}), RatingEvent(1, 2, 3.5, AT).to_json()]

    assert taken(spark, values, fields="rated_at=@timestamp") == ([(7, 8, 4.0, NOW_MS), (1, 2, 3.5, AT)], [True, True])


def test_names_that_differ_by_case_alone_are_told_apart(spark: SparkSession) -> None:
    values = [text({"USER_ID": 7, "movie_id": 8, "rating": 4, "rated_at": AT}), RatingEvent(1, 2, 3.5, AT).to_json()]

    assert taken(spark, values, fields="user_id=USER_ID")[0] == [(7, 8, 4.0, AT), (1, 2, 3.5, AT)]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("user=uid", "'user' has no name there; say FIELD=NAME, the field one of action, user_id"),
        ("user_id", "'user_id' has no name there"),
        ("user_id=a..b", "'user_id' has no name there"),
        ("user_id=movie_id", "'movie_id' is the name of two fields"),
        ("user_id=id,movie_id=id", "'id' is the name of two fields"),
        ("rating=@timestamp", "@timestamp is a time; only rated_at can have it"),
    ],
)
def test_names_that_cannot_be_are_refused(fields: str, told: str) -> None:
    with pytest.raises(UsageError, match=f"fields: .*{told}"):
        load(fields=fields)
