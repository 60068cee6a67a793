"""The wheel in clean virtual environments outside the checkout: what it holds, what it needs, and the three uses from it."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from reelstream import child_process
from reelstream.settings import load
from reelstream.store import run_files
from reelstream.store.ratings import RatingsStore
from tests.fixtures.processes import LIMIT_S, wait_until
from tests.fixtures.published import MATRIX, PULP_FICTION, publish

ROOT = Path(__file__).resolve().parents[1]
UV = [sys.executable, "-m", "uv"]
MOST_BYTES = 320_000_000
READS = {
    ("recommend", "1"): "Toy Story (1995)",
    ("recommend", "2"): "Toy Story (1995)",
    ("predict", "1", str(PULP_FICTION)): "4.70 stars",
    ("similar", str(PULP_FICTION)): "Story 2",
    ("popular",): "Pulp Fiction (1994)",
    ("status",): "ratings",
    ("sql", "SELECT count(*) FROM recommendations"): "3",
}
"""Commands that need the package alone, and what stands in their answers."""

NEED_AN_EXTRA = {
    ("up",): "pipeline",
    ("replay", "ratings.csv"): "pipeline",
    ("refit",): "pipeline",
    ("rate", "1", "300=5"): "pipeline",
    ("forget", "1", "--yes"): "pipeline",
    ("serve",): "serve",
    ("report",): "report",
}


def run(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, words)), cwd=cwd, capture_output=True, text=True, check=False, timeout=LIMIT_S)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    built = run(*UV, "build", "--wheel", "--no-build-isolation", "--out-dir", directory, ROOT, cwd=directory)
    assert built.returncode == 0, built.stderr
    (found,) = directory.glob("*.whl")
    return found


def environment(directory: Path, *packages: object) -> Path:
    """The `reelstream` command of a new virtual environment with these packages."""
    assert run(*UV, "venv", "--python", sys.executable, directory, cwd=directory.parent).returncode == 0
    installed = run(
        *UV, "pip", "install", "--system-certs", "--python", directory / "bin" / "python", *packages, cwd=directory
    )
    assert installed.returncode == 0, installed.stderr
    return directory / "bin" / "reelstream"


@pytest.fixture(scope="module")
def alone(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package with what it needs, and no extra."""
    pins = tmp_path_factory.mktemp("pins") / "pins.txt"
    pinned = [
        line.rstrip("\\ ") for line in (ROOT / "requirements" / "dev.txt").read_text().splitlines() if "==" in line
    ]
    pins.write_text("\n".join(pinned))
    return environment(tmp_path_factory.mktemp("alone") / "venv", "--constraint", pins, wheel)


def test_it_holds_one_package_and_all_of_it(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {"reelstream", "reelstream-0.1.0.dist-info"}
    held = {name.removeprefix("reelstream/") for name in names if name.startswith("reelstream/")}
    code = {
        str(path.relative_to(ROOT / "reelstream"))
        for room in (ROOT / "reelstream", *(path for path in (ROOT / "reelstream").iterdir() if path.is_symlink()))
        for pattern in ("*.py", "*.html")
        for path in room.rglob(pattern)
    }
    assert {"serve/page/index.html", "batch/report/templates/warehouse.html"} <= code
    assert code <= held
    assert {"broker/jars.lock", "py.typed"} <= held


def test_alone_it_is_small_and_has_neither_kafka_nor_spark(alone: Path) -> None:
    packages = next(alone.parents[1].glob("lib/*/site-packages"))
    found = {path.name for path in packages.iterdir()}
    assert not found & {"pyspark", "kafka", "fastapi", "matplotlib", "numba", "llvmlite"}
    assert sum(path.lstat().st_size for path in packages.rglob("*") if path.is_file()) <= MOST_BYTES


def test_alone_it_reads_a_warehouse(alone: Path, tmp_path: Path) -> None:
    publish(tmp_path / "warehouse")
    for words, expected in READS.items():
        answered = run(alone, *words, "--warehouse", "warehouse", cwd=tmp_path)
        assert answered.returncode == 0, (words, answered.stderr)
        assert expected in answered.stdout, words
    code = (
        "import reelstream; w = reelstream.open('warehouse'); "
        f"print([m.movie_id for m in w.recommend(2, 3)], {MATRIX} in w.ratings(1)['movie_id'].to_pylist())"
    )
    answered = run(alone.with_name("python"), "-c", code, cwd=tmp_path)
    assert answered.stdout.strip().endswith("True"), answered.stderr


def test_alone_a_command_that_needs_an_extra_names_it(alone: Path, tmp_path: Path) -> None:
    publish(tmp_path / "warehouse")
    for words, extra in NEED_AN_EXTRA.items():
        answered = run(alone, *words, "--warehouse", "warehouse", cwd=tmp_path)
        assert answered.returncode == 4, (words, answered.stderr)
        assert len(answered.stderr.strip().splitlines()) == 1, answered.stderr
        assert f"reelstream[{extra}]" in answered.stderr, words


def test_the_three_uses_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    """1. replay a ratings.csv  2. rate live and see the list  3. read the Parquet. With this environment's packages."""
    command = environment(tmp_path / "venv", "--no-deps", wheel)
    packages = next((tmp_path / "venv").glob("lib/*/site-packages"))
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    pairs = [(user, movie) for user in range(1, 61) for movie in range(1, 21) if (user * 7 + movie) % 3]
    rows = [f"{user},{movie},{5 if (user + movie) % 2 else 1},{10**9 + user * 1000 + movie}" for user, movie in pairs]
    (tmp_path / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *rows]))
    settings = load(warehouse=tmp_path / "warehouse", refit_after_ratings=500)
    up = subprocess.Popen(
        [command, "up", "--no-serve"],
        cwd=tmp_path,
        env=child_process.environment(settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: (run_files.read(settings.warehouse, "stream") or {}).get("state") == "running", "it runs")
        where = ["--warehouse", settings.warehouse]
        replayed = run(command, "replay", "ratings.csv", "--json", *where, cwd=tmp_path)
        assert json.loads(replayed.stdout)["acked"] == len(rows), replayed.stderr
        latest = settings.warehouse / "recommendations" / "latest"
        wait_until(latest.exists, "a version is published")
        rated = json.loads(run(command, "rate", "--user", "new", "1=5", "3=5", "--json", *where, cwd=tmp_path).stdout)
        assert rated["fresh_after_s"] is not None
        assert not {1, 3} & {movie["movie_id"] for movie in rated["recommendations"]}
        assert RatingsStore(settings.warehouse).state().accepted == len(rows) + 2
        assert pq.read_table(latest / "users").num_rows > 0
    finally:
        up.terminate()
        assert up.wait(60) == 0
