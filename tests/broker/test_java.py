from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from reelstream.broker import java
from reelstream.errors import MissingRequirement


@pytest.fixture(autouse=True)
def _no_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any Java."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(java, "usual_places", lambda: (tmp_path / "jvm",))
    monkeypatch.setattr(java, "_macos_homes", lambda: iter(()))


def fake_java(home: Path, version: str, *, exit_code: int = 0, says_home: Path | None = None) -> Path:
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    said = (
        f'    java.home = {says_home}\nopenjdk version "{version}" 2025-01-01' if says_home else f'version "{version}"'
    )
    program.write_text(f"#!/bin/sh\n/bin/cat >&2 <<'END'\n{said}\nEND\nexit {exit_code}\n")
    program.chmod(0o755)
    return program


def test_none_says_what_to_install() -> None:
    with pytest.raises(MissingRequirement, match="none was found; install it") as caught:
        java.find_java()
    for words in ("apt install", "dnf install", "brew install", "JAVA_HOME"):
        assert words in str(caught.value)


@pytest.mark.parametrize(("version", "major"), [("1.8.0_392", 8), ("11.0.22", 11)])
def test_too_old_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, major: int) -> None:
    old = fake_java(tmp_path / "old", version)
    monkeypatch.setenv("PATH", str(old.parent))
    with pytest.raises(MissingRequirement, match=f"{old} is Java {major}"):
        java.find_java()


def test_java_home_is_first_then_path_then_the_usual_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = fake_java(tmp_path / "jvm" / "java-17", "17.0.1")
    assert java.find_java() == usual.resolve()
    on_path = fake_java(tmp_path / "other", "21")
    monkeypatch.setenv("PATH", str(on_path.parent))
    assert java.find_java() == on_path.resolve()
    home = fake_java(tmp_path / "home", "25-ea")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert java.find_java() == home.resolve()


def test_an_old_or_broken_java_home_does_not_hide_a_good_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_java(tmp_path / "home", "17.0.1", exit_code=1)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    good = fake_java(tmp_path / "jvm" / "java-17", "17.0.1")
    assert java.find_java() == good.resolve()


def test_a_version_managers_script_leads_to_the_real_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = fake_java(tmp_path / "real", "17.0.1")
    shim = fake_java(tmp_path / "shims", "17.0.1", says_home=tmp_path / "real")
    monkeypatch.setenv("PATH", str(shim.parent))
    assert java.find_java() == real


def test_the_set_up_can_run_the_file_by_its_path(tmp_path: Path) -> None:
    good = fake_java(tmp_path / "home", "17.0.1")
    command = [sys.executable, "-I", java.__file__]
    ran = subprocess.run(command, env={"JAVA_HOME": str(good.parents[1])}, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
