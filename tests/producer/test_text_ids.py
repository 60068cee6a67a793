"""Ids of any kind in a file: what is text is found out, said, sent as it stands, and numbered without asking anybody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reelstream.cli.ratings_file import read
from reelstream.ids import number_of
from reelstream.producer.csv_line import are_texts
from reelstream.producer.file_form import detect
from reelstream.producer.ratings_csv import BadRow, read_blocks
from reelstream.producer.send import replay
from reelstream.settings import load
from tests.producer.topic import records_of

UUID = "b1946ac9-2b1e-4f7e-8d6e-0a3c5f1c9f10"
SCALE = {"rating_min": 0.5, "rating_max": 5.0}


def rows_of(path: Path) -> tuple[list[tuple[int, int]], dict[int, str], list[BadRow]]:
    bad: list[BadRow] = []
    texts: dict[int, str] = {}
    blocks = list(read_blocks(path, **SCALE, now_ms=1_700_000_000_000, on_bad=bad.append, texts=texts))
    return [(int(row["user_id"]), int(row["movie_id"])) for block in blocks for row in block.rows], texts, bad


@pytest.mark.parametrize(
    ("body", "text_ids", "ids"),
    [
        ("0,0,4,1147880044\n1,0,3,1147880045\n", (), [(0, 0), (1, 0)]),
        (f"{UUID},296,4,1147880044\n{UUID},7,3,1147880045\n", ("user_id",), [(UUID, 296), (UUID, 7)]),
        ("1,tt0114709,4,1147880044\n2,tt0000007,3,1147880045\n", ("movie_id",), [(1, "tt0114709"), (2, "tt0000007")]),
        ('a@b.org,"x, y",4,1147880044\nc@d.org,007,3,1147880045\n', ("user_id",), [("c@d.org", 7)]),
        (
            "Ünal,Amélie,4,1147880044\n李,七人の侍,3,1147880045\n",
            ("user_id", "movie_id"),
            [("Ünal", "Amélie"), ("李", "七人の侍")],
        ),
        ("".join(f"{n},{n}X,3,1147880045\n{n},{n},3,1147880045\n" for n in range(12)), ("movie_id",), None),
    ],
)
def test_what_is_text_is_found_out(
    tmp_path: Path, body: str, text_ids: tuple[str, ...], ids: list[tuple[int | str, int | str]] | None
) -> None:
    path = tmp_path / "r.csv"
    path.write_text("userId,movieId,rating,timestamp\n" + body, "utf-8")

    form = detect(path)
    rows, texts, bad = rows_of(path)

    assert form.header.text_ids == text_ids
    assert ("are text, such as" in str(form)) == bool(text_ids)
    if ids is None:
        assert (len(rows), bad) == (24, [])
        return
    assert rows == [(number_of(user), number_of(movie)) for user, movie in ids]
    assert len(bad) + len(rows) == 2
    own = {one for pair in ids for one in pair if isinstance(one, str)}
    assert {texts[number_of(one)] for one in own} == own


def test_a_few_texts_among_integers_are_bad_rows(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("userId,movieId,rating\n1,2,3\nx,2,3\n3,2,3\n")

    rows, _, [bad] = rows_of(path)

    assert rows == [(1, 2), (3, 2)]
    assert bad.reason == "wrong_type: user_id 'x' is not an integer"
    assert not are_texts(["1"] * 500 + ["x"] * 9)
    assert are_texts(["1"] * 100 + ["x"] * 11)


def test_no_header_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text(f"{UUID},tt0114709,4.5,1147880044\n{UUID},tt0000007,3,1147880045\n")

    rows, _, bad = rows_of(path)

    assert rows == [(number_of(UUID), number_of("tt0114709")), (number_of(UUID), number_of("tt0000007"))]
    assert bad == []


def test_evaluate_reads_them_too(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text(f"userId,movieId,rating\n{UUID},tt1,3\n{UUID},tt1,4\n{UUID},tt2,5\n")

    found = read(path, load(), lambda _done, _of: None)

    assert (len(found.ratings), found.duplicates) == (2, 1)


def test_they_are_sent_as_they_stand(bootstrap_servers: str, topic: str, tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text(
        f'userId,movieId,rating,timestamp\n{UUID},"tt ""1""",4,1147880044\n{UUID},x,3,1147880045\n{UUID},7,3,1147880046\n'
    )

    replay(path, bootstrap_servers=bootstrap_servers, topic=topic, state_path=tmp_path / "state.json", **SCALE)

    sent = [json.loads(record.value) for record in records_of(bootstrap_servers, topic)]
    assert [(event["user_id"], event["movie_id"]) for event in sent] == [(UUID, 'tt "1"'), (UUID, "x"), (UUID, "7")]
    assert {record.key for record in records_of(bootstrap_servers, topic)} == {UUID.encode()}
