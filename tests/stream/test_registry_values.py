"""Avro, JSON and Protobuf by the schemas of a registry: fields by name, exactly, or a reason why not."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from google.protobuf import descriptor_pb2, message_factory, timestamp_pb2
from google.protobuf.descriptor_pool import DescriptorPool

from reelstream.errors import BadRating, RegistryUnavailable, UsageError
from reelstream.events import from_json
from reelstream.extras import extra_of
from reelstream.settings import load
from reelstream.stream.value_form import ValueForm
from tests.fixtures.schema_registry_server import RegistryServer, framed, serving

NAMES = "user_id=uid,movie_id=item,rating=score,rated_at=at"
AT = 1_700_000_000_123
TIME = datetime.fromtimestamp(AT / 1000, UTC)
NOW_MS = 1_790_000_000_000
OWN = b'{"v":1,"user_id":1,"movie_id":2,"rating":3,"rated_at":1600000000000}'
GIVEN = [(7, 8, 4.5, AT)]

RATING = {
    "type": "record",
    "name": "shop.Rating",
    "fields": [
        {"name": "uid", "type": "long"},
        {"name": "item", "type": ["null", "int"]},
        {"name": "score", "type": {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 1}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "later", "type": "string", "default": ""},
    ],
}
RECORD = {"uid": 7, "item": 8, "score": Decimal("4.5"), "at": TIME, "later": "x"}


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with serving(RegistryServer()) as running:
        running.add(1, RATING)
        yield running


def avro(schema: Any, record: object) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), record)
    return out.getvalue()


def form_of(registry: RegistryServer, form: str = "avro", **more: Any) -> ValueForm:
    return ValueForm(load(**{"fields": NAMES, "value_format": form, "schema_registry": registry.url, **more}))


def events(form: ValueForm, raw: bytes) -> list[tuple[Any, ...]]:
    read = [from_json(one, rating_min=0.5, rating_max=5, now_ms=NOW_MS) for one in form.own_events(raw, NOW_MS)]
    return [(e.user_id, e.movie_id, e.rating, e.rated_at_ms) for e in read]  # type: ignore[union-attr]


def reason(form: ValueForm, raw: bytes) -> str:
    with pytest.raises(BadRating) as caught:
        events(form, raw)
    return caught.value.reason


def test_avro_is_read_by_the_schema_it_names_which_is_asked_for_once(registry: RegistryServer) -> None:
    newer = {**RATING, "fields": [RATING["fields"][2], *RATING["fields"][:2], RATING["fields"][3]]}  # type: ignore[index]
    registry.add(2, newer)
    form = form_of(registry)

    assert events(form, framed(1, avro(RATING, RECORD))) == GIVEN
    assert events(form, framed(2, avro(newer, RECORD))) == GIVEN
    assert events(form, framed(1, avro(RATING, {**RECORD, "uid": 9}))) == [(9, 8, 4.5, AT)]
    assert events(form, OWN) == [(1, 2, 3.0, 1_600_000_000_000)]
    assert registry.asked == ["/schemas/ids/1", "/schemas/ids/2"]


def test_change_events_in_avro_with_references_and_times_of_debezium(registry: RegistryServer) -> None:
    row = {
        **RATING,
        "fields": [
            *RATING["fields"][:3],
            {"name": "at", "type": {"type": "long", "connect.name": "io.debezium.time.MicroTimestamp"}},
        ],
    }  # type: ignore[index]
    envelope = {
        "type": "record",
        "name": "shop.Envelope",
        "fields": [
            {"name": "before", "type": ["null", "shop.Rating"]},
            {"name": "after", "type": ["null", "shop.Rating"]},
            {"name": "op", "type": "string"},
        ],
    }
    registry.answers["/subjects/shop%2Frow/versions/3"] = {"schema": json.dumps(row), "subject": "shop/row"}
    registry.add(5, envelope, references=({"name": "shop.Rating", "subject": "shop/row", "version": 3},))
    named: dict[str, Any] = {}
    fastavro.parse_schema(row, named_schemas=named)
    out = io.BytesIO()
    old = {**RECORD, "at": AT * 1000}
    fastavro.schemaless_writer(
        out, fastavro.parse_schema(envelope, named_schemas=named), {"before": old, "after": None, "op": "d"}
    )

    assert events(form_of(registry), framed(5, out.getvalue())) == [(7, 8, None, AT)]


def test_json_has_its_schema_left_aside(registry: RegistryServer) -> None:
    form = form_of(registry, "json-schema", schema_registry=None)
    value = json.dumps({"uid": 7, "item": 8, "score": 4.5, "at": AT}).encode()

    assert events(form, framed(77, value)) == GIVEN
    assert events(form, OWN) == [(1, 2, 3.0, 1_600_000_000_000)]
    assert reason(form, framed(77, b"{")) == "not_in_form"
    assert reason(form, framed(77, b"[1]")) == "not_in_form"
    assert registry.asked == []


def protobuf_file() -> descriptor_pb2.FileDescriptorProto:
    """message Other {}  message Shop { message Rating { int64 uid = 1; optional int32 item = 2; …; Timestamp at = 4; } }"""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="shop.proto", package="shop", syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    file.message_type.add(name="Other")
    rating = file.message_type.add(name="Shop").nested_type.add(name="Rating")
    rating.field.add(name="uid", number=1, type=field.TYPE_INT64, label=field.LABEL_OPTIONAL)
    rating.oneof_decl.add(name="_item")
    rating.field.add(
        name="item", number=2, type=field.TYPE_INT32, label=field.LABEL_OPTIONAL, proto3_optional=True, oneof_index=0
    )
    rating.field.add(name="score", number=3, type=field.TYPE_DOUBLE, label=field.LABEL_OPTIONAL)
    stamp = ".google.protobuf.Timestamp"
    rating.field.add(name="at", number=4, type=field.TYPE_MESSAGE, label=field.LABEL_OPTIONAL, type_name=stamp)
    rating.field.add(name="tags", number=5, type=field.TYPE_STRING, label=field.LABEL_REPEATED)
    return file


def test_protobuf_is_read_by_its_descriptor(registry: RegistryServer) -> None:
    file = protobuf_file()
    pool = DescriptorPool()
    pool.Add(descriptor_pb2.FileDescriptorProto.FromString(timestamp_pb2.DESCRIPTOR.serialized_pb))
    pool.Add(file)
    message = message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Shop.Rating"))(uid=7, item=8, score=4.5)
    message.at.FromDatetime(TIME)
    message.tags.append("x")
    registry.add(4, file.SerializeToString(), "PROTOBUF")
    form = form_of(registry, "protobuf")
    at_rating = bytes([4, 2, 0])  # two indexes in zigzag: message 1 of the file, message 0 of that

    assert events(form, framed(4, at_rating + message.SerializeToString())) == GIVEN
    message.ClearField("item")
    assert reason(form, framed(4, at_rating + message.SerializeToString())) == "missing_field"
    assert reason(form, framed(4, bytes([0]) + message.SerializeToString())) == "missing_field"  # read as an Other
    assert reason(form, framed(4, bytes([4, 2, 9]))) == "not_in_form"
    assert reason(form, framed(4, bytes([1]) + b"\xff")) == "not_in_form"
    assert reason(form, framed(1, at_rating)) == "not_in_form"  # a schema of Avro


def test_what_does_not_fit_has_a_reason(registry: RegistryServer) -> None:
    registry.add(3, {"type": "record"})
    form = form_of(registry)
    good = avro(RATING, RECORD)

    for raw in (b"", b"\0", b"\0\0\0\0", b"\1" + framed(1, good)[1:], b"\xff\xfe", framed(1, good[:-1])):
        assert reason(form, raw) == "not_in_form"
    assert reason(form, framed(1, good + b"x")) == "not_in_form"
    assert reason(form, framed(3, good)) == "not_in_form"
    assert reason(form, framed(1, avro(RATING, {**RECORD, "item": None}))) == "missing_field"


def test_an_unknown_schema_is_asked_for_once_in_a_while(registry: RegistryServer) -> None:
    form = form_of(registry)

    assert [reason(form, framed(9, b"x")) for _ in range(3)] == ["unknown_schema"] * 3
    assert registry.asked == ["/schemas/ids/9"]


def test_a_schema_that_cannot_be_used_is_asked_for_once(registry: RegistryServer) -> None:
    row = {"name": "shop.Row", "subject": "row", "version": 1}
    registry.add(6, RATING, kind="JSON")
    registry.add(7, {"type": "record"})
    registry.add(8, RATING, references=(row,))
    registry.answers["/subjects/row/versions/1"] = {"error_code": 40402, "message": "Version 1 not found."}
    form = form_of(registry)

    reasons = [reason(form, framed(schema, b"x")) for schema in (6, 7, 8) for _ in range(3)]

    assert reasons == ["not_in_form"] * 6 + ["unknown_schema"] * 3
    assert registry.asked == ["/schemas/ids/6", "/schemas/ids/7", "/schemas/ids/8", "/subjects/row/versions/1"]


def test_a_registry_that_does_not_answer_is_an_error_and_no_reject(registry: RegistryServer) -> None:
    form = form_of(RegistryServer(port=1))
    with pytest.raises(RegistryUnavailable, match=r"registry at http://127\.0\.0\.1:1 does not answer \(URLError\)"):
        events(form, framed(1, b"x"))
    elsewhere = form_of(registry, schema_registry=f"{registry.url}/api")
    with pytest.raises(RegistryUnavailable, match=r"does not answer \(HTTP 404\)"):
        events(elsewhere, framed(1, b"x"))
    registry.answers["/schemas/ids/1"] = {"message": "busy"}
    with pytest.raises(RegistryUnavailable, match="an answer without a schema"):
        events(form_of(registry), framed(1, b"x"))


def test_the_login_is_in_the_address_and_in_no_message(registry: RegistryServer) -> None:
    registry.login = True
    assert events(form_of(registry), framed(1, avro(RATING, RECORD))) == GIVEN
    wrong = form_of(registry, schema_registry=registry.url.replace("s3cret", "other"))
    with pytest.raises(RegistryUnavailable, match="refuses the login") as caught:
        events(wrong, framed(1, b"x"))
    assert "other" not in str(caught.value)
    assert "s3cret" not in repr(load(schema_registry=registry.url))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"value_format": "avro"}, "value_format avro needs schema_registry"),
        ({"schema_registry": "registry:8081"}, "it begins with http:// or https://"),
        ({"value_format": "xml"}, "value_format: "),
    ],
)
def test_settings_that_do_not_fit_are_refused(given: dict[str, str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        load(**given)


def test_the_extra_that_is_missing_is_named() -> None:
    assert [extra_of(module) for module in ("fastavro", "google", "google.protobuf")] == ["registry"] * 3
