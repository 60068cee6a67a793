"""One word for one thing: the words that have another one in its place, and must not come back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DIRECTORIES = ("reelstream", "producer", "stream", "batch", "serve", "cli", "bench", "tests", "docs", "ops")
SUFFIXES = {".py", ".md", ".js", ".css", ".html", ".yml", ".json", ".sh", ".toml"}
INSTEAD = {
    r"film(?!id\b|-noir)": "movie",
    r"foret(ell|old)": "predict",
    r"(put|set|kept|turned)[ _]a(side|way)": "reject, or hold back",
    r"made anew": "recreate, or rebuild",
    r"worked out": "compute",
    r"tried again": "retry",
    r"simplest models|biases alone": "baseline",
    r"(?<!/v1/)(?<!\"/)visitor": "anonymous user",
    r"whoever asks": "caller",
    r"(?<!ratings_)(?<!ratings\.)(?<![\"'])folder": "directory",
    r"\bgone\b": "deleted, or removed",
    r"fold(s|ed|ing)? (\w+ )?together": "compact",
    r"\b_?(desk|knocks?|carry_over|tiers?|leftovers?|poster)(_\w+)?\b": "what the thing is",
}
LONGEST_TEST_NAME = 80


def texts() -> list[Path]:
    found = [path for directory in DIRECTORIES for path in (ROOT / directory).rglob("*") if path.suffix in SUFFIXES]
    top = [path for path in ROOT.iterdir() if path.suffix in SUFFIXES and path.is_file()]
    return sorted({*found, *top} - {Path(__file__).resolve()})


@pytest.mark.parametrize("word", INSTEAD)
def test_a_word_that_has_another_in_its_place_does_not_come_back(word: str) -> None:
    places = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in texts()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if re.search(word, line, re.IGNORECASE)
    ]

    assert not places, f"write {INSTEAD[word]}"


def test_the_name_of_a_test_fits_a_line() -> None:
    names = [
        n for path in (ROOT / "tests").rglob("*.py") for n in re.findall(r"def (test_\w+)", path.read_text("utf-8"))
    ]

    assert len(names) > 500
    assert not [name for name in names if len(name) > LONGEST_TEST_NAME]
