"""40,000 lines of CSV in 2,000 files: each line a good row or a bad one with a reason, whichever way it is parsed."""

from __future__ import annotations

import random
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from reelstream.errors import UsageError
from reelstream.events import REASONS, RatingEvent, check, from_json
from reelstream.producer import file_lines, ratings_csv
from reelstream.producer.file_form import detect
from reelstream.producer.packed_file import opened
from reelstream.producer.ratings_csv import BadRow, read_blocks
from tests.fixtures.csv_events import read
from tests.fuzz.csv_files import GOOD_HEADERS, SEED, File, body, generate, shown
from tests.fuzz.events import NOW_MS

FILES = 2_000
ROWS = 20
RULES = {"rating_min": 0.5, "rating_max": 5.0, "now_ms": NOW_MS}

Read = tuple[list[tuple[int, RatingEvent]], list[BadRow]]


@cache
def files() -> list[File]:
    return generate(FILES, ROWS)


def read_all(path: Path, content: bytes) -> Read | None:
    """(good rows, bad rows) with their line numbers; None if the file is refused as no ratings.csv."""
    path.write_bytes(content)
    bad: list[BadRow] = []
    try:
        return list(read(path, **RULES, on_bad=bad.append)), bad
    except UsageError:
        return None


def data_lines(path: Path) -> list[int]:
    """The numbers of the lines that are not blank, counted from 1, without what comes before the first row."""
    form = detect(path)
    with opened(path, form.packing) as (file, _):
        lines = file.read().split(b"\n")
    return [number for number, line in enumerate(lines, 1) if line.strip() and number > form.lines_before]


def line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratings_csv, "_parse_block", lambda *_: None)


def test_every_line_comes_out_once_as_a_rating_or_with_a_reason(tmp_path: Path) -> None:
    reasons: Counter[str] = Counter()
    for at, file in enumerate(files()):
        result = read_all(tmp_path / "ratings.csv", file.content)
        assert file.is_ratings in (None, result is not None), shown(files(), at)
        if result is None:
            reasons["refused"] += 1
            continue
        good, bad = result
        assert sorted([line for line, _ in good] + [row.line_number for row in bad]) == data_lines(
            tmp_path / "ratings.csv"
        ), shown(files(), at)
        for _, event in good:
            assert check(event, **RULES) == event == from_json(event.to_json(), **RULES), shown(files(), at)
        reasons.update(row.reason.split(":")[0] for row in bad)
        reasons["good"] += len(good)

    by_json_alone = {"not_json", "unknown_version", "unknown_action", "forgotten", "not_in_form", "unknown_schema"}
    assert set(reasons) == {"good", "refused", "not_csv", *REASONS} - by_json_alone
    assert reasons["good"] > 20_000
    assert sum(reasons.values()) - reasons["good"] > 3_000


def test_whole_blocks_and_single_lines_are_parsed_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks: list[bool] = []
    parse_block: Any = ratings_csv._parse_block

    def counted(*args: Any) -> Any:
        rows = parse_block(*args)
        blocks.append(rows is not None)
        return rows

    monkeypatch.setattr(ratings_csv, "_parse_block", counted)
    whole = [read_all(tmp_path / "ratings.csv", file.content) for file in files()]
    assert FILES / 8 < sum(blocks) < FILES * 7 / 8  # else one way is compared with itself
    line_by_line(monkeypatch)
    for at, file in enumerate(files()):
        assert read_all(tmp_path / "ratings.csv", file.content) == whole[at], shown(files(), at)


@pytest.mark.parametrize(
    ("header", "line", "reason"),
    [
        ("userId,movieId,rating", "1,2,3." + "0" * 39, "wrong_type"),
        ("userId,movieId,rating", "1,2,3\n" + "0" * 40 + "1,2,3", "wrong_type"),
        ("userId,movieId,rating," + "," * 299, "1,2,3" + ",0123456789012345678901234567890123456789" * 300, "oversize"),
        ("userId,movieId,rating,x", "1,2,3," + "9" * 10_000, "oversize"),
    ],
)
def test_digits_alone_can_be_too_many(tmp_path: Path, header: str, line: str, reason: str) -> None:
    result = read_all(tmp_path / "ratings.csv", f"{header}\n{line}\n".encode())
    assert result is not None
    assert [reason] == [row.reason.split(":")[0] for row in result[1]]


@pytest.mark.parametrize("plain", [True, False])
def test_the_size_of_a_block_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: bool) -> None:
    """The same file in one block, in many, and line by line."""
    rng = random.Random(SEED)
    header = GOOD_HEADERS[0]
    content = f"{header}\n{''.join(body(rng, header, 10, plain=plain) for _ in range(600))}".encode()
    path = tmp_path / "ratings.csv"
    at_once = read_all(path, content)
    monkeypatch.setattr(file_lines, "CHUNK_BYTES", 1 << 15)
    assert len(list(read_blocks(path, **RULES, on_bad=lambda _: None))) > 5
    in_blocks = read_all(path, content)
    line_by_line(monkeypatch)
    singly = read_all(path, content)

    assert at_once is not None
    assert at_once == in_blocks == singly, f"body of seed {SEED}"
    assert len(at_once[0]) + len(at_once[1]) == len(data_lines(path))
