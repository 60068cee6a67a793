"""The direction of imports, read from the sources, so that an import inside a function counts too."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STAGES = ("producer", "stream", "batch", "serve", "cli")
"""Directories at the top of the repository that are packages in `reelstream`, by a symlink."""
CORE = ("reelstream.als", "reelstream.store", "reelstream.api", "reelstream.kafka_io", "reelstream.broker")
MAY_IMPORT = {
    "reelstream": {"reelstream.broker", "reelstream.als", "reelstream.store"},  # the modules that all share
    "reelstream.als": {"reelstream"},
    "reelstream.store": {"reelstream", "reelstream.als"},
    "reelstream.kafka_io": {"reelstream", "reelstream.store"},
    "reelstream.broker": {"reelstream", "reelstream.kafka_io", "reelstream.store"},
    "reelstream.api": {"reelstream", "reelstream.als", "reelstream.store", "reelstream.broker"},
    "reelstream.producer": {"reelstream", *CORE},
    "reelstream.stream": {"reelstream", *CORE},
    "reelstream.batch": {"reelstream", *CORE},
    "reelstream.serve": {"reelstream", *CORE, "reelstream.producer"},
    "reelstream.cli": {"reelstream", *CORE, *(f"reelstream.{stage}" for stage in STAGES)},
}
KAFKA = ("reelstream.kafka_io", "reelstream.broker", "reelstream.producer", "reelstream.stream")
SPARK = (
    "reelstream.stream",
    "reelstream.spark_session",
    "reelstream.batch.engines.mllib",
    "reelstream.batch.evaluation.trial_jobs",  # the trials of a tune run over Spark
)
NEED_NO_KAFKA_AND_NO_SPARK = ("reelstream.als", "reelstream.store", "reelstream.api")


def name_of(path: Path) -> str:
    """The module's name in imports: `stream/parse.py` is `reelstream.stream.parse`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return ".".join(["reelstream", *parts] if parts[0] in STAGES else parts)


def modules(*directories: str) -> dict[str, Path]:
    found = {name_of(path): path for directory in directories for path in sorted((ROOT / directory).rglob("*.py"))}
    assert len(found) > len(directories)
    return found


PRODUCT = modules("reelstream", *STAGES)
BENCH, TESTS = modules("bench"), modules("tests")


def room_of(module: str) -> str:
    """The longest of the rooms that the module is in."""
    return max((room for room in MAY_IMPORT if f"{module}.".startswith(f"{room}.")), key=len)


def statements(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """All imports but those that only a type checker sees."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        yield from statements(node)


def imported(path: Path) -> set[str]:
    """Names of the modules that the file imports, in full; of what a name is taken from, the module that holds it."""
    known = PRODUCT | BENCH | TESTS
    names: set[str] = set()
    for node in statements(ast.parse(path.read_text("utf-8"), path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
            continue
        package = path.relative_to(ROOT).parent.parts
        above = package[: len(package) - node.level + 1] if node.level else ()
        origin = ".".join([*above, *([node.module] if node.module else [])])
        for alias in node.names:
            inner = f"{origin}.{alias.name}"
            names.add(inner if inner in known else origin)
    return names


IMPORTS = {module: imported(path) for module, path in (PRODUCT | BENCH | TESTS).items()}


def under(module: str, rooms: tuple[str, ...]) -> bool:
    return any(f"{module}.".startswith(f"{room}.") for room in rooms)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_run_one_way(room: str) -> None:
    inside = [module for module in PRODUCT if room_of(module) == room and module != "reelstream.__main__"]
    against = {
        f"{module} imports {name}"
        for module in inside
        for name in IMPORTS[module]
        if name.split(".")[0] in ("bench", "tests", "docs")
        or (name.split(".")[0] == "reelstream" and room_of(name) not in {room, *MAY_IMPORT[room]})
    }

    assert inside
    assert not against


def test_no_module_imports_one_that_leads_back_to_it() -> None:
    """Each module after all that it imports: there is such an order only where there is no circle."""
    graph = {module: IMPORTS[module] - {module} for module in PRODUCT | BENCH | TESTS}

    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


def test_there_is_one_name_for_each_module() -> None:
    """`import stream` would be a second copy of `reelstream.stream`, or another package of that name."""
    bare = {
        f"{module} imports {name}"
        for module, names in IMPORTS.items()
        for name in names
        if name.split(".")[0] in STAGES
    }

    assert not bare
    for stage in STAGES:
        assert (ROOT / "reelstream" / stage).readlink() == Path("..") / stage


@pytest.mark.parametrize(("library", "rooms"), [("kafka", KAFKA), ("pyspark", SPARK), ("py4j", SPARK)])
def test_kafka_and_spark_are_imported_in_their_rooms_alone(library: str, rooms: tuple[str, ...]) -> None:
    users = {module for module in PRODUCT if any(name.split(".")[0] == library for name in IMPORTS[module])}

    assert users
    assert not {module for module in users if not under(module, rooms)}


def test_the_array_maths_knows_no_files_no_kafka_and_no_spark() -> None:
    allowed = {*sys.stdlib_module_names, "numpy", "numba", "llvmlite"}
    against = {
        f"{module} imports {name}"
        for module in PRODUCT
        if under(module, ("reelstream.als",))
        for name in IMPORTS[module]
        if name.split(".")[0] not in allowed and not under(name, ("reelstream.als", "reelstream.errors"))
    }

    assert not against


def test_the_store_and_the_python_api_need_neither_kafka_nor_spark() -> None:
    inside = [module for module in PRODUCT if under(module, NEED_NO_KAFKA_AND_NO_SPARK)]
    against = {
        f"{module} imports {name}"
        for module in [*inside, "reelstream.top_lists"]
        for name in IMPORTS[module]
        if name.split(".")[0] in ("kafka", "pyspark")
    }

    assert not against


def test_no_test_imports_a_bench() -> None:
    against = {
        f"{module} imports {name}" for module in TESTS for name in IMPORTS[module] if name.split(".")[0] == "bench"
    }

    assert not against


def test_a_class_name_means_one_thing() -> None:
    """Two classes of one name are one too many; what goes over the wire may carry the name of what it shows."""
    places: dict[str, list[str]] = defaultdict(list)
    for module, path in (PRODUCT | BENCH | TESTS).items():
        if module != "reelstream.serve.schema":
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ClassDef):
                    places[node.name].append(module)

    assert not {name: found for name, found in places.items() if len(found) > 1}


def test_no_module_is_named_like_an_installed_library() -> None:
    """Such a module would hide the library, or be hidden by it, depending on the directory that Python starts in."""
    ours = {"reelstream", *STAGES, "bench", "tests"}
    libraries = {*sys.stdlib_module_names, *packages_distributions()} - ours
    inner = {path.stem for path in PRODUCT.values() if path.stem != "__init__"}

    assert not {name for name in ours if (ROOT / name).is_dir()} & libraries
    assert not inner & set(packages_distributions()) - ours
