"""Files of other people: each is read to the value, or refused in a sentence that says what was found."""

from __future__ import annotations

import gzip
import itertools
import json
import re
import zipfile
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reelstream.errors import UsageError
from reelstream.producer.bad_rows import BadRows
from reelstream.producer.column_names import SYNONYMS, plain_name
from reelstream.producer.delimited import DELIMITERS
from reelstream.producer.file_form import Overrides, detect
from reelstream.producer.packed_file import CHUNK_BYTES, SAMPLE_BYTES
from reelstream.producer.ratings_csv import read_blocks

NOW_MS = 1_790_000_000_000
Rows = list[tuple[int, int, float, int]]
ROWS: Rows = [
    (301, 1, 4.0, 1_700_000_000_000),
    (301, 2, 3.5, 1_700_086_400_000),
    (302, 3, 5.0, 1_700_172_800_000),
    (303, 10, 2.0, 1_700_259_200_000),
]


def read(path: Path, overrides: Overrides | None = None) -> tuple[Rows, list[str]]:
    bad = BadRows(path)
    form = detect(path, overrides)
    blocks = read_blocks(path, rating_min=0.5, rating_max=5, now_ms=NOW_MS, on_bad=bad.add, form=form)
    return [row for block in blocks for row in block.rows.tolist()], [one.reason for one in bad.first]


TIMES: dict[str, Callable[[int], str]] = {
    "s": lambda ms: str(ms // 1000),
    "s with a point": lambda ms: f"{ms / 1000:.1f}",
    "ms": str,
    "us": lambda ms: str(ms * 1000),
    "iso": lambda ms: f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}",
    "a space": lambda ms: f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S}",
    "month first": lambda ms: f"{datetime.fromtimestamp(ms / 1000, UTC):%m/%d/%Y %I:%M:%S %p}",
    "day first": lambda ms: f"{datetime.fromtimestamp(ms / 1000, UTC):%d.%m.%Y %H:%M:%S}",
}
HEADERS = (
    "userId,movieId,rating,timestamp",
    "User_ID,item_id,Score,created_at",
    "reviewerID,asin,overall,unixReviewTime",
    "",
)
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le")


def packed(text: str, encoding: str, compression: str, path: Path) -> Path:
    raw = text.encode(encoding)
    if compression == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("export/data.csv", raw)
    elif compression == "gzip":
        path.write_bytes(gzip.compress(raw))
    elif compression == "zstd":
        path.write_bytes(_zstd(raw))
    else:
        path.write_bytes(raw)
    return path


def _zstd(raw: bytes) -> bytes:
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as stream:
        stream.write(raw)
    return bytes(out.getvalue())


def lines(mark: str, header: str, time: Callable[[int], str], end: str) -> str:
    rows: Iterable[list[str]] = ([str(user), str(movie), f"{stars:g}", time(ms)] for user, movie, stars, ms in ROWS)
    names = [header.split(",")] if header else []
    return end.join(mark.join(fields) for fields in [*names, *rows]) + end


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("header", HEADERS)
def test_every_form_gives_the_same_ratings(tmp_path: Path, header: str, time: str) -> None:
    """All delimiters × encodings × compressions × line ends."""
    n = 0
    for mark, encoding, compression, end in itertools.product(
        DELIMITERS, ENCODINGS, ("", "gzip", "zip", "zstd"), ("\n", "\r\n")
    ):
        path = packed(lines(mark, header, TIMES[time], end), encoding, compression, tmp_path / f"{n}.data")
        assert read(path) == (ROWS, []), (mark, encoding, compression, end)
        n += 1
    assert n == 160


