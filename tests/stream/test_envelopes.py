"""Change events of Debezium and Kafka Connect's JSON: each is the rating, or the deletion, that it is about."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelstream.errors import BadRating
from reelstream.events import from_json
from reelstream.settings import load
from reelstream.stream.value_form import ValueForm
from tests.fixtures.examples import examples

WORDS = st.sampled_from(
    ["uid", "item", "score", "at", "field", "fields", "type", "struct", "name", "op", "__deleted", "v"]
)
NAMES = "user_id=uid,movie_id=item,rating=score,rated_at=at"
NOW_MS = 1_790_000_000_000
AT = 1_700_000_000_000
ROW = {"id": 1, "uid": 7, "item": 8, "score": 4.0, "at": AT}
OTHER_ITEM = {**ROW, "item": 9}
SOURCE = {"connector": "postgresql", "ts_ms": AT + 99, "table": "ratings"}

STRUCT = {
    "type": "struct",
    "fields": [
        {"field": "uid", "type": "int64"},
        {"field": "item", "type": "int32"},
        {
            "field": "score",
            "type": "bytes",
            "name": "org.apache.kafka.connect.data.Decimal",
            "parameters": {"scale": "1"},
        },
        {"field": "at", "type": "int64", "name": "io.debezium.time.MicroTimestamp"},
    ],
}
IN_STRUCT = {"uid": 7, "item": 8, "score": base64.b64encode(bytes([40])).decode(), "at": AT * 1000}
CHANGE_SCHEMA = {
    "type": "struct",
    "fields": [{**STRUCT, "field": "before"}, {**STRUCT, "field": "after"}, {"field": "op", "type": "string"}],
}


def events(value: object, **settings: Any) -> list[tuple[Any, ...]]:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    form = ValueForm(load(**{"fields": NAMES, **settings}))
    read = [from_json(one, rating_min=0.5, rating_max=5, now_ms=NOW_MS) for one in form.own_events(raw, NOW_MS)]
    return [(e.user_id, e.movie_id, e.rating, e.rated_at_ms) for e in read]  # type: ignore[union-attr]


def change(op: str, before: object, after: object, **more: object) -> dict[str, object]:
    return {"op": op, "before": before, "after": after, "source": SOURCE, "ts_ms": AT + 100, **more}


GIVEN, TAKEN_BACK = (7, 8, 4.0, AT), (7, 8, None, AT)
KEY_ALONE = {"id": 1, "uid": 7, "item": 8, "score": None, "at": None}
CASES: dict[str, tuple[object, list[tuple[Any, ...]]]] = {
    "created": (change("c", None, ROW), [GIVEN]),
    "read by a snapshot": (change("r", None, ROW), [GIVEN]),
    "updated": (change("u", {**ROW, "score": 2.0}, ROW), [GIVEN]),
    "updated, old values not sent": (change("u", None, ROW), [GIVEN]),
    "now of another movie": (change("u", OTHER_ITEM, ROW), [(7, 9, None, AT), GIVEN]),
    "deleted": (change("d", ROW, None), [TAKEN_BACK]),
    "deleted, of which only the key was sent": (change("d", KEY_ALONE, None), [(7, 8, None, AT + 99)]),
    "with a schema": ({"schema": CHANGE_SCHEMA, "payload": change("c", None, IN_STRUCT)}, [GIVEN]),
    "with a schema, deleted": ({"schema": CHANGE_SCHEMA, "payload": change("d", IN_STRUCT, None)}, [TAKEN_BACK]),
    "the row alone, with a schema": ({"schema": STRUCT, "payload": IN_STRUCT}, [GIVEN]),
    "the row alone, without": ({"schema": None, "payload": ROW}, [GIVEN]),
    "unwrapped": ({**ROW, "__deleted": "false"}, [GIVEN]),
    "unwrapped, deleted": ({**ROW, "__deleted": "true"}, [TAKEN_BACK]),
    "nothing in it": ({"schema": None, "payload": None}, []),
    "our own": (
        b'{"v":1,"user_id":1,"movie_id":2,"rating":3,"rated_at":1600000000000}',
        [(1, 2, 3.0, 1_600_000_000_000)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_change_says_is_what_is_taken(name: str) -> None:
    value, right = CASES[name]

    assert events(value) == right


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (change("t", None, None), "unknown_action"),
        (change("c", None, None), "missing_field"),
        (change("c", None, {}), "missing_field"),
        (change("d", {}, None), "missing_field"),
        (change("d", None, None), "missing_field"),
        (change("c", None, {**ROW, "score": None}), "missing_field"),
        (change("c", None, {**ROW, "score": 9}), "off_scale"),
        ({"schema": STRUCT, "payload": 5}, "not_in_form"),
        ({"schema": {"type": "struct"}, "payload": ROW}, "not_in_form"),
        ({"schema": STRUCT, "payload": {**IN_STRUCT, "score": "~"}}, "not_in_form"),
        ({"schema": STRUCT, "payload": {**IN_STRUCT, "at": 2**62}}, "bad_time"),
    ],
)
def test_a_change_that_cannot_be_taken_has_a_reason(value: object, reason: str) -> None:
    with pytest.raises(BadRating) as caught:
        events(value)
    assert caught.value.reason == reason


def test_envelopes_are_known_without_any_setting() -> None:
    row = {"user_id": 7, "movie_id": 8, "rating": 4, "rated_at": AT}
    assert events(change("c", None, row), fields="") == [GIVEN]
    assert events({"schema": None, "payload": row}, fields="") == [GIVEN]
    with pytest.raises(BadRating, match="no v"):
        events(row, fields="")


def test_a_name_may_lead_to_what_stands_around_the_row() -> None:
    names = "user_id=uid,movie_id=item,rating=score,rated_at=source.ts_ms"
    assert events(change("c", None, ROW), fields=names) == [(7, 8, 4.0, AT + 99)]


@pytest.mark.parametrize("form", ["debezium", "connect"])
def test_a_form_that_is_named_is_the_only_one_beside_our_own(form: str) -> None:
    in_connect = {"schema": None, "payload": change("c", None, ROW)}

    assert events(in_connect, value_format=form) == [GIVEN]
    assert events(CASES["our own"][0], value_format=form) == [(1, 2, 3.0, 1_600_000_000_000)]
    with pytest.raises(BadRating) as caught:
        events(ROW, value_format=form)
    assert caught.value.reason == "not_in_form"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=3), inner, max_size=4),
)


@examples(200)
@given(schema=JSON, before=JSON, after=JSON, op=st.sampled_from([*"crudt", None, 5]), wrapped=st.booleans())
def test_whatever_an_envelope_holds_is_an_event_or_has_a_reason(
    schema: object, before: object, after: object, op: object, wrapped: bool
) -> None:
    inside = change(op, before, after)  # type: ignore[arg-type]
    for value in ({"schema": schema, "payload": inside} if wrapped else inside, {"schema": schema, "payload": after}):
        with suppress(BadRating):
            events(value)
