"""Values in the wire format of a schema registry: a zero byte, the schema's id in four bytes, then Avro, JSON or Protobuf.

In: a record's bytes. Out: its fields by name, times as datetimes. Next: `reelstream.stream.value_form` finds ours among them.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Mapping
from typing import Any

from reelstream.errors import BadRating, ReelstreamError
from reelstream.stream.envelopes import PER_SECOND, moment
from reelstream.stream.schema_registry import RegisteredSchema, SchemaRegistry

MAGIC = b"\0"
HEADER_BYTES = 5
KINDS = {"avro": "AVRO", "protobuf": "PROTOBUF"}
LOGICAL_TYPES = {1000: "timestamp-millis", 1_000_000: "timestamp-micros"}
"""Units a second → Avro's name for such times."""

Read = Callable[[bytes], Any]


class RegistryValues:
    """form: avro, json-schema or protobuf. JSON is read without its schema, so there the registry is never asked.

    Raises ModuleNotFoundError where the extra `registry` is missing.
    """

    def __init__(self, form: str, url: str | None) -> None:
        import fastavro  # noqa: F401
        import google.protobuf  # noqa: F401

        self._form = form
        self._registry = SchemaRegistry(url or "")
        self._readers: dict[int, Read] = {}

    def read(self, raw: bytes) -> Any:
        """Raises BadRating where it is not of the form, or of an unknown schema; RegistryUnavailable."""
        if len(raw) < HEADER_BYTES or not raw.startswith(MAGIC):
            raise BadRating("not_in_form", "it does not begin with the id of a schema")
        try:
            return self._reader(int.from_bytes(raw[1:HEADER_BYTES], "big"))(raw[HEADER_BYTES:])
        except ReelstreamError:
            raise
        except Exception as error:  # whatever the libraries raise for bytes that do not fit
            raise BadRating("not_in_form", f"{type(error).__name__}: {error}") from None

    def _reader(self, schema_id: int) -> Read:
        if self._form == "json-schema":
            return json.loads
        if schema_id not in self._readers:
            schema = self._registry.schema(schema_id)
            if schema.kind != KINDS[self._form]:
                raise BadRating("not_in_form", f"schema {schema_id} is {schema.kind}")
            make = avro_reader if self._form == "avro" else protobuf_reader
            self._readers[schema_id] = make(schema, dict(self._registry.referred(schema)))
        return self._readers[schema_id]


def avro_reader(schema: RegisteredSchema, referred: Mapping[str, RegisteredSchema]) -> Read:
    import fastavro

    named: dict[str, Any] = {}
    for one in referred.values():
        fastavro.parse_schema(_with_times(json.loads(one.text)), named_schemas=named)
    parsed = fastavro.parse_schema(_with_times(json.loads(schema.text)), named_schemas=named)

    def read(data: bytes) -> Any:
        stream = io.BytesIO(data)
        value = fastavro.schemaless_reader(stream, parsed, None)
        if stream.tell() != len(data):
            raise BadRating("not_in_form", "bytes are left after the record")
        return value

    return read


def _with_times(schema: Any) -> Any:
    """Debezium names its types of times where Avro has its own."""
    if isinstance(schema, list):
        return [_with_times(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {
        name: _with_times(one) if name in ("type", "fields", "items", "values") else one for name, one in schema.items()
    }
    per_second = PER_SECOND.get(schema.get("connect.name", ""))
    return {"logicalType": LOGICAL_TYPES[per_second], **changed} if per_second in LOGICAL_TYPES else changed


def protobuf_reader(schema: RegisteredSchema, referred: Mapping[str, RegisteredSchema]) -> Read:
    from google.protobuf import descriptor_pb2, message_factory, timestamp_pb2, wrappers_pb2

    known = {module.DESCRIPTOR.name: module.DESCRIPTOR.serialized_pb for module in (timestamp_pb2, wrappers_pb2)}
    known |= {name: base64.b64decode(one.text) for name, one in referred.items()}
    from google.protobuf.descriptor_pool import DescriptorPool

    pool = DescriptorPool()

    def add(name: str, serialized: bytes) -> Any:
        file = descriptor_pb2.FileDescriptorProto.FromString(serialized)
        file.name = name
        for dependency in file.dependency:
            if dependency in known:
                add(dependency, known.pop(dependency))
        pool.Add(file)
        return file

    file = add("record.proto", base64.b64decode(schema.text, validate=True))
    described = pool.FindFileByName("record.proto")

    def read(data: bytes) -> Any:
        indexes, at = _message_indexes(data)
        message = described.message_types_by_name[file.message_type[indexes[0]].name]
        for index in indexes[1:]:
            message = message.nested_types[index]
        return _fields(message_factory.GetMessageClass(message).FromString(data[at:]))

    return read


def _message_indexes(data: bytes) -> tuple[list[int], int]:
    """(which message of the file, and of that one, it is; where the message begins). A single 0 stands for the first."""
    count, at = _varint(data, 0)
    indexes = []
    for _ in range(count):
        index, at = _varint(data, at)
        indexes.append(index)
    if any(index < 0 for index in indexes):
        raise BadRating("not_in_form", "a negative index of a message")
    return indexes or [0], at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """(number in zigzag, where it ends)."""
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return (value >> 1) ^ -(value & 1), at


def _fields(message: Any) -> Any:
    """By name; what is not set is None where the message can tell."""
    if message.DESCRIPTOR.full_name == "google.protobuf.Timestamp":
        return moment(message.seconds * 1_000_000_000 + message.nanos, 1_000_000_000)
    if message.DESCRIPTOR.file.name == "google/protobuf/wrappers.proto":
        return message.value
    return {field.name: _value(message, field) for field in message.DESCRIPTOR.fields}


def _value(message: Any, field: Any) -> Any:
    if field.has_presence and not message.HasField(field.name):
        return None
    value = getattr(message, field.name)
    if field.is_repeated:
        return []
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name if value in field.enum_type.values_by_number else value
    return _fields(value) if field.message_type is not None else value
