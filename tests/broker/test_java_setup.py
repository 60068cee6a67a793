"""A Java is got where there is none: by apt where that may be, else fetched, here from a web server of the test's own."""

from __future__ import annotations

import hashlib
import io
import platform
import shutil
import ssl
import sys
import tarfile
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from reelstream.broker import apt, java_setup
from reelstream.errors import MissingRequirement
from tests.broker.file_server import FileServer

A_JAVA = b"#!/bin/sh\n/bin/echo 'version \"21.0.10\" 2026-01-20' >&2\n"
ARCHIVE = "jdk.tar.gz"


pytestmark = pytest.mark.usefixtures("no_java")


@pytest.fixture(autouse=True)
def _not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reelstream.broker.apt.geteuid", lambda: 1000)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """Serves an archive with a Java, whose SHA-256 is the one that is pinned."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        entry = tarfile.TarInfo("jdk-21.0.10+7/bin/java")
        entry.size, entry.mode = len(A_JAVA), 0o755
        tar.addfile(entry, io.BytesIO(A_JAVA))
    content = packed.getvalue()
    pinned = java_setup.Archive(ARCHIVE, len(content), hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(java_setup, "ARCHIVES", {(sys.platform, platform.machine()): pinned})
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    with FileServer({f"/{ARCHIVE}": content}, context).running() as running:
        monkeypatch.setenv("REELSTREAM_JAVA_MIRROR", running.url)
        yield running


def fetched(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache" / "java").iterdir() if path.is_dir())


def test_one_that_is_there_is_taken_and_nothing_is_said(tmp_path: Path, server: FileServer) -> None:
    there = tmp_path / "jvm" / "java-17" / "bin" / "java"
    there.parent.mkdir(parents=True)
    there.write_bytes(A_JAVA)
    there.chmod(0o755)
    said: list[str] = []
    assert java_setup.ensure_java(said.append) == there
    assert said == []
    assert not server.asked


def test_it_is_fetched_once_into_the_cache(tmp_path: Path, server: FileServer) -> None:
    said: list[str] = []
    first = java_setup.ensure_java(said.append)
    assert first == tmp_path / "cache" / "java" / "temurin-21.0.10" / "bin" / "java"
    assert "fetching Java 21.0.10 (Eclipse Temurin)" in said[0]
    assert java_setup.ensure_java(said.append) == first
    assert server.asked == {f"/{ARCHIVE}": 1}
    assert fetched(tmp_path) == ["temurin-21.0.10"]


def test_another_archive_than_the_pinned_one_is_refused(tmp_path: Path, server: FileServer) -> None:
    server.files[f"/{ARCHIVE}"] += b"more"
    with pytest.raises(MissingRequirement, match=r"can't be fetched from https://localhost:.* check the network"):
        java_setup.ensure_java(lambda _line: None)
    assert fetched(tmp_path) == []


def test_half_a_download_is_not_used_and_the_next_try_fetches_all(tmp_path: Path, server: FileServer) -> None:
    server.cut.add(f"/{ARCHIVE}")
    with pytest.raises(MissingRequirement, match="can't be fetched"):
        java_setup.ensure_java(lambda _line: None)
    assert fetched(tmp_path) == []
    (tmp_path / "cache" / "java" / "new-killed").mkdir()
    server.cut.clear()
    java_setup.ensure_java(lambda _line: None)
    assert fetched(tmp_path) == ["temurin-21.0.10"]


def test_no_network_is_one_sentence_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REELSTREAM_JAVA_MIRROR", "https://127.0.0.1:9")
    with pytest.raises(MissingRequirement) as caught:
        java_setup.ensure_java(lambda _line: None)
    for words in ("none was found", "apt install", "has no apt-get", "check the network", "REELSTREAM_JAVA_MIRROR"):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_named_before_anything_is_fetched(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(10**12, 10**12, 50_000_000))
    with pytest.raises(
        MissingRequirement, match=r"has 50 MB left and it needs 350 MB: free some, or set REELSTREAM_CACHE"
    ):
        java_setup.ensure_java(lambda _line: None)
    assert not server.asked


@pytest.fixture
def apt_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root on a Debian whose apt knows openjdk-17 alone; the file holds what it was asked for."""
    log, programs = tmp_path / "apt.log", tmp_path / "path"
    programs.mkdir()
    (programs / "apt-cache").write_text('#!/bin/sh\n[ "$2" = openjdk-17-jre-headless ] && echo "Package: $2"\n')
    home = tmp_path / "jvm" / "java-17"
    (programs / "apt-get").write_text(
        f'#!/bin/sh\necho "$*" >>{log}\n/bin/mkdir -p {home}/bin\n/bin/cat >{home}/bin/java <<"END"\n{A_JAVA.decode()}END\n'
        f"/bin/chmod 755 {home}/bin/java\n"
    )
    for program in programs.iterdir():
        program.chmod(0o755)
    monkeypatch.setattr("reelstream.broker.apt.geteuid", lambda: 0)
    monkeypatch.delenv(apt.FORBIDDEN, raising=False)
    return log


def test_root_on_debian_has_it_installed_and_is_told_so(tmp_path: Path, apt_get: Path, server: FileServer) -> None:
    said: list[str] = []
    assert java_setup.ensure_java(said.append) == tmp_path / "jvm" / "java-17" / "bin" / "java"
    assert said == ["installing openjdk-17-jre-headless on this system by apt (REELSTREAM_NO_INSTALL=1 forbids it) …"]
    assert apt_get.read_text().endswith("install -y --no-install-recommends openjdk-17-jre-headless\n")
    assert not server.asked


def test_what_is_forbidden_is_not_installed(
    tmp_path: Path, apt_get: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(apt.FORBIDDEN, "1")
    assert "temurin" in str(java_setup.ensure_java(lambda _line: None))
    assert not apt_get.exists()
    assert server.asked


def test_who_is_not_root_installs_nothing(apt_get: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reelstream.broker.apt.geteuid", lambda: 1000)
    assert "temurin" in str(java_setup.ensure_java(lambda _line: None))
    assert not apt_get.exists()
