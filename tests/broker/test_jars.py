from __future__ import annotations

import hashlib
import shutil
import subprocess
import threading
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from reelstream.broker import jars
from reelstream.errors import MissingRequirement
from tests.broker.file_server import FileServer

CONTENT = {"kafka_2.13": b"one jar" * 100, "kafka-clients": b"another jar" * 100}
PATHS = {name: f"/org/apache/kafka/{name}/1.0/{name}-1.0.jar" for name in CONTENT}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("REELSTREAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "jars"


@pytest.fixture
def repository(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A Maven repository of the test's own, with the two jars that are locked; failures are retried at once."""
    monkeypatch.setattr(jars, "RETRY_S", (0.0, 0.0))
    files = {PATHS[name]: content for name, content in CONTENT.items()}
    files |= {f"{path}.sha1": hashlib.sha1(content).hexdigest().encode() for path, content in files.items()}
    locked = tuple(
        jars.Jar("org.apache.kafka", name, "1.0", len(content), hashlib.sha256(content).hexdigest())
        for name, content in CONTENT.items()
    )
    monkeypatch.setattr(jars, "locked", lambda _name: locked)
    with FileServer(files, None).running() as running:
        monkeypatch.setenv("REELSTREAM_MAVEN", running.url)
        yield running


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_both_sets_are_whole_and_what_was_locked() -> None:
    for name, paths in ((jars.BROKER, jars.kafka_broker_jars()), (jars.SPARK_CONNECTOR, jars.spark_kafka_jars())):
        by_name = {jar.file_name: jar.sha256 for jar in jars.locked(name)}
        assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths} == by_name
    assert {"kafka_2.13", "log4j-slf4j-impl"} <= {jar.artifact for jar in jars.locked(jars.BROKER)}
    assert {jar.artifact for jar in jars.locked(jars.SPARK_CONNECTOR)} == {
        *("spark-sql-kafka-0-10_2.13", "spark-token-provider-kafka-0-10_2.13", "kafka-clients", "commons-pool2")
    }


def test_a_cached_set_needs_no_java_and_no_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cached = jars.kafka_broker_jars()

    def no_process(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", no_process)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert jars.kafka_broker_jars() == cached


def test_the_first_call_fetches_and_the_second_does_not(cache: Path, repository: FileServer) -> None:
    said: list[str] = []
    first = jars.kafka_broker_jars(said.append)
    assert [path.parent for path in first] == [cache / jars.BROKER] * 2
    assert jars.kafka_broker_jars(said.append) == first
    assert {repository.asked[path] for path in PATHS.values()} == {1}
    assert said[0].startswith("fetching Apache Kafka 4.2.2, ")
    assert sorted(path.name for path in cache.iterdir()) == [jars.BROKER, f"{jars.BROKER}.lock"]


@pytest.mark.parametrize("damage", ["short jar", "lost jar", "lost directory"])
def test_a_damaged_set_is_fetched_again(cache: Path, repository: FileServer, damage: str) -> None:
    path = jars.kafka_broker_jars()[0]
    if damage == "short jar":
        path.write_bytes(b"")
    elif damage == "lost jar":
        path.unlink()
    else:
        shutil.rmtree(path.parent)
    assert names(jars.kafka_broker_jars()) == ["kafka-clients-1.0.jar", "kafka_2.13-1.0.jar"]
    assert path.read_bytes() == CONTENT["kafka-clients"]


def test_half_a_download_is_not_used_and_the_whole_jars_are_kept(cache: Path, repository: FileServer) -> None:
    repository.cut.add(PATHS["kafka-clients"])
    with pytest.raises(MissingRequirement, match=r"kafka-clients-1.0.jar can't be fetched"):
        jars.kafka_broker_jars()
    assert not (cache / jars.BROKER).exists()
    repository.cut.clear()
    jars.kafka_broker_jars()
    assert (repository.asked[PATHS["kafka_2.13"]], repository.asked[PATHS["kafka-clients"]]) == (1, 4)


def test_a_failure_that_passes_is_retried(repository: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.late.add(PATHS["kafka-clients"])
    monkeypatch.setattr(jars, "RETRY_S", (0.1,))
    assert names(jars.kafka_broker_jars()) == ["kafka-clients-1.0.jar", "kafka_2.13-1.0.jar"]
    assert repository.asked[PATHS["kafka-clients"]] == 2


def test_a_jar_that_is_not_the_locked_one_is_refused(cache: Path, repository: FileServer) -> None:
    path = PATHS["kafka_2.13"]
    repository.files[path] = b"something else"
    repository.files[f"{path}.sha1"] = hashlib.sha1(b"something else").hexdigest().encode()
    with pytest.raises(MissingRequirement, match=r"kafka_2.13-1.0.jar can't be fetched .*not the jar that jars.lock"):
        jars.kafka_broker_jars()
    assert not (cache / jars.BROKER).exists()


def test_two_at_once_fetch_once(repository: FileServer) -> None:
    answers: list[list[Path]] = []
    threads = [threading.Thread(target=lambda: answers.append(jars.kafka_broker_jars())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {repository.asked[path] for path in PATHS.values()} == {1}
    assert answers == [answers[0]] * 4


def test_no_network_says_what_to_do_and_leaves_nothing_half(
    cache: Path, repository: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REELSTREAM_MAVEN", "http://127.0.0.1:9")
    with pytest.raises(MissingRequirement, match=r"can't be fetched .*check the network .* REELSTREAM_MAVEN"):
        jars.kafka_broker_jars()
    assert not (cache / jars.BROKER).exists()


def test_a_full_disk_is_named_before_anything_is_fetched(
    repository: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(10**12, 10**12, 1000))
    with pytest.raises(MissingRequirement, match=r"has 0 MB left .* free some, or set REELSTREAM_CACHE"):
        jars.kafka_broker_jars()
    assert not repository.asked


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("REELSTREAM_CACHE", str(tmp_path / "file"))
    with pytest.raises(MissingRequirement, match=r"can't be kept in .* make it writable, or set REELSTREAM_CACHE"):
        jars.kafka_broker_jars()
