from __future__ import annotations

from pathlib import Path

import pytest

from reelstream.broker import java


@pytest.fixture
def no_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any Java."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setenv("REELSTREAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(java, "usual_places", lambda: (tmp_path / "jvm",))
    monkeypatch.setattr(java, "_macos_homes", lambda: iter(()))
