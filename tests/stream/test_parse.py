"""Every record comes out once: as a rating, or with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from pyspark.sql import SparkSession

from reelstream.events import REASONS, DismissEvent, ForgetEvent, HideEvent, RatingEvent
from reelstream.stream.parse import CHECKED, PARSED, TOMBSTONE, check, parse

NOW = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
TIME_MS = 1_000_000_000_000
GOOD = b'{"v":1,"user_id":1,"movie_id":296,"rating":5.0,"rated_at":1147880044000}'


def changed(**fields: str) -> bytes:
    """GOOD with some fields' JSON text replaced; an empty text leaves the field out."""
    texts = {
        "v": "1",
        "action": "",
        "user_id": "1",
        "movie_id": "296",
        "rating": "5.0",
        "rated_at": "1147880044000",
        **fields,
    }
    return ("{" + ",".join(f'"{name}":{text}' for name, text in texts.items() if text) + "}").encode()


CASES = {
    "good": (GOOD, None),
    "spaces, other order, more fields": (
        b' { "rating": 3, "x": {"y": [1]}, "v": 1, "rated_at": 631152000000, "movie_id": 2, "user_id": 9223372036854775807 } ',
        None,
    ),
    "empty": (b"", "not_json"),
    "text": (b"hello", "not_json"),
    "cut off": (GOOD[:-10], "not_json"),
    "two objects": (GOOD + GOOD, "not_json"),
    "array": (b"[" + GOOD + b"]", "not_json"),
    "JSON null": (b"null", "not_json"),
    "number": (b"5", "not_json"),
    "not UTF-8": (GOOD[:-1] + b',"x":"\xff"}', "not_utf8"),
    "oversize": (GOOD[:-1] + b',"x":"' + b"a" * 10_000 + b'"}', "oversize"),
    "no rating": (changed(rating=""), "missing_field"),
    "null rating": (changed(rating="null"), "missing_field"),
    "a null action": (changed(action="null"), None),
    "an action said": (changed(action='"rate"'), None),
    "taken back": (changed(action='"unrate"', rating=""), None),
    "taken back, with stars": (changed(action='"unrate"'), None),
    "taken back, with text for stars": (changed(action='"unrate"', rating='"any"'), "wrong_type"),
    "taken back, without a movie": (changed(action='"unrate"', movie_id=""), "missing_field"),
    "taken back, movie 0": (changed(action='"unrate"', movie_id="0"), None),
    "taken back, movie -1": (changed(action='"unrate"', movie_id="-1"), "bad_id"),
    "forget": (changed(action='"forget"', rating="", movie_id=""), None),
    "forget, with other fields": (changed(action='"forget"', rating="9", movie_id="-1"), None),
    "forget, without a time": (changed(action='"forget"', rated_at=""), "missing_field"),
    "forget, text user": (changed(action='"forget"', user_id='"a@b.org"'), None),
    "forget, user 0": (changed(action='"forget"', user_id="0"), None),
    "forget, user -1": (changed(action='"forget"', user_id="-1"), "bad_id"),
    "forget, too early": (changed(action='"forget"', rated_at="-1"), "bad_time"),
    "dismissed": (changed(action='"dismiss"', rating=""), None),
    "dismissed, taken back, with stars": (changed(action='"undismiss"'), None),
    "dismissed, without a movie": (changed(action='"dismiss"', movie_id=""), "missing_field"),
    "dismissed, too early": (changed(action='"dismiss"', rated_at="-1"), "bad_time"),
    "hidden": (changed(action='"hide"', user_id="", rating=""), None),
    "shown, with a user": (changed(action='"show"'), None),
    "hidden, movie -1": (changed(action='"hide"', movie_id="-1"), "bad_id"),
    "hidden, text movie": (changed(action='"hide"', user_id="", movie_id='"tt0114709"'), None),
    "dismissed, text ids": (changed(action='"dismiss"', user_id='"a@b.org"', movie_id='"tt0114709"'), None),
    "another action": (changed(action='"burn"'), "unknown_action"),
    "an action without text": (changed(action="7"), "unknown_action"),
    "an action that is an object": (changed(action='{"a":1}'), "unknown_action"),
    "an empty action": (changed(action='""'), "unknown_action"),
    "no version": (changed(v=""), "missing_field"),
    "version 2": (changed(v="2"), "unknown_version"),
    "text rating": (changed(rating='"5"'), "wrong_type"),
    "bool rating": (changed(rating="true"), "wrong_type"),
    "text user": (changed(user_id='"b1946ac9-2b1e-4f7e-8d6e-0a3c5f1c9f10"'), None),
    "text movie": (changed(movie_id='"tt0114709"'), None),
    "empty text user": (changed(user_id='""'), "bad_id"),
    "bool user": (changed(user_id="true"), "wrong_type"),
    "fractional user": (changed(user_id="1.5"), "wrong_type"),
    "user beyond 64 bits": (changed(user_id="9223372036854775808"), "wrong_type"),
    "object as movie": (changed(movie_id="{}"), "wrong_type"),
    "user 0": (changed(user_id="0"), None),
    "user -1": (changed(user_id="-1"), "bad_id"),
    "negative movie": (changed(movie_id="-3"), "bad_id"),
    "NaN": (changed(rating="NaN"), "nan"),
    "infinite": (changed(rating="Infinity"), "nan"),
    "huge": (changed(rating="1e999"), "nan"),
    "too high": (changed(rating="5.5"), "off_scale"),
    "too low": (changed(rating="0.4"), "off_scale"),
    "before 1970": (changed(rated_at="-1"), "bad_time"),
    "before 1990": (changed(rated_at="631151999999"), "bad_time"),
    "in seconds": (changed(rated_at="1700000000"), "bad_time"),
    "two days ahead": (changed(rated_at=str(NOW_MS + 2 * 86_400_000)), "bad_time"),
}


