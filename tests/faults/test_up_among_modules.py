"""`reelstream up` in a directory whose modules have the names of ours: neither it nor its children may take them."""

from __future__ import annotations

import urllib.request
from pathlib import Path

from reelstream.settings import load
from reelstream.store import run_files
from reelstream.store.recommendations import RecommendationsStore
from tests.fixtures.processes import reelstream, wait_until
from tests.fixtures.seed import seed_ratings

NAMES = ("cli", "stream", "batch", "serve", "producer", "reelstream")


def test_up_refits_and_serves_among_modules_of_the_same_names(warehouse: Path, tmp_path: Path) -> None:
    directory = tmp_path / "mine"
    directory.mkdir()
    for name in NAMES:
        (directory / f"{name}.py").write_text(f'raise SystemExit("this {name}.py is not reelstream\'s")\n')
    settings = load(warehouse=warehouse.absolute(), refit_after_ratings=1)
    seed_ratings(settings)
    published = RecommendationsStore(warehouse)

    with reelstream(settings, "up", cwd=directory) as process:
        wait_until(published.current_or_none, "the first version is published", process)
        wait_until(lambda: run_files.read(warehouse, "serve"), "the server listens", process)
        url = (run_files.read(warehouse, "serve") or {})["url"]
        with urllib.request.urlopen(f"{url}/v1/popular") as answer:
            assert answer.status == 200
    assert process.returncode == 0
