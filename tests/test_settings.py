from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from reelstream.errors import UsageError
from reelstream.settings import Settings, load, to_env


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and no variable of ours."""
    for name in list(os.environ):
        if name.startswith("REELSTREAM_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load().topic == "ratings"
    (directory / "reelstream.toml").write_text('topic = "file"\npartitions = 7\n')
    assert (load().topic, load().partitions) == ("file", 7)
    monkeypatch.setenv("REELSTREAM_TOPIC", "env")
    assert (load().topic, load().partitions) == ("env", 7)
    assert (load(topic="flag").topic, load(topic=None).topic) == ("flag", "env")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"topic": "a/b"}, "topic: "),
        ({"partitions": 0}, "partitions: "),
        ({"engine": "magic"}, "engine: .*'native' or 'mllib'"),
        ({"top_n": "many"}, "top_n: "),
        ({"refit_after_minutes": 0}, "refit_after_minutes: "),
        ({"broker_port": 65536}, "broker_port: "),
        ({"spark_memory": "lots"}, "spark_memory: "),
        ({"liked_from": 0.5}, "settings: .*liked_from 0.5 must be above rating_min 0.5"),
        ({"rating_min": 5, "rating_max": 5}, "settings: .*rating_min 5.0 must be below rating_max 5.0"),
    ],
)
def test_a_value_that_does_not_fit_is_named(given: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=f"{told}.*See `reelstream settings`"):
        load(**given)


def test_the_file_is_checked_as_the_flags_are(directory: Path) -> None:
    (directory / "reelstream.toml").write_text("topn = 5\n")
    with pytest.raises(UsageError, match="topn: "):
        load()
    (directory / "reelstream.toml").write_text("top_n = \n")
    with pytest.raises(UsageError, match=r"reelstream\.toml can't be read"):
        load()


def test_a_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REELSTREAM_KEEP_VERSIONS", "0")

    with pytest.raises(UsageError, match="keep_versions: "):
        load()


def test_a_child_process_gets_the_same_settings(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(
        warehouse=directory / "a b",
        topic="movies",
        engine="mllib",
        refit_after_minutes=0.5,
        broker_port=9092,
        command_config=directory / "client.properties",
    )

    for name, value in to_env(settings).items():
        monkeypatch.setenv(name, value)

    assert load() == settings
    assert "REELSTREAM_BOOTSTRAP_SERVERS" not in to_env(settings)  # not given is not the word "None"


def test_settings_never_change(directory: Path) -> None:
    with pytest.raises(ValidationError):
        load().topic = "other"  # type: ignore[misc]


def test_every_setting_says_what_it_is() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.rstrip().endswith((".", "…")), name