def parsed(spark: SparkSession, values: Sequence[bytes | None]) -> list[dict[str, object]]:
    rows = [(value, "ratings", 0, offset, NOW) for offset, value in enumerate(values)]
    schema = "value BINARY, topic STRING, partition INT, offset BIGINT, timestamp TIMESTAMP"
    records = spark.createDataFrame(rows, schema)
    rows = parse(records, rating_min=0.5, rating_max=5.0).toArrow()
    assert rows.schema.names == PARSED.names
    checked = check(rows, rating_min=0.5, rating_max=5.0)
    assert checked.schema.equals(CHECKED)
    assert checked["offset"].to_pylist() == rows["offset"].to_pylist()
    return sorted(checked.to_pylist(), key=lambda row: row["offset"])


def test_every_case_gets_its_reason(spark: SparkSession) -> None:
    rows = parsed(spark, [value for value, _ in CASES.values()])

    assert {name: row["reason"] for name, row in zip(CASES, rows, strict=True)} == {
        name: reason for name, (_, reason) in CASES.items()
    }
    for row, (value, reason) in zip(rows, CASES.values(), strict=True):
        is_text = row["user_text"] or row["movie_text"]
        assert row["raw"] == (None if reason is None and not is_text else value)
        assert (row["detail"] is None) == (reason is None)
        assert (row["rated_at_ms"] is None) == (reason is not None)


DETAILS = {
    changed(rating="7"): "rating 7 is not between 0.5 and 5",
    changed(rating='"7"'): 'rating "7" is not a number',
    changed(rating="true"): "rating true is not a number",
    changed(rating=""): "no rating",
    changed(rating="null"): "rating is null",
    changed(user_id="[1]"): "user_id (an array) is neither a text nor a 64-bit integer",
    changed(movie_id='{"a":1}'): "movie_id (an object) is neither a text nor a 64-bit integer",
    changed(rating='"' + "a" * 900 + '"'): f'rating "{"a" * 79}… is not a number',
    changed(user_id="-1"): "user_id -1 is not between 0 and 2^63 - 1",
    changed(v="2"): "v 2 is not 1",
    changed(action='"burn"'): 'action "burn" is none of rate, unrate, forget, dismiss, undismiss, hide, show',
    changed(rated_at="1700000000"): "rated_at 1700000000 is 1970-01-20; is it in seconds? milliseconds are expected",
    b"[]": "a JSON list, not an object",
}


