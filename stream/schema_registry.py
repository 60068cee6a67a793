"""A Confluent-compatible schema registry, over its HTTP API: schemas by id, each asked for once.

In: the registry's address, the id in a record. Out: its schema and those that it refers to. Next:
`reelstream.stream.registry_values` reads records by them.
"""

from __future__ import annotations

import base64
import json
import math
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reelstream.errors import BadRating, RegistryUnavailable

TIMEOUT_S = 5.0
UNKNOWN_S = 10.0
"""Seconds for which a schema that the registry did not have is not asked for again."""

NOT_FOUND = (40401, 40402, 40403)
"""The `error_code`s that say so, of a subject, a version and a schema; any other 404 is one of a wrong address."""


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """text: as the registry has it; of Protobuf a FileDescriptorProto in base64. kind: AVRO, JSON or PROTOBUF."""

    text: str
    kind: str
    references: tuple[Mapping[str, Any], ...]


class SchemaRegistry:
    """Raises RegistryUnavailable where the registry does not answer as one, or refuses the login; BadRating with
    `unknown_schema` for an id that it does not have."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        user = parts.netloc.rpartition("@")[0]
        self.address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
        login = base64.b64encode(urllib.parse.unquote(user).encode()).decode()
        self._headers = {"Accept": "application/vnd.schemaregistry.v1+json, application/json"}
        self._headers |= {"Authorization": f"Basic {login}"} if user else {}
        self._answers: dict[str, tuple[dict[str, Any] | None, float]] = {}
        """path → what is there, and until when that is so."""

    def schema(self, schema_id: int) -> RegisteredSchema:
        found = self._get(f"/schemas/ids/{schema_id}")
        if found is None:
            raise BadRating("unknown_schema", f"schema {schema_id}")
        if found.get("schemaType") == "PROTOBUF":
            found = self._get(f"/schemas/ids/{schema_id}?format=serialized") or found
        return _schema(found)

    def referred(self, schema: RegisteredSchema) -> Iterator[tuple[str, RegisteredSchema]]:
        """(name, schema) of all that a schema refers to, each after what it refers to itself."""
        serialized = "?format=serialized" if schema.kind == "PROTOBUF" else ""
        for one in schema.references:
            subject = urllib.parse.quote(one["subject"], safe="")
            found = self._get(f"/subjects/{subject}/versions/{int(one['version'])}{serialized}")
            if found is None:
                raise BadRating("unknown_schema", f"version {one['version']} of {one['subject']}")
            inner = _schema(found)
            yield from self.referred(inner)
            yield one["name"], inner

    def _get(self, path: str) -> dict[str, Any] | None:
        """None for what the registry does not have. A schema of an id, or of a version, never changes."""
        found, until_s = self._answers.get(path, (None, -math.inf))
        if time.monotonic() >= until_s:
            found = self._ask(path)
            self._answers[path] = found, math.inf if found else time.monotonic() + UNKNOWN_S
        return found

    def _ask(self, path: str) -> dict[str, Any] | None:
        asked = urllib.request.Request(self.address + path, headers=self._headers)
        try:
            with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as answer:
                found = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            if _error_code(error) in NOT_FOUND:
                return None
            if error.code in (401, 403):
                raise RegistryUnavailable(
                    f"the schema registry at {self.address} refuses the login; give it in the address, as in "
                    "https://user:password@host."
                ) from None
            raise self._unavailable(f"HTTP {error.code}") from None
        except (OSError, ValueError) as error:
            raise self._unavailable(type(error).__name__) from None
        if not isinstance(found, dict) or not isinstance(found.get("schema"), str):
            raise self._unavailable("an answer without a schema")
        return found

    def _unavailable(self, why: str) -> RegistryUnavailable:
        return RegistryUnavailable(
            f"the schema registry at {self.address} does not answer ({why}); check that it runs, and --schema-registry."
        )


def _schema(found: Mapping[str, Any]) -> RegisteredSchema:
    return RegisteredSchema(found["schema"], found.get("schemaType") or "AVRO", tuple(found.get("references") or ()))


def _error_code(error: urllib.error.HTTPError) -> object:
    try:
        value = json.loads(error.read())
    except (OSError, ValueError):
        return None
    return value.get("error_code") if isinstance(value, dict) else None