def test_json_lines_and_parquet_give_the_same_ratings(tmp_path: Path) -> None:
    names = ("userId", "movie_id", "rating", "timestamp")
    records = [dict(zip(names, (u, m, r, ms // 1000), strict=True)) for u, m, r, ms in ROWS]
    path = tmp_path / "r.jsonl"
    path.write_text("".join(json.dumps({"id": "x", **record}) + "\n" for record in records))
    assert read(path) == (ROWS, [])
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert read(path) == (ROWS, [])
    columns = {name: [record[name] for record in records] for name in names}
    pq.write_table(pa.table({"title": ["a,b"] * 4, **columns}), tmp_path / "r.parquet")
    assert read(tmp_path / "r.parquet") == (ROWS, [])
    columns["timestamp"] = [datetime.fromtimestamp(ms / 1000, UTC) for *_, ms in ROWS]
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet") == (ROWS, [])
    columns["timestamp"] = [TIMES["month first"](ms) for *_, ms in ROWS]
    pq.write_table(pa.table(columns), tmp_path / "d.parquet")
    assert read(tmp_path / "d.parquet") == (ROWS, [])


def test_a_bad_line_of_json_is_one_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    good = '{"user": 301, "item": 1, "stars": 4, "ts": 1700000000}\n'
    path.write_text(f'{good}{{"user": 301,\n[1]\n{{"user": 301, "item": null, "stars": 4, "ts": 1700000000}}\n{good}')
    rows, reasons = read(path)
    assert rows == [ROWS[0], ROWS[0]]
    assert [reason.split(":")[0] for reason in reasons] == ["not_csv", "not_csv", "missing_field"]


@pytest.mark.parametrize("name", ["ratings.csv", "ratings.dat", "u.data"])
def test_movielens_as_a_directory_and_as_an_archive(tmp_path: Path, name: str) -> None:
    mark = {"ratings.csv": ",", "ratings.dat": "::", "u.data": "\t"}[name]
    header = "userId,movieId,rating,timestamp" if name == "ratings.csv" else ""
    text = lines(mark, header, TIMES["s"], "\n")
    directory = tmp_path / "ml"
    directory.mkdir()
    (directory / name).write_text(text)
    (directory / "README").write_text("about")
    assert read(directory) == (ROWS, [])
    with zipfile.ZipFile(tmp_path / "ml.zip", "w") as archive:
        archive.write(directory / name, f"ml/{name}")
        archive.writestr("ml/README", "about")
    assert read(tmp_path / "ml.zip") == (ROWS, [])


NETFLIX = "1:\n301,4,2023-11-14\n302,5,2023-11-15\n\n2:\n301,3,2023-11-15\n"
NETFLIX_ROWS = [
    (301, 1, 4.0, 1_699_920_000_000),
    (302, 1, 5.0, 1_700_006_400_000),
    (301, 2, 3.0, 1_700_006_400_000),
]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("compression", ["", "gzip", "zip"])
def test_the_rows_of_the_netflix_prize_get_their_movie(tmp_path: Path, compression: str, end: str) -> None:
    path = packed(NETFLIX.replace("\n", end), "utf-8", compression, tmp_path / "combined_data_1.txt")
    assert read(path) == (NETFLIX_ROWS, [])
    assert "text of the Netflix prize: the line of a movie, then its rows of user, rating and date." in str(
        detect(path)
    )


def test_a_bad_row_of_the_netflix_prize_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "combined_data_1.txt"
    path.write_text(NETFLIX + "x,3,2023-11-15\n3:\n301,9,2023-11-15")
    bad = BadRows(path)
    blocks = [*read_blocks(path, rating_min=0.5, rating_max=5, now_ms=NOW_MS, on_bad=bad.add)]
    assert [row for block in blocks for row in block.rows.tolist()] == NETFLIX_ROWS
    assert [number for block in blocks for number in block.line_numbers] == [2, 3, 6]
    assert [(row.line_number, row.reason.split(":")[0]) for row in bad.first] == [(7, "wrong_type"), (9, "off_scale")]
    path.write_text(NETFLIX)
    [block] = read_blocks(path, rating_min=0.5, rating_max=5, now_ms=NOW_MS, on_bad=bad.add)
    assert [*block.line_numbers] == [2, 3, 6]


def test_a_movie_of_the_netflix_prize_goes_on_in_the_next_chunk(tmp_path: Path) -> None:
    n = 3 * CHUNK_BYTES // 20
    path = tmp_path / "combined_data_1.txt"
    path.write_text("7:\n" + "".join(f"{user + 1},4,2005-09-06\n" for user in range(n)))
    rows, bad = read(path)
    assert (len(rows), bad) == (n, [])
    assert {movie for _, movie, *_ in rows} == {7}


def test_parts_of_the_netflix_prize_in_an_archive_are_one_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "n.zip", "w") as archive:
        archive.writestr("combined_data_2.txt", "3:\n303,2,2023-11-15\n")
        archive.writestr("combined_data_1.txt", NETFLIX)
        archive.writestr("movie_titles.csv", "1,2003,Dinosaur Planet\n")
        archive.writestr("probe.txt", "1:\n301\n")
    assert read(tmp_path / "n.zip") == ([*NETFLIX_ROWS, (303, 3, 2.0, 1_700_006_400_000)], [])
    assert "(combined_data_1.txt and 1 more)" in str(detect(tmp_path / "n.zip"))


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("# from our shop\n\nuserId,movieId,rating\n1,2,3\n", [(1, 2, 3.0, NOW_MS)]),
        ("sep=;\nuserId;movieId;rating\n1;2;3,5\n2;2;4\n", [(1, 2, 3.5, NOW_MS), (2, 2, 4.0, NOW_MS)]),
        ("userId,movieId,rating\n301.0,1e2,3\n", [(301, 100, 3.0, NOW_MS)]),
        ('"user","movie","rating"\n1,2,3\n', [(1, 2, 3.0, NOW_MS)]),
        ("userId|movieId|rating|comment\n1|2|3|a, b\n", [(1, 2, 3.0, NOW_MS)]),
    ],
)
def test_what_spreadsheets_and_people_add(tmp_path: Path, text: str, rows: Rows) -> None:
    path = tmp_path / "r.csv"
    path.write_text(text)
    assert read(path) == (rows, [])


def test_what_is_found_and_what_is_assumed_is_said(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("uid;item;score;note\n1;2;3,5;x\n")
    assert str(detect(path)) == (
        "r.csv is UTF-8 text with columns separated by semicolons. Numbers have a decimal comma. Taken: user_id from uid, "
        "movie_id from item, rating from score. Ignored: note. It has no time column: each rating is taken as given now."
    )
    path.write_text("1,2,3,1700000000\n")
    assert "There is no header: the columns are taken in MovieLens' order" in str(detect(path))


def test_what_is_not_utf8_is_taken_for_windows_1252_and_said(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes("userId;movieId;rating;título\n1;2;3;“Amélie”\n".encode("cp1252"))
    form = detect(path)
    assert str(form).startswith("r.csv is CP1252 text with columns separated by semicolons.")
    assert form.sentences[-1] == "Ignored: título."
    assert "It is not UTF-8: its letters are taken for Windows-1252, or --encoding says another." in form.assumed
    assert read(path) == ([(1, 2, 3.0, NOW_MS)], [])
    path.write_bytes("userId;movieId;rating;título\n1;2;3;Łódź\n".encode("cp1250"))
    said = str(detect(path, Overrides(encoding="cp1250")))
    assert "is CP1250 text" in said
    assert "It is not UTF-8" not in said


def test_a_letter_at_the_end_of_the_sample_is_no_other_encoding(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    for n in range(2):
        path.write_text("userId,movieId,rating\n# " + "x" * n + "é" * SAMPLE_BYTES + "\n", "utf-8")
        assert detect(path).packing.encoding == "utf-8"


def test_what_the_user_says_wins(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("customer no,userId,movieId,rating,when\n7,x,2,3,1700000000000000\n")
    overrides = Overrides(columns={"user_id": "customer no", "rated_at": "when"}, time_unit="us")
    assert read(path, overrides) == ([(7, 2, 3.0, 1_700_000_000_000)], [])
    with pytest.raises(UsageError, match="has no column 'uid', but customer no, userId"):
        detect(path, Overrides(columns={"user_id": "uid"}))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"Const,Your Rating,Date Rated\n", "has no column user_id or movie_id or rating"),
        (b"userId,movieId,rating,date\n1,2,3,03/04/2024\n", "may have the day or the month first"),
        (b"PK\x03\x04 and no archive", "can't be read"),
        (b"\x1f\x8b\x08 and no gzip", "can't be read"),
        (b"PAR1 and no table", "can't be read"),
        (gzip.compress(b"userId,movieId,rating\n" + b"1,2,3\n" * 90_000)[:-600], "can't be read"),
        (b'[{"userId": 1}]\n', "has no column"),
        (b"1:\n301\n302\n", "as the Netflix prize has them, but no ratings; give combined_data_1.txt"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=says):
        read(path)


def test_an_archive_of_several_files_names_them(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "r.zip", "w") as archive:
        archive.writestr("a.csv", "1")
        archive.writestr("b.csv", "2")
    with pytest.raises(UsageError, match=r"holds 2 files, a.csv, b.csv; unpack the one that counts"):
        detect(tmp_path / "r.zip")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            "1,2,80\n1,3,60\n2,2,4\n",
            "2 of 3 rows .* off_scale: rating 80 .* go from 4 to 80: set rating_min and rating_max",
        ),
    ],
)
def test_where_most_rows_would_be_rejected_the_cause_is_named(tmp_path: Path, body: str, says: str) -> None:
    path = tmp_path / "r.csv"
    path.write_text("userId,movieId,rating\n" + body)
    bad, form = BadRows(path), detect(path)
    good = sum(
        len(block.rows)
        for block in read_blocks(path, rating_min=0.5, rating_max=5, now_ms=NOW_MS, on_bad=bad.add, form=form)
    )
    with pytest.raises(UsageError, match=says):
        bad.refuse_if_most(good, form)


def test_rows_without_a_rating_are_no_reason_to_refuse_the_others(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("userId,movieId,rating\n1,2,3\n1,3,\n1,4,NaN\n1,5,null\n")
    bad, form = BadRows(path), detect(path)
    list(read_blocks(path, rating_min=0.5, rating_max=5, now_ms=NOW_MS, on_bad=bad.add, form=form))
    bad.refuse_if_most(1, form)
    assert bad.count == 3


def test_the_names_of_columns_are_those_of_the_page() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "files.md").read_text("utf-8")
    assert {
        name: tuple(names.split(", ")) for name, names in re.findall(r"^\| `(\w+)` \| (.+) \|$", page, re.MULTILINE)
    } == SYNONYMS


def test_each_synonym_stands_for_one_field() -> None:
    names = [name for synonyms in SYNONYMS.values() for name in synonyms]
    assert len(names) == len(set(names))
    assert all(name == plain_name(name) for name in names)