def test_a_reject_names_the_field_and_its_value(spark: SparkSession) -> None:
    assert [row["detail"] for row in parsed(spark, list(DETAILS))] == list(DETAILS.values())


def test_a_good_event_keeps_its_fields_and_its_place(spark: SparkSession) -> None:
    [row] = parsed(spark, [GOOD])

    assert row == {
        "forget": False,
        "action": None,
        "user_id": 1,
        "movie_id": 296,
        "rating": 5.0,
        "rated_at_ms": 1147880044000,
        "reason": None,
        "detail": None,
        "raw": None,
        "user_text": None,
        "movie_text": None,
        "topic": "ratings",
        "partition": 0,
        "offset": 0,
        "received_at_ms": NOW_MS,
    }


def test_a_record_without_a_value_is_a_tombstone(spark: SparkSession) -> None:
    [row] = parsed(spark, [None])

    assert (row["reason"], row["raw"], row["user_id"]) == (TOMBSTONE, None, None)


def test_what_is_taken_back_has_no_stars_and_what_is_forgotten_no_movie(spark: SparkSession) -> None:
    rows = parsed(spark, [RatingEvent(1, 2, None, TIME_MS).to_json(), ForgetEvent(3, TIME_MS + 1).to_json()])

    names = ("forget", "user_id", "movie_id", "rating", "rated_at_ms")
    assert [[row[name] for name in names] for row in rows] == [
        [False, 1, 2, None, TIME_MS],
        [True, 3, None, None, TIME_MS + 1],
    ]


def test_what_hides_or_dismisses_has_its_action_and_no_stars(spark: SparkSession) -> None:
    events = [
        DismissEvent(1, 2, True, TIME_MS),
        DismissEvent(1, 2, False, TIME_MS + 1),
        HideEvent(2, True, TIME_MS + 2),
        HideEvent(2, False, TIME_MS + 3),
        RatingEvent(1, 2, 3.0, TIME_MS + 4),
    ]
    rows = parsed(spark, [event.to_json() for event in events])

    names = ("action", "user_id", "movie_id", "rating", "rated_at_ms", "reason")
    assert [[row[name] for name in names] for row in rows] == [
        ["dismiss", 1, 2, None, TIME_MS, None],
        ["undismiss", 1, 2, None, TIME_MS + 1, None],
        ["hide", None, 2, None, TIME_MS + 2, None],
        ["show", None, 2, None, TIME_MS + 3, None],
        [None, 1, 2, 3.0, TIME_MS + 4, None],
    ]


@pytest.mark.parametrize("reason", sorted(set(REASONS) - {"forgotten", "not_in_form", "unknown_schema"}))
def test_each_documented_reason_has_a_case(reason: str) -> None:
    assert reason in {reason for _, reason in CASES.values()}


def test_spark_reads_plain_ratings_and_leaves_no_other(spark: SparkSession) -> None:
    values = [GOOD, changed(rating="9"), changed(action='"unrate"'), RatingEvent(7, 8, 0.5, TIME_MS).to_json()]
    rows = [(value, "ratings", 0, offset, NOW) for offset, value in enumerate(values)]
    schema = "value BINARY, topic STRING, partition INT, offset BIGINT, timestamp TIMESTAMP"

    parsed = parse(spark.createDataFrame(rows, schema), rating_min=0.5, rating_max=5.0).toArrow()

    assert parsed["raw"].to_pylist() == [None, values[1], values[2], None]
    assert parsed["user_id"].to_pylist() == [1, None, None, 7]
