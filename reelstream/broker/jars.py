"""The jars of the broker and of Spark's Kafka connector, fetched once into a cache of this user.

In: `jars.lock`, which names every jar with its size and SHA-256, and a Maven repository, the first time only. Out: lists of
jar paths. Next: `reelstream.broker.embedded` and `stream/run.py`.

The jars of a set are fetched side by side into a directory aside, checked, and published by one rename; a directory in
which a jar is missing or has another size is never used. `python -m reelstream.broker.jars` fetches both sets.
REELSTREAM_MAVEN names another repository than Maven Central, such as a company's mirror.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from reelstream.broker.cache_directory import cache_directory
from reelstream.errors import MissingRequirement
from reelstream.store.locks import one_at_a_time

if TYPE_CHECKING:
    from jgo.maven import MavenContext, Resolver

Progress = Callable[[str], None]

BROKER = "kafka-4.2.2"
SPARK_CONNECTOR = "spark-kafka-4.2.0"
TITLES = {BROKER: "Apache Kafka 4.2.2", SPARK_CONNECTOR: "Spark's Kafka connector 4.2.0"}
LOCK = Path(__file__).with_name("jars.lock")
AT_ONCE = 8
TIMEOUT_S = 30
TELL_EVERY_S = 1.0
RETRY_S = (0.5, 2.0)
"""Seconds before the next tries of a jar."""

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Jar:
    group: str
    artifact: str
    version: str
    size_bytes: int
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def kafka_broker_jars(progress: Progress | None = None) -> list[Path]:
    """The class path of the embedded broker; `progress` gets a line of text at the start of a download and every second.

    Raises MissingRequirement if the jars are not cached and cannot be fetched.
    """
    return _cached_or_fetched(BROKER, progress)


def spark_kafka_jars(progress: Progress | None = None) -> list[Path]:
    """What `spark.jars` needs for the Kafka source, without the jars that pyspark has already.

    Raises MissingRequirement if the jars are not cached and cannot be fetched.
    """
    return _cached_or_fetched(SPARK_CONNECTOR, progress)


@cache
def locked(name: str) -> tuple[Jar, ...]:
    """The jars of a set, as `jars.lock` lists them."""
    sections = LOCK.read_text("utf-8").split("\n[")
    lines = next(section for section in sections if section.startswith(f"{name}]")).splitlines()[1:]
    return tuple(_jar(line) for line in lines if line)


def _jar(line: str) -> Jar:
    coordinates, size_bytes, sha256 = line.split()
    group, artifact, version = coordinates.split(":")
    return Jar(group, artifact, version, int(size_bytes), sha256)


def maven(cache: Path, resolver: Resolver | None = None) -> MavenContext:
    """Maven Central, or the repository that REELSTREAM_MAVEN names; what it downloads goes into `cache`."""
    from jgo.maven import MavenContext

    mirror = os.environ.get("REELSTREAM_MAVEN")
    remote = {"mirror": mirror.rstrip("/")} if mirror else None
    return MavenContext(resolver=resolver, repo_cache=cache, remote_repos=remote, timeout=TIMEOUT_S)


def _cached_or_fetched(name: str, progress: Progress | None) -> list[Path]:
    directory = cache_directory() / "jars" / name
    if _is_complete(directory, name):
        return _paths(directory, name)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        tell = progress or (lambda _line: None)
        waiting = "waiting for another process that fetches the same jars …"
        with one_at_a_time(directory.parent / f"{name}.lock", lambda: tell(waiting)):
            if not _is_complete(directory, name):
                _fetch(name, directory, tell)
    except OSError as error:
        raise MissingRequirement(
            f"the jars of {TITLES[name]} can't be kept in {directory.parent} ({error.strerror or error}); free some space, "
            "make it writable, or set REELSTREAM_CACHE to another directory."
        ) from error
    return _paths(directory, name)


def _paths(directory: Path, name: str) -> list[Path]:
    return sorted(directory / jar.file_name for jar in locked(name))


def _is_complete(directory: Path, name: str) -> bool:
    try:
        return all((directory / jar.file_name).stat().st_size == jar.size_bytes for jar in locked(name))
    except OSError:
        return False


def _fetch(name: str, directory: Path, progress: Progress) -> None:
    """What an earlier try has fetched is not fetched again."""
    aside = directory.with_name(f"{name}.new")
    aside.mkdir(exist_ok=True)
    missing = [jar for jar in locked(name) if not _is_intact(aside / jar.file_name, jar)]
    left_bytes = total_bytes = sum(jar.size_bytes for jar in missing)
    free_bytes = shutil.disk_usage(aside).free
    if free_bytes < 2 * total_bytes:
        raise MissingRequirement(
            f"{directory.parent} has {free_bytes // MB} MB left and the jars of {TITLES[name]} need "
            f"{2 * total_bytes // MB} MB; free some, or set REELSTREAM_CACHE to a directory on another disk."
        )
    progress(f"fetching {TITLES[name]}, {total_bytes / MB:.0f} MB, once …")
    told_at = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        fetched = {pool.submit(_fetch_jar, jar, aside): jar for jar in missing}
        try:
            for done in as_completed(fetched):
                done.result()
                left_bytes -= fetched[done].size_bytes
                if time.monotonic() - told_at > TELL_EVERY_S:
                    told_at = time.monotonic()
                    progress(f"{TITLES[name]}: {left_bytes / MB:.0f} of {total_bytes / MB:.0f} MB left")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    shutil.rmtree(aside / "maven", ignore_errors=True)
    if directory.exists():  # incomplete, else it would have been used
        shutil.rmtree(directory)
    aside.rename(directory)


def _fetch_jar(jar: Jar, aside: Path) -> None:
    """Raises MissingRequirement if the repository does not answer, or answers with another jar, each time it is tried."""
    for wait_s in RETRY_S:
        try:
            _fetch_once(jar, aside)
        except MissingRequirement:
            time.sleep(wait_s)
        else:
            return
    _fetch_once(jar, aside)


def _fetch_once(jar: Jar, aside: Path) -> None:
    from requests import RequestException

    artifact = maven(aside / "maven").project(jar.group, jar.artifact).at_version(jar.version).artifact()
    half = artifact.cached_path
    if half:
        half.unlink(missing_ok=True)  # of a process that was killed
    try:
        fetched = artifact.resolve()
    except (RuntimeError, RequestException) as error:  # the repository has it not; the network fails
        raise _not_fetched(jar, str(error)) from error
    if not _is_intact(fetched, jar):
        fetched.unlink()
        raise _not_fetched(jar, "what was sent is not the jar that jars.lock describes")
    with fetched.open("rb") as written:
        os.fsync(written.fileno())
    fetched.rename(aside / jar.file_name)


def _is_intact(path: Path, jar: Jar) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == jar.sha256
    except OSError:
        return False


def _not_fetched(jar: Jar, why: str) -> MissingRequirement:
    return MissingRequirement(
        f"{jar.file_name} can't be fetched ({why.splitlines()[0][:200] if why else 'no reason given'}); check the network "
        "(HTTPS_PROXY is used if it is set, REELSTREAM_MAVEN names a mirror) and try again, or copy "
        f"{cache_directory() / 'jars'} from a machine that has it."
    )


def _fetch_all() -> int:
    def say(line: str) -> None:
        sys.stderr.write(f"{line}\n")

    try:
        kafka_broker_jars(say)
        spark_kafka_jars(say)
    except MissingRequirement as missing:
        say(f"reelstream: {missing}")
        return missing.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(_fetch_all())
