"""The direction of imports, read from the sources, so that an import inside a function counts too."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT = {
    "reelstream": set(),
    "producer": {"reelstream"},
    "stream": {"reelstream"},
    "batch": {"reelstream"},
    "serve": {"reelstream", "producer"},
    "cli": {"reelstream", "producer", "stream", "batch", "serve"},
}
OURS = {*MAY_IMPORT, "bench", "tests"}


def modules(room: str) -> list[Path]:
    found = sorted((ROOT / room).rglob("*.py"))
    assert found, f"{room} has no module"
    return found


def imported(path: Path) -> Iterator[str]:
    """Names of the modules that the file imports, in full; a relative import as the package it means."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(), path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            yield ".".join([*above, *([node.module] if node.module else [])])


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_run_one_way(room: str) -> None:
    allowed = {room, *MAY_IMPORT[room]}
    against = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(room)
        for name in imported(path)
        if name.split(".")[0] in OURS - allowed
    }

    assert not against


def test_the_array_maths_knows_no_files_no_kafka_and_no_spark() -> None:
    ours = {"reelstream.als", "reelstream.errors"}
    allowed = {*sys.stdlib_module_names, "numpy", "numba", "llvmlite"}
    against = {
        f"{path.name} imports {name}"
        for path in modules("reelstream/als")
        for name in imported(path)
        if name.split(".")[0] not in allowed and ".".join(name.split(".")[:2]) not in ours
    }

    assert not against


def test_the_store_and_the_python_api_need_neither_kafka_nor_spark() -> None:
    files = [*modules("reelstream/store"), ROOT / "reelstream" / "recommender.py", ROOT / "reelstream" / "top_lists.py"]

    against = {
        f"{path.name} imports {n}" for path in files for n in imported(path) if n.split(".")[0] in ("kafka", "pyspark")
    }

    assert not against


def test_no_module_is_named_like_an_installed_library() -> None:
    """Such a module would hide the library, or be hidden by it, depending on the folder that Python starts in."""
    libraries = {*sys.stdlib_module_names, *packages_distributions()} - OURS
    top_level = {name for name in OURS if (ROOT / name).is_dir()}
    inner = {path.stem for room in MAY_IMPORT for path in modules(room) if path.stem != "__init__"}

    assert not top_level & libraries
    assert not inner & set(packages_distributions()) - OURS
