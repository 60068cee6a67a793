"""Every setting, read once at the edge and passed on as one frozen value.

A command's flag wins over REELSTREAM_* in the environment, which wins over reelstream.toml in the working directory,
which wins over the default here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from reelstream.als.scale import Scale
from reelstream.errors import UsageError
from reelstream.store import scale_file

TOPIC = r"^[A-Za-z0-9._-]{1,249}$"
FIELDS = ("action", "user_id", "movie_id", "rating", "rated_at")
"""Of an event, those that may have another name."""

RECORD_TIME = "@timestamp"
"""In the place of a name: the time that the record itself has in Kafka."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="REELSTREAM_", toml_file="reelstream.toml", frozen=True, extra="forbid"
    )

    warehouse: Path = Field(
        Path("warehouse"), description="Directory of all tables, pointers and the embedded broker's data."
    )
    bootstrap_servers: str | None = Field(
        None,
        description="Kafka to use, as host:port,host:port. Without it: the warehouse's own embedded broker.",
    )
    command_config: Path | None = Field(
        None,
        description="A Java client.properties with SASL or TLS settings, for kafka-python and Spark alike.",
    )
    topic: str = Field("ratings", pattern=TOPIC, description="Kafka topic of the rating events.")
    more_topics: str = Field(
        "", description="More topics that the stream reads, with commas between; our own events go to `topic`."
    )
    partitions: int = Field(4, ge=1, le=1000, description="Partitions of the topic where reelstream has to make it.")
    value_format: Literal["json", "connect", "debezium", "avro", "json-schema", "protobuf"] = Field(
        "json",
        description="Form of the values in the topic. json is our own and that of other producers; envelopes of connect and "
        "debezium are recognised in it, and are all that is taken if named here. The last three begin with the id of a schema "
        "in schema_registry. Our own events are taken in each.",
    )
    schema_registry: str | None = Field(
        None,
        repr=False,
        description="Address of a Confluent-compatible schema registry, as https://user:password@host.",
    )
    fields: str = Field(
        "",
        description="Names of the fields in JSON of other producers, such as user_id=uid,rated_at=payload.ts; "
        f"rated_at={RECORD_TIME} is the record's own time.",
    )
    time_unit: Literal["s", "ms", "us", "ns"] = Field(
        "ms", description="Unit of numbers for rated_at in events of other producers; ISO 8601 is read beside it."
    )
    rating_min: float | None = Field(
        None,
        description="Lowest rating of the scale. Without it: that of the warehouse's first file (docs/files.md), else 0.5.",
    )
    rating_max: float | None = Field(None, description="Highest rating of the scale. Without it: likewise, else 5.")
    rating_step: float | None = Field(
        None,
        ge=0,
        description="From one rating to the next, for the page: 0.5 for half stars, 1 for whole numbers, 0 for any number. "
        "Without it: likewise, else what rating_min and rating_max suggest.",
    )
    liked_from: float | None = Field(
        None,
        description="A movie counts as liked if rated so much or more. Without it: the share of the scale that 4 is "
        "of 0.5 to 5, such as 8 of 0 to 10.",
    )
    top_n: int = Field(20, ge=1, le=1000, description="Movies in each list of the top-N tables.")
    engine: Literal["native", "mllib"] = Field("native", description="What fits the models in a refit.")
    refit_after_ratings: int = Field(20_000, ge=1, description="Refit when this many ratings came since the last one …")
    refit_after_minutes: float = Field(
        10.0,
        gt=0,
        description="… or when the oldest rating that no refit has seen is this old, whichever comes first.",
    )
    self_tuning: bool = Field(
        True,
        description="Let refits look for settings of the models that fit the ratings better than those they have; what "
        "`tune --adopt` adopted wins.",
    )
    gate_margin: float = Field(
        0.05,
        ge=0,
        description="A refit whose RMSE or nDCG@10 is worse than the last version's by more than this share is held back.",
    )
    keep_versions: int = Field(3, ge=1, description="Published versions that stay on disk, the current one included.")
    max_batch_events: int = Field(200_000, ge=1, description="Most events that one micro-batch takes from Kafka.")
    spark_master: str = Field("local[*]", description="Spark master of the stream and of the mllib engine.")
    spark_memory: str = Field("1g", pattern=r"^\d+[mg]$", description="Heap of the Spark driver, such as 1g.")
    broker_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Port of the embedded broker. Without it: the last one if free, else any.",
    )

    serve_host: str = Field(
        "127.0.0.1", description="Where the HTTP API and the page listen. Any other than loopback needs serve_token."
    )
    serve_port: int | None = Field(
        None, ge=1, le=65535, description="Port of the HTTP API and the page. Without it: 8000 if free, else any."
    )
    serve_token: str | None = Field(
        None, repr=False, description="What clients of the HTTP API send as a bearer token; 16 characters or more."
    )

    @property
    def scale(self) -> Scale:
        """As it is now: what is set wins over what is stored with the warehouse, and that over 0.5 to 5 in halves.

        A first replay stores it while others run already, so they ask again. Raises DamagedStore, and UsageError where what
        is set does not fit the rest.
        """
        return self.scale_over(scale_file.read(self.warehouse) or Scale())

    @model_validator(mode="after")
    def _schemas_have_a_registry(self) -> Settings:
        if self.value_format in ("avro", "protobuf") and not self.schema_registry:
            raise ValueError(f"value_format {self.value_format} needs schema_registry, the address of the schemas")
        return self

    @field_validator("schema_registry")
    @classmethod
    def _registry_is_an_address(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("it begins with http:// or https://")
        return url

    @field_validator("more_topics")
    @classmethod
    def _topics_have_names(cls, text: str) -> str:
        if wrong := [name for name in _listed(text) if not re.match(TOPIC, name)]:
            raise ValueError(f"{wrong[0]!r} is no name of a topic")
        return text

    @property
    def topics(self) -> tuple[str, ...]:
        """All that the stream reads, `topic` first."""
        return tuple(dict.fromkeys([self.topic, *_listed(self.more_topics)]))

    @field_validator("fields")
    @classmethod
    def _fields_have_names(cls, text: str) -> str:
        names = _names(text)
        if wrong := [name for name, path in names.items() if name not in FIELDS or not all(path.split("."))]:
            raise ValueError(f"{wrong[0]!r} has no name there; say FIELD=NAME, the field one of {', '.join(FIELDS)}")
        paths = list(names.values())
        if wrong := [path for path in paths if path in (*FIELDS, "v") or paths.count(path) > 1]:
            raise ValueError(f"{wrong[0]!r} is the name of two fields")
        if RECORD_TIME in paths and names.get("rated_at") != RECORD_TIME:
            raise ValueError(f"{RECORD_TIME} is a time; only rated_at can have it")
        return text

    @property
    def field_names(self) -> dict[str, str]:
        """Field → the other name that it has, with dots between those of nested objects."""
        return _names(self.fields)

    @property
    def sets_scale(self) -> bool:
        """Whether an end of the scale is set."""
        return self.rating_min is not None or self.rating_max is not None

    def scale_over(self, found: Scale) -> Scale:
        """The scale that was found, with what is set. Raises UsageError where that does not fit."""
        names = ("rating_min", "rating_max", "rating_step", "liked_from")
        return found.over(**{name: getattr(self, name) for name in names})

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _names(text: str) -> dict[str, str]:
    """The pairs that differ."""
    pairs = (one.partition("=") for one in _listed(text))
    return {name.strip(): path.strip() for name, _, path in pairs if name.strip() != path.strip()}


def to_env(settings: Settings) -> dict[str, str]:
    """The settings as REELSTREAM_* variables, for a child process that is to have the same."""
    given = settings.model_dump(mode="json", exclude_none=True)
    return {f"REELSTREAM_{name.upper()}": str(value) for name, value in given.items()}


def load(**flags: Any) -> Settings:
    """The settings of this run; flags that are None were not given.

    Raises UsageError that names the setting and what is wrong with it.
    """
    try:
        settings = Settings(**{name: value for name, value in flags.items() if value is not None})
        if settings.sets_scale or settings.rating_step is not None or settings.liked_from is not None:
            _ = settings.scale  # raises UsageError
        return settings
    except UsageError as error:
        raise UsageError(f"settings: {error}. See `reelstream settings` for what each one takes.") from None
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'settings'}: {item['msg']}" for item in error.errors())
        raise UsageError(f"{wrong}. See `reelstream settings` for what each one takes.") from None
    except ValueError as error:
        raise UsageError(f"reelstream.toml can't be read: {error}") from None
