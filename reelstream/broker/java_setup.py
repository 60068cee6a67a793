"""Gets a Java where none is found that fits: by apt, as root on Debian or Ubuntu; else fetched into the user's cache.

In: nothing. Out: the path of a `java`. Next: `reelstream.broker.embedded` and Spark.

What is fetched is Eclipse Temurin, checked against the SHA-256 written below. It is unpacked aside and published by one
rename, so half a download is never used. `python -m reelstream.broker.java_setup` prints the path of the Java.
REELSTREAM_JAVA_MIRROR names another directory on the web that holds the same archive.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from reelstream.broker import apt
from reelstream.broker.java import fetched_javas, find_java
from reelstream.errors import MissingRequirement
from reelstream.store.locks import one_at_a_time

PACKAGES = ("openjdk-21-jre-headless", "openjdk-17-jre-headless", "openjdk-25-jre-headless")
VERSION, BUILD = "21.0.10", 7
SITE = f"https://github.com/adoptium/temurin21-binaries/releases/download/jdk-{VERSION}%2B{BUILD}"
MB = 1_000_000
UNPACKED_BYTES = 350 * MB
TELL_EVERY_S = 1.0


class Archive(NamedTuple):
    name: str
    size_bytes: int
    sha256: str


ARCHIVES = {
    ("linux", "x86_64"): Archive(
        f"OpenJDK21U-jdk_x64_linux_hotspot_{VERSION}_{BUILD}.tar.gz",
        207216881,
        "ea3b9bd464d6dd253e9a7accf59f7ccd2a36e4aa69640b7251e3370caef896a4",
    ),
    ("linux", "aarch64"): Archive(
        f"OpenJDK21U-jdk_aarch64_linux_hotspot_{VERSION}_{BUILD}.tar.gz",
        205360862,
        "357fee29fb0d5c079f6730db98b28942df13a6eed426f6c61cd4ad703ab27b9a",
    ),
    ("darwin", "x86_64"): Archive(
        f"OpenJDK21U-jdk_x64_mac_hotspot_{VERSION}_{BUILD}.tar.gz",
        194134523,
        "7484d5d4cdb02fc17a842ab86ddac2524a0365066659c46b2e258c64152379cd",
    ),
    ("darwin", "arm64"): Archive(
        f"OpenJDK21U-jdk_aarch64_mac_hotspot_{VERSION}_{BUILD}.tar.gz",
        199896082,
        "01ca390455216ca27bdddf8cfad51aaedb4f90e1e23aad9bfd9e90caaa2c5f1b",
    ),
}


def ensure_java(tell: Callable[[str], None]) -> Path:
    """The Java that `find_java` finds, or one that is installed or fetched now. `tell` gets lines on what is going on.

    Raises MissingRequirement that says what to do where none can be had.
    """
    try:
        return find_java()
    except MissingRequirement as missing:
        not_installed = apt.install(PACKAGES, tell)
        if not not_installed:
            return find_java()
        try:
            _fetch(tell)
        except MissingRequirement as not_fetched:
            raise MissingRequirement(f"{missing} Here, {not_installed}, and {not_fetched}") from not_fetched
        return find_java()


def _fetch(tell: Callable[[str], None]) -> None:
    archive = ARCHIVES.get((sys.platform, platform.machine()))
    if not archive:
        raise MissingRequirement(f"there is none to fetch for {sys.platform} on {platform.machine()}.")
    directory = fetched_javas()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(directory / "fetch.lock"):
            if not (directory / f"temurin-{VERSION}").exists():  # another process may have fetched it meanwhile
                _fetch_into(directory, archive, tell)
    except OSError as error:
        raise MissingRequirement(
            f"it can't be kept in {directory} ({error.strerror or error}): free some space, make it writable, or set "
            "REELSTREAM_CACHE to another directory."
        ) from error


def _fetch_into(directory: Path, archive: Archive, tell: Callable[[str], None]) -> None:
    import cjdk

    for half in directory.glob("new-*"):  # of a process that was killed
        shutil.rmtree(half, ignore_errors=True)
    needed_bytes, free_bytes = archive.size_bytes + UNPACKED_BYTES, shutil.disk_usage(directory).free
    if free_bytes < needed_bytes:
        raise MissingRequirement(
            f"{directory} has {free_bytes // MB} MB left and it needs {needed_bytes // MB} MB: free some, or set "
            "REELSTREAM_CACHE to a directory on another disk."
        )
    site = os.environ.get("REELSTREAM_JAVA_MIRROR", SITE).rstrip("/")
    tell(f"fetching Java {VERSION} (Eclipse Temurin), {archive.size_bytes / MB:.0f} MB, once, into {directory} …")
    with tempfile.TemporaryDirectory(prefix="new-", dir=directory) as aside, _progress(Path(aside), archive, tell):
        try:
            unpacked = cjdk.cache_package(
                "Java", f"tgz+{site}/{archive.name}", sha256=archive.sha256, cache_dir=Path(aside), progress=False
            )
        except cjdk.CjdkError as error:
            raise MissingRequirement(
                f"it can't be fetched from {site} ({error}): check the network, or set REELSTREAM_JAVA_MIRROR."
            ) from error
        (home,) = (path for path in unpacked.iterdir() if path.is_dir())
        home.rename(directory / f"temurin-{VERSION}")


@contextmanager
def _progress(aside: Path, archive: Archive, tell: Callable[[str], None]) -> Iterator[None]:
    """Has the archive written into `aside`, on the disk of the cache, and tells how much of it is still to come."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(TELL_EVERY_S):
            got_bytes = sum(path.stat().st_size for path in aside.glob("cjdk-*/archive.*"))
            left_bytes = archive.size_bytes - got_bytes
            tell(
                f"Java: {left_bytes / MB:.0f} of {archive.size_bytes / MB:.0f} MB left"
                if left_bytes
                else "Java: unpacking"
            )

    before, tempfile.tempdir = tempfile.tempdir, str(aside)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        tempfile.tempdir = before
        done.set()
        watcher.join()


def main() -> int:
    def tell(line: str) -> None:
        sys.stderr.write(f"{line}\n")

    try:
        java = ensure_java(tell)
    except MissingRequirement as missing:
        tell(f"reelstream: {missing}")
        return missing.exit_code
    sys.stdout.write(f"{java}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
