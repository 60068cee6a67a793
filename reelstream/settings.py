"""Every setting, read once at the edge and passed on as one frozen value.

A command's flag wins over REELSTREAM_* in the environment, which wins over reelstream.toml in the working directory,
which wins over the default here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from reelstream.als.scale import Scale
from reelstream.errors import UsageError
from reelstream.store import scale_file


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
    topic: str = Field("ratings", pattern=r"^[A-Za-z0-9._-]{1,249}$", description="Kafka topic of the rating events.")
    partitions: int = Field(4, ge=1, le=1000, description="Partitions of the topic where reelstream has to make it.")
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
