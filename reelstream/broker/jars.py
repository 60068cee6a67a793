"""The jars of the broker and of Spark's Kafka connector, fetched once into a cache of this user.

In: the Ivy jar that pyspark brings, and the network, the first time only. Out: lists of jar paths.
Next: `reelstream.broker.embedded` and `reelstream.spark_session`.

A set of jars is fetched aside and published by one rename, together with a listing of names and sizes; a folder
without a listing that fits is never used. `python -m reelstream.broker.jars` fetches both sets.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs

from reelstream.broker.java import find_java
from reelstream.errors import MissingRequirement

Progress = Callable[[str], None]

KAFKA_VERSION = "4.2.2"
SPARK_KAFKA_VERSION = "4.2.0"
NEEDED_MB = 200
FETCH_TIMEOUT_S = 900
LISTING = "listing.json"


@dataclass(frozen=True, slots=True)
class _JarSet:
    """`modules` are (organisation, module, revision, with its dependencies); `essential` are artifacts it must have."""

    name: str
    title: str
    modules: tuple[tuple[str, str, str, bool], ...]
    essential: tuple[str, ...]
    excluded_organisations: tuple[str, ...] = ()
    beside_pyspark: bool = False


_BROKER = _JarSet(
    name=f"kafka-{KAFKA_VERSION}",
    title=f"Apache Kafka {KAFKA_VERSION}",
    modules=(
        ("org.apache.kafka", "kafka_2.13", KAFKA_VERSION, True),
        # Kafka brings log4j's core but not its link to slf4j: without this one the broker logs nothing.
        ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.5", False),
    ),
    essential=("kafka_2.13", "kafka-server", "kafka-storage", "log4j-core", "log4j-slf4j-impl", "slf4j-api"),
)
_SPARK = _JarSet(
    name=f"spark-kafka-{SPARK_KAFKA_VERSION}",
    title=f"Spark's Kafka connector {SPARK_KAFKA_VERSION}",
    modules=(("org.apache.spark", "spark-sql-kafka-0-10_2.13", SPARK_KAFKA_VERSION, True),),
    essential=("spark-sql-kafka-0-10_2.13", "spark-token-provider-kafka-0-10_2.13", "kafka-clients", "commons-pool2"),
    excluded_organisations=("org.apache.hadoop", "org.scala-lang"),  # large, and pyspark has them
    beside_pyspark=True,
)


def kafka_broker_jars(progress: Progress | None = None) -> list[Path]:
    """The class path of the embedded broker; `progress` gets a line of text before each slow step.

    Raises MissingRequirement if the jars are not cached and cannot be fetched.
    """
    return _jars(_BROKER, progress)


def spark_kafka_jars(progress: Progress | None = None) -> list[Path]:
    """What `spark.jars` needs for the Kafka source, without the jars that pyspark has already.

    Raises MissingRequirement if the jars are not cached and cannot be fetched.
    """
    return _jars(_SPARK, progress)


def cache_folder() -> Path:
    """Where the jar sets are: the environment's REELSTREAM_CACHE, else the user's cache folder."""
    given = os.environ.get("REELSTREAM_CACHE")
    return (Path(given).expanduser().absolute() if given else platformdirs.user_cache_path("reelstream")) / "jars"


def _jars(wanted: _JarSet, progress: Progress | None) -> list[Path]:
    folder = cache_folder() / wanted.name
    published = _published(folder)
    if published:
        return published
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _lock(folder.parent / f"{wanted.name}.lock", progress) as lock_fd:
            return _published(folder) or _fetch(wanted, folder, lock_fd, progress)
    except OSError as error:
        raise MissingRequirement(
            f"the jars of {wanted.title} can't be kept in {folder.parent} ({error.strerror or error}); make it "
            "writable, or set REELSTREAM_CACHE to another one."
        ) from error


def _published(folder: Path) -> list[Path] | None:
    """The jars of a complete set, by name; None if there is no set or if it is not what its listing says."""
    try:
        listing = json.loads((folder / LISTING).read_text("utf-8"))
        if any((folder / name).stat().st_size != size_bytes for name, size_bytes in listing.items()):
            return None
    except (OSError, ValueError, AttributeError):
        return None
    return [folder / name for name in sorted(listing)] or None


@contextmanager
def _lock(path: Path, progress: Progress | None) -> Iterator[int]:
    """One fetch of a set at a time. Yields the lock's file descriptor."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _tell(progress, "waiting for another process that fetches the same jars …")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _fetch(wanted: _JarSet, folder: Path, lock_fd: int, progress: Progress | None) -> list[Path]:
    java, ivy = find_java(), _ivy_jar()
    free_mb = shutil.disk_usage(folder.parent).free // 2**20
    if free_mb < NEEDED_MB:
        raise MissingRequirement(
            f"{folder.parent} has {free_mb} MB left and the jars of {wanted.title} need {NEEDED_MB} MB; free some, or "
            "set REELSTREAM_CACHE to a folder on another disk."
        )
    for unfinished in folder.parent.glob(f"{wanted.name}.new-*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    _tell(progress, f"fetching {wanted.title} (once; about half a minute) …")
    aside = Path(tempfile.mkdtemp(prefix=f"{wanted.name}.new-", dir=folder.parent))
    resolved = folder.parent / f"{wanted.name}.ivy"  # kept after a failure: the next try goes on from there
    try:
        _run_ivy(wanted, java, ivy, aside, resolved, lock_fd)
        _publish(wanted, aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    shutil.rmtree(resolved, ignore_errors=True)
    published = _published(folder)
    if not published:
        raise MissingRequirement(f"{folder} was changed while it was written; delete it and try again.")
    return published


def _ivy_jar() -> Path:
    jars = sorted(_pyspark_jars().glob("ivy-*.jar"))
    if not jars:
        raise MissingRequirement(f"pyspark is incomplete: no ivy-*.jar in {_pyspark_jars()}; install pyspark again.")
    return jars[-1]


def _pyspark_jars() -> Path:
    spec = importlib.util.find_spec("pyspark")
    if not spec or not spec.origin:
        raise MissingRequirement("pyspark is not installed; install reelstream with its dependencies.")
    return Path(spec.origin).parent / "jars"


def _run_ivy(wanted: _JarSet, java: Path, ivy: Path, aside: Path, resolved: Path, lock_fd: int) -> None:
    """Resolves the set into `aside`. The child holds the lock too: if we are killed, no fetch starts beside it."""
    description, log = aside / "ivy.xml", aside.parent / f"{wanted.name}.log"
    description.write_text(_ivy_description(wanted), "utf-8")
    command = [str(java), *_network_options(), f"-Divy.default.ivy.user.dir={resolved}", "-jar", str(ivy)]
    command += ["-cache", str(resolved), "-ivy", str(description), "-confs", "default"]
    command += ["-types", "jar", "bundle", "-retrieve", f"{aside}/[artifact]-[revision].[ext]"]
    with log.open("wb") as said:
        try:
            code = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                timeout=FETCH_TIMEOUT_S,
                pass_fds=(lock_fd,),
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            code = -1
    missing = [name for name in wanted.essential if not list(aside.glob(f"{name}-[0-9]*.jar"))]
    if code or missing:
        raise MissingRequirement(
            f"the jars of {wanted.title} can't be fetched; check the network (HTTPS_PROXY is used if it is set) and "
            f"try again, or copy {aside.parent} from a machine that has them; all of it is in {log}."
        )
    log.unlink()
    description.unlink()


def _ivy_description(wanted: _JarSet) -> str:
    dependencies = "".join(
        f'<dependency org="{organisation}" name="{module}" rev="{revision}" conf="default-&gt;default" '
        f'transitive="{str(transitive).lower()}"/>'
        for organisation, module, revision, transitive in wanted.modules
    )
    excluded = "".join(f'<exclude org="{organisation}"/>' for organisation in wanted.excluded_organisations)
    return (
        f'<ivy-module version="2.0"><info organisation="reelstream" module="{wanted.name}"/>'
        '<configurations><conf name="default"/></configurations>'
        f"<dependencies>{dependencies}{excluded}</dependencies></ivy-module>"
    )


def _network_options() -> list[str]:
    """Java does not read HTTPS_PROXY; its timeouts are endless unless they are set."""
    options = ["-Dsun.net.client.defaultConnectTimeout=20000", "-Dsun.net.client.defaultReadTimeout=60000"]
    for scheme in ("https", "http"):
        given = os.environ.get(f"{scheme.upper()}_PROXY") or os.environ.get(f"{scheme}_proxy")
        proxy = urlsplit(given if "://" in given else f"http://{given}") if given else None
        if proxy and proxy.hostname:
            options += [f"-D{scheme}.proxyHost={proxy.hostname}", f"-D{scheme}.proxyPort={proxy.port or 80}"]
    return options


def _publish(wanted: _JarSet, aside: Path, folder: Path) -> None:
    """Leaves out what pyspark has, writes the listing, and puts the set in its place by one rename."""
    present = {_artifact(jar) for jar in _pyspark_jars().glob("*.jar")} if wanted.beside_pyspark else set()
    for jar in aside.glob("*.jar"):
        if _artifact(jar) in present:
            jar.unlink()
    sizes_bytes = {jar.name: jar.stat().st_size for jar in sorted(aside.glob("*.jar"))}
    (aside / LISTING).write_text(json.dumps(sizes_bytes, indent=1), "utf-8")
    for file in aside.iterdir():
        with file.open("rb") as written:
            os.fsync(written.fileno())
    aside.chmod(0o755)
    if folder.exists():  # damaged, else it would have been used
        folder.rename(folder.with_name(f"{wanted.name}.new-damaged-{time.time_ns()}"))
    aside.rename(folder)


def _artifact(jar: Path) -> str:
    return re.sub(r"-\d[^-]*(-\d+)?$", "", jar.stem)


def _tell(progress: Progress | None, line: str) -> None:
    if progress:
        progress(line)


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
