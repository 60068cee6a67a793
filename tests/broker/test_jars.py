from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from reelstream.broker import jars
from reelstream.errors import MissingRequirement

ESSENTIAL = [f"{name}-1.0.jar" for name in jars._BROKER.essential]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("REELSTREAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "jars"


@pytest.fixture
def ivy_runs(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Ivy replaced by one that writes small jars; the folders it wrote into."""
    runs: list[Path] = []

    def run(_wanted: Any, _java: Path, _ivy: Path, aside: Path, _resolved: Path, _lock_fd: int) -> None:
        runs.append(aside)
        for name in ESSENTIAL:
            (aside / name).write_bytes(b"jar")

    monkeypatch.setattr(jars, "_run_ivy", run)
    return runs


def test_both_sets_are_whole() -> None:
    broker = {jars._artifact(path) for path in jars.kafka_broker_jars()}
    assert broker >= set(jars._BROKER.essential)
    spark = {jars._artifact(path) for path in jars.spark_kafka_jars()}
    assert spark == set(jars._SPARK.essential)
    assert all(path.is_file() for path in jars.kafka_broker_jars() + jars.spark_kafka_jars())


def test_a_cached_set_needs_no_java_and_no_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cached = jars.kafka_broker_jars()

    def no_process(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", no_process)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert jars.kafka_broker_jars() == cached


def test_the_first_call_fetches_and_the_second_does_not(cache: Path, ivy_runs: list[Path]) -> None:
    said: list[str] = []
    first = jars.kafka_broker_jars(said.append)
    assert first == [cache / jars._BROKER.name / name for name in sorted(ESSENTIAL)]
    assert jars.kafka_broker_jars(said.append) == first
    assert len(ivy_runs) == 1
    assert said == [f"fetching Apache Kafka {jars.KAFKA_VERSION} (once; about half a minute) …"]
    assert not list(cache.glob("*.new-*"))


@pytest.mark.parametrize("damage", ["no listing", "half a listing", "short jar", "lost jar", "odd listing"])
def test_a_half_written_set_is_not_used(cache: Path, ivy_runs: list[Path], damage: str) -> None:
    folder = jars.kafka_broker_jars()[0].parent
    listing = folder / jars.LISTING
    if damage == "no listing":
        listing.unlink()
    elif damage == "half a listing":
        listing.write_text(listing.read_text()[:40])
    elif damage == "odd listing":
        listing.write_text("[]")
    elif damage == "short jar":
        (folder / ESSENTIAL[0]).write_bytes(b"")
    else:
        (folder / ESSENTIAL[0]).unlink()
    (cache / f"{jars._BROKER.name}.new-left").mkdir()
    assert [path.name for path in jars.kafka_broker_jars()] == sorted(ESSENTIAL)
    assert len(ivy_runs) == 2
    assert json.loads(listing.read_text()) == dict.fromkeys(sorted(ESSENTIAL), 3)
    assert not (cache / f"{jars._BROKER.name}.new-left").exists()


def test_two_at_once_fetch_once(cache: Path, ivy_runs: list[Path]) -> None:
    answers: list[list[Path]] = []
    threads = [threading.Thread(target=lambda: answers.append(jars.kafka_broker_jars())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ivy_runs) == 1
    assert answers == [answers[0]] * 4


def test_no_network_says_what_to_do_and_leaves_nothing_half(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(MissingRequirement, match="can't be fetched; check the network") as caught:
        jars.kafka_broker_jars()
    assert str(cache / f"{jars._BROKER.name}.log") in str(caught.value)
    assert not (cache / jars._BROKER.name).exists()
    assert not list(cache.glob("*.new-*"))


def test_a_full_disk_is_named_before_anything_is_fetched(
    cache: Path, ivy_runs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(10**12, 10**12, 50 * 2**20))
    with pytest.raises(MissingRequirement, match=r"has 50 MB left .* need 200 MB"):
        jars.kafka_broker_jars()
    assert ivy_runs == []


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("REELSTREAM_CACHE", str(tmp_path / "file"))
    with pytest.raises(MissingRequirement, match=r"can't be kept in .*; make it writable, or set REELSTREAM_CACHE"):
        jars.kafka_broker_jars()


@pytest.mark.parametrize(
    ("name", "artifact"),
    [
        ("kafka_2.13-4.2.2.jar", "kafka_2.13"),
        ("spark-sql-kafka-0-10_2.13-4.2.0.jar", "spark-sql-kafka-0-10_2.13"),
        ("zstd-jni-1.5.7-7.jar", "zstd-jni"),
        ("jackson-annotations-2.21.jar", "jackson-annotations"),
    ],
)
def test_artifact_of_a_file_name(name: str, artifact: str) -> None:
    assert jars._artifact(Path(name)) == artifact


def test_a_proxy_of_the_environment_is_passed_to_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.delenv("HTTP_PROXY", raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    assert jars._network_options()[2:] == ["-Dhttps.proxyHost=proxy.example", "-Dhttps.proxyPort=3128"]
