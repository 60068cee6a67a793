from __future__ import annotations

from pathlib import Path

import pytest

from reelstream.broker import java
from reelstream.errors import MissingRequirement

pytestmark = pytest.mark.usefixtures("no_java")


def fake_java(
    home: Path, version: str, *, exit_code: int = 0, says_home: Path | None = None, has_module: bool = True
) -> Path:
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    said = (
        f'    java.home = {says_home}\nopenjdk version "{version}" 2025-01-01' if says_home else f'version "{version}"'
    )
    lacks = "" if has_module else 'case "$*" in *--add-modules*) exit 1;; esac\n'
    program.write_text(f"#!/bin/sh\n{lacks}/bin/cat >&2 <<'END'\n{said}\nEND\nexit {exit_code}\n")
    program.chmod(0o755)
    return program


def test_none_says_what_to_install() -> None:
    with pytest.raises(MissingRequirement, match=r"none was found; .* gets one; or install it") as caught:
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


def test_one_that_does_not_run_is_named_with_what_it_came_to(tmp_path: Path) -> None:
    broken = fake_java(tmp_path / "jvm" / "java-17", "17.0.1", exit_code=3)
    with pytest.raises(MissingRequirement, match=rf"none fits .{broken} does not run \(exit code 3\)"):
        java.find_java()
    broken.write_bytes(b"\x7fELF of another machine")
    with pytest.raises(MissingRequirement, match=rf"none fits .{broken} does not run \(Exec format error\)"):
        java.find_java()


def test_a_version_managers_script_leads_to_the_real_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = fake_java(tmp_path / "real", "17.0.1")
    shim = fake_java(tmp_path / "shims", "17.0.1", says_home=tmp_path / "real")
    monkeypatch.setenv("PATH", str(shim.parent))
    assert java.find_java() == real


def test_of_the_usual_places_and_what_was_fetched_the_newest_is_taken(tmp_path: Path) -> None:
    fake_java(tmp_path / "jvm" / "java-9", "9.0.1")
    fake_java(tmp_path / "jvm" / "a-java-21", "21.0.1")
    newest = fake_java(tmp_path / "cache" / "java" / "temurin-25", "25")
    fake_java(tmp_path / "jvm" / "z-java-17", "17.0.1")
    assert java.find_java() == newest


def test_an_old_java_on_path_beside_a_good_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(fake_java(tmp_path / "old", "11.0.22").parent))
    good = fake_java(tmp_path / "jvm" / "java-17", "17.0.1")
    assert java.find_java() == good


def test_a_runtime_without_the_module_that_spark_needs_does_not_fit(tmp_path: Path) -> None:
    lacking = fake_java(tmp_path / "jvm" / "java-21", "21.0.1", has_module=False)
    with pytest.raises(MissingRequirement, match=f"none fits .{lacking} has no module jdk.incubator.vector"):
        java.find_java()
    good = fake_java(tmp_path / "jvm" / "java-17", "17.0.1")
    assert java.find_java() == good
