"""What is read from a requirements file and from uv's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import packages

REQUIREMENTS = Path(__file__).parents[2] / "requirements"


@pytest.mark.parametrize("name", ["demo.txt", "dev.txt"])
def test_wheels_are_all_but_what_is_built(name: str) -> None:
    whole = (REQUIREMENTS / name).read_text()
    wheels = packages.without_sources(whole)
    missing = {line.partition("==")[0] for line in set(whole.splitlines()) - set(wheels.splitlines()) if "==" in line}
    assert missing == set(packages.SOURCES_MB)
    assert wheels.count("--hash") < whole.count("--hash")


def test_what_the_set_up_starts_with_has_the_pins_of_the_others() -> None:
    pins = [
        {line.split()[0] for line in (REQUIREMENTS / name).read_text().splitlines() if "==" in line}
        for name in ("bootstrap.txt", "demo.txt", "run.txt", "dev.txt")
    ]
    assert all(some <= pins[-1] for some in pins)


def test_what_is_left_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    left: dict[str, str] = {}
    for line in (
        "Resolved 49 packages in 5.50s",
        "Downloading llvmlite (56.9MiB)",
        "Downloading numba (3.7MiB)",
        "Downloaded numba",
        "Building pyspark==4.2.0",
        "Installed 49 packages in 224ms",
        "+ numba==0.68.1",
    ):
        packages.note(line, left)
    assert capsys.readouterr().err.splitlines() == [
        "49 packages",
        "1 downloads left: llvmlite 56.9MB",
        "2 downloads left: llvmlite 56.9MB, numba 3.7MB",
        "1 downloads left: llvmlite 56.9MB",
        "building pyspark",
        "49 installed",
    ]
    assert left == {"llvmlite": "56.9MiB".replace("iB", "B")}


def test_the_index_that_pip_is_set_to_is_uvs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV_DEFAULT_INDEX", raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    assert packages.as_pip_is_set()["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://other.example/simple")
    assert "UV_DEFAULT_INDEX" not in packages.as_pip_is_set()
