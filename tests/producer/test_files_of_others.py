"""Files as they lie on the web: Amazon, Yelp, Book-Crossing, Jester, Epinions, Last.fm, Netflix, RecBole, Goodreads and Excel.

Each is read to the value, or refused by a sentence that names what it is and what to do.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from reelstream.errors import UsageError
from reelstream.producer.bad_rows import BadRows
from reelstream.producer.file_form import Overrides, detect
from reelstream.producer.file_scale import scale_of
from reelstream.producer.packed_file import CHUNK_BYTES, size_of
from reelstream.producer.ratings_csv import read_blocks
from reelstream.producer.resume import identify
from reelstream.settings import load

NOW_MS = 1_790_000_000_000
MS, DAY_MS = 1_385_133_017_000, 1_385_078_400_000
"""2013-11-22 15:10:17, and its day."""
GOOD = "userId,movieId,rating,timestamp\n1,110,3,1385133017\n2,111,4.5,1385133018\n"
GOOD_ROWS = [(1, 110, 3.0, MS), (2, 111, 4.5, MS + 1000)]
AMAZON_ROWS = [("A1", "B004018314", 3.0, MS), ("A2", "041856310X", 1.0, MS)]
Rows = list[tuple[int | str, int | str, float, int]]


def read(
    path: Path, overrides: Overrides | None = None, low: float = -100, high: float = 100
) -> tuple[Rows, list[str]]:
    form, bad, texts = detect(path, overrides), BadRows(path), dict[int, str]()
    blocks = read_blocks(path, rating_min=low, rating_max=high, now_ms=NOW_MS, on_bad=bad.add, form=form, texts=texts)
    rows = [row for block in blocks for row in block.rows.tolist()]
    bad.refuse_if_most(len(rows), form)
    user, movie = (texts if name in form.header.text_ids else {} for name in ("user_id", "movie_id"))
    return [(user.get(a, a), movie.get(b, b), *rest) for a, b, *rest in rows], [row.reason for row in bad.first]


def file(tmp_path: Path, content: str | bytes, name: str = "file") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("A1,B004018314,3.0,1385133017\nA2,041856310X,1.0,1385133017\n", AMAZON_ROWS),
        ("B004018314,A1,3.0,1385133017\n041856310X,A2,1.0,1385133017\n", AMAZON_ROWS),
        ("user_id,parent_asin,rating,timestamp\nAF,B1,3.0,1385133017007\n", [("AF", "B1", 3, MS + 7)]),
        ("customer_id\tproduct_id\tstar_rating\ttitle\treview_date\n7\tB1\t3\t\"A\" b\t2013-11-22\n", [(7, "B1", 3, DAY_MS)]),
        ("user_id,business_id,stars,date\nu_-,-x,3.0,2013-11-22 15:10:17\n", [("u_-", "-x", 3, MS)]),
        ('"User-ID";"ISBN";"Book-Rating"\r\n"7";"034545104X";"3"\r\n', [(7, "034545104X", 3, NOW_MS)]),
        ("UserID;JokeID;rating\n1;2;-9,125\n", [(1, 2, -9.125, NOW_MS)]),
        ("1\t\t2\t\t-9.125\n", [(1, 2, -9.125, NOW_MS)]),
        ("1 100 3\n 2  101 4 \n", [(1, 100, 3, NOW_MS), (2, 101, 4, NOW_MS)]),
        ("userId  movieId rating timestamp\n   1     2      3  1385133017\n", [(1, 2, 3, MS)]),
        ("% bip weighted\n1 2 3 1385133017\n", [(1, 2, 3, MS)]),
        ("user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t2\t3\t1385133017.0\n", [(1, 2, 3, MS)]),
        ("1::0001051::3::1385133017\n2::0114709::4::1385133017\n", [(1, "0001051", 3, MS), (2, "0114709", 4, MS)]),
        ("# item_id,user_id,rating\n1,2,3\n", [(2, 1, 3, NOW_MS)]),
        ("userId,movieId,rating\n1,2,3\n# half\n3,4,5\n# end\n", [(1, 2, 3, NOW_MS), (3, 4, 5, NOW_MS)]),
        ("userId,movieId,rating\r1,2,3\r", [(1, 2, 3, NOW_MS)]),
        (' "User ID" , "Movie.ID" , "RATING" \n1,2,3\n', [(1, 2, 3, NOW_MS)]),
        ("userId,movieId,rating\n1,2,3,\n3,4,5,\n", [(1, 2, 3, NOW_MS), (3, 4, 5, NOW_MS)]),
        ('"userId","movieId","rating"\n"1",7,2,3\n"2",8,4,5\n', [(7, 2, 3, NOW_MS), (8, 4, 5, NOW_MS)]),
        ('userId,movieId,rating\n1,2,"3,5"\n', [(1, 2, 3.5, NOW_MS)]),
        ("user;item;rating;timestamp\n1;2;3,5;1385133017,0\n", [(1, 2, 3.5, MS)]),
        ("userId,movieId,liked\n1,2,True\n1,3,false\n", [(1, 2, 1, NOW_MS), (1, 3, 0, NOW_MS)]),
        ("user,item,rating,date\n1,2,3,20131122\n", [(1, 2, 3, DAY_MS)]),
        ("user,item,rating,date\n1,2,3,20131122151017\n", [(1, 2, 3, MS)]),
        ("user,item,rating,date\n1,2,3,2013-11-22 15:10:17 UTC\n", [(1, 2, 3, MS)]),
        ('user,item,rating,date\n1,2,3,"Nov 22, 2013"\n', [(1, 2, 3, DAY_MS)]),
        ("user,item,rating,date\n1,2,3,22-Nov-2013\n", [(1, 2, 3, DAY_MS)]),
        ("user,item,rating,date\n1,2,3,Fri Nov 22 08:10:17 -0700 2013\n", [(1, 2, 3, MS)]),
        ("user,item,rating,timestamp\n1,2,3,1.385133017e+09\n", [(1, 2, 3, MS)]),
    ],
)  # fmt: skip
def test_a_text_is_read_to_the_value(tmp_path: Path, text: str, rows: Rows) -> None:
    assert read(file(tmp_path, text)) == (rows, [])


@pytest.mark.parametrize(
    ("record", "row"),
    [
        ({"reviewerID": "A1", "asin": "B1", "overall": 3.0, "reviewTime": "11 22, 2013", "vote": "2"}, ("A1", "B1", 3, DAY_MS)),
        ({"user_id": "u", "business_id": "b", "stars": 3.0, "date": "2013-11-22T15:10:17"}, ("u", "b", 3, MS)),
        ({"user": {"id": 1}, "movie": {"id": 2}, "rating": 3, "ts": 1385133017}, (1, 2, 3, MS)),
        ({"user": {"$numberLong": "1"}, "movie": 2, "rating": 3, "date": {"$date": "2013-11-22T15:10:17Z"}}, (1, 2, 3, MS)),
        ({"userId": 1, "movieId": 2, "rating": True}, (1, 2, 1, NOW_MS)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["lines", "list", "pretty"])
def test_json_is_read_to_the_value(tmp_path: Path, record: dict[str, Any], row: Any, form: str) -> None:
    texts = {
        "lines": f"{json.dumps(record)}\n" * 2,
        "list": json.dumps([record] * 2),
        "pretty": json.dumps([record] * 2, indent=1),
    }
    assert read(file(tmp_path, texts[form])) == ([row] * 2, [])


def test_a_long_list_of_json_is_read_in_pieces_and_what_is_broken_is_a_bad_row(tmp_path: Path) -> None:
    n = 3 * CHUNK_BYTES // 60
    records = [{"userId": i, "movieId": 2, "rating": 3, "timestamp": 1385133017} for i in range(n)]
    whole = json.dumps(records)

    rows, bad = read(file(tmp_path, whole))
    cut, bad_of_cut = read(file(tmp_path, whole[:-30]))

    assert (len(rows), rows[-1], bad) == (n, (n - 1, 2, 3, MS), [])
    assert (len(cut), len(bad_of_cut)) == (n - 1, 1)


def test_names_that_the_first_object_lacks_are_found(tmp_path: Path) -> None:
    text = '{"user": 1, "item": 2, "stars": 3}\n{"user": 1, "item": 3, "stars": 4, "ts": 1385133017}\n'
    assert read(file(tmp_path, text)) == ([(1, 3, 4, MS)], ["missing_field: no rated_at"])


def test_a_list_is_no_id(tmp_path: Path) -> None:
    text = '{"user": 1, "item": 2, "stars": 3}\n' * 3 + '{"user": [1], "item": 2, "stars": 3}\n'
    rows, bad = read(file(tmp_path, text))
    assert (len(rows), [one.partition(":")[0] for one in bad]) == (3, ["wrong_type"])


@pytest.mark.parametrize(
    ("ratings", "rated", "says"),
    [
        ([-1, 7, 8, 9] * 5, 15, "A rating of -1 (25% of the first rows) is taken for none"),
        ([0, 0, 0, 0, 7, 8, 9, 10] * 5, 20, "A rating of 0 (50% of the first rows) is taken for none"),
        ([99, -3.5, 9.25] * 5, 10, "A rating of 99 (33% of the first rows) is taken for none"),
        ([0, 1, 2, 3, 4, 5] * 5, 30, ""),
        ([0, 0, 0, 1] * 5, 20, ""),
        ([-1, 0, 1] * 5, 15, ""),
    ],
)
def test_a_mark_for_no_rating_is_found_and_said(tmp_path: Path, ratings: list[float], rated: int, says: str) -> None:
    path = file(tmp_path, "user,item,rating\n" + "".join(f"{i},2,{one}\n" for i, one in enumerate(ratings)))

    rows, bad = read(path)

    assert (len(rows), len(bad)) == (rated, min(len(ratings) - rated, 20))
    assert all(reason.startswith("missing_field: no rating") for reason in bad)
    assert says in str(detect(path))
    assert len(read(path, Overrides(unrated="none"))[0]) == len(ratings)


BY_NUMBER = {"user_id": "1", "movie_id": "2", "rating": "4", "rated_at": "6"}


@pytest.mark.parametrize(
    ("text", "columns", "rows"),
    [
        ("user,item,rating,timestamp\n1,2,3,0\n1,3,4,1\n", {"rated_at": "none"}, [(1, 2, 3, NOW_MS), (1, 3, 4, NOW_MS)]),
        ("1,2,3,0\n1,3,4,1\n", {"rated_at": "none"}, [(1, 2, 3, NOW_MS), (1, 3, 4, NOW_MS)]),
        ("user,item,timestamp\n1,2,1385133017\n", {"rating": "none"}, [(1, 2, 1, MS)]),
        ("user,artist_id,plays\n1,2,3000\n", {"rating": "none"}, [(1, 2, 1, NOW_MS)]),
        ("1\t2\n3\t4\n", {"rating": "none"}, [(1, 2, 1, NOW_MS), (3, 4, 1, NOW_MS)]),
        ("5,1,2,1385133017\n", {"user_id": "2", "movie_id": "3", "rating": "1", "rated_at": "4"}, [(1, 2, 5, MS)]),
        ("1::100::3::5::4::2013-11-22\n", BY_NUMBER, [(1, 100, 5, DAY_MS)]),
    ],
)  # fmt: skip
def test_columns_may_be_none_or_numbers(tmp_path: Path, text: str, columns: dict[str, str], rows: Rows) -> None:
    assert read(file(tmp_path, text), Overrides(columns=columns)) == (rows, [])


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"user_id": "9"}, "no header with a column '9'; say its number, from 1 to 4, such as --column user_id=1"),
        ({"user_id": "2"}, "has no header; say also --column movie_id=NUMBER"),
        ({"user_id": "2", "movie_id": "2"}, "says column 2 twice"),
    ],
)
def test_a_wrong_number_of_a_column_is_said(tmp_path: Path, columns: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        detect(file(tmp_path, "1,2,3,1385133017\n"), Overrides(columns=columns))


def tar_of(members: dict[str, str], mode: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


NETFLIX = {"t/mv_0000002.txt": "2:\n8,4,2013-11-22", "t/mv_0000001.txt": "1:\n7,3,2013-11-22\n", "README": "x"}
NETFLIX_ROWS = [(7, 1, 3.0, DAY_MS), (8, 2, 4.0, DAY_MS)]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tar_archives(tmp_path: Path, mode: str) -> None:
    members = {"ml/ratings.csv": GOOD, "ml/movies.csv": "movieId,title\n", "ml/._ratings.csv": "x"}
    assert read(file(tmp_path, tar_of(members, mode))) == (GOOD_ROWS, [])
    assert read(file(tmp_path, tar_of(NETFLIX, mode))) == (NETFLIX_ROWS, [])


def test_directories(tmp_path: Path) -> None:
    for name, text in NETFLIX.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert read(tmp_path) == read(tmp_path / "t") == (NETFLIX_ROWS, [])
    assert size_of(tmp_path)[0] == sum(map(len, NETFLIX.values()))
    before = identify(tmp_path, detect(tmp_path), rating_min=1, rating_max=5)
    assert before == identify(tmp_path, detect(tmp_path), rating_min=1, rating_max=5)
    (tmp_path / "t" / "mv_0000003.txt").write_text("3:\n7,3,2013-11-22\n")
    assert before != identify(tmp_path, detect(tmp_path), rating_min=1, rating_max=5)

    parts = tmp_path / "parts"
    parts.mkdir()
    for n in (0, 1):
        pq.write_table(pa.table({"user": [n], "item": [2], "rating": [3.0]}), parts / f"part-{n}.parquet")
    (parts / "_SUCCESS").touch()
    assert read(parts) == ([(0, 2, 3, NOW_MS), (1, 2, 3, NOW_MS)], [])


def test_archives_of_several_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bx.zip", "w") as archive:
        archive.writestr("BX/BX-Book-Ratings.csv", '"User-ID";"ISBN";"Book-Rating"\n"1";"2";"3"\n')
        archive.writestr("BX/BX-Users.csv", "x")
    assert read(tmp_path / "bx.zip") == ([(1, 2, 3, NOW_MS)], [])


def test_arrow_and_other_compressions(tmp_path: Path) -> None:
    table = pa.table(
        {"user": ["a"], "item": [2], "rating": [3.5], "timestamp": [datetime.fromtimestamp(MS / 1000, UTC)]}
    )
    for compression in ("uncompressed", "zstd"):
        pyarrow.feather.write_feather(table, tmp_path / "f", compression=compression)
        assert read(tmp_path / "f") == ([("a", 2, 3.5, MS)], [])
    assert read(file(tmp_path, lzma.compress(GOOD.encode()))) == (GOOD_ROWS, [])
    assert read(file(tmp_path, GOOD.encode("utf-32"))) == (GOOD_ROWS, [])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_an_encoding_that_is_said(tmp_path: Path, encoding: str) -> None:
    said = "utf-16-be" if encoding == "utf-16-be" else encoding.removesuffix("-le")
    assert read(file(tmp_path, GOOD.encode(encoding)), Overrides(encoding=said)) == (GOOD_ROWS, [])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"7z\xbc\xaf'\x1c", "is a 7-Zip archive; unpack it"),
        (b"SQLite format 3\0" + b"\0" * 90, "is an SQLite database; save its ratings as CSV"),
        (b"\x80\x04\x95" + b"\0" * 90, "is a Python pickle, which may run code"),
        (b"<!DOCTYPE html><html>", "is a web page; download the file itself"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (b"%%MatrixMarket matrix coordinate\n3 3 1\n1 2 3\n", "is a sparse matrix"),
        (b"Obj\x01" + b"\0" * 90, "is an Avro file"),
        (b"ORC" + b"\0" * 90, "does not begin with a line of CSV"),
        (b"user," + b",".join(b"m%d" % i for i in range(20)) + b"\n1" + b",5" * 20, "is a matrix with a column for each movie"),
        (b"74" + b",99,-3.5" * 20 + b"\n" + b"75" + b",99,-3.5" * 20, "is a matrix with a column for each movie"),
        (b"{'reviewerID': 'A', 'asin': 'B', 'overall': 3.0}\n", "begins as JSON does, but its first line is no object"),
        (b"user_id,item_id,timestamp\n1,2,1385133017\n", "no column rating .* or --column rating=none if each row is a like"),
        (b"userId,title,rating\n1,A,3\n", "say --column movie_id=NAME"),
        (b"1,2,drama,3\n", "say the numbers of the columns, such as --column user_id=1"),
        (b"user,item,rating\n1.001,2,3\n1.002,2,3\n", "user_id '1.001' has marks between thousands; write it as 1001"),
        (b"'user','item','rating'\n'1','2','3'\n", "has single quotes around its fields"),
        (b"user,item,rating,date\n1,2,3,13/02/2015\n1,2,3,02/13/2015\n", "have the day first, such as '13/02/2015', and"),
        (b"user,item,rating,timestamp\n1,2,3,1.39E+09\n", "'1.39E\\+09' has lost digits"),
        (b"user,item,rating,timestamp\n1,2,3,0\n1,3,3,1\n", "--column rated_at=none: then each rating is taken as given now"),
        (b"user,item,rating,timestamp\n1,2,3,\n", "no rated_at.* --column rated_at=none"),
        (b"user,item,rating\n1.2345678901234568e16,2,3\n", "has lost digits; write it out in full"),
        (b"user,item,rating\n1,2,3/5\n", "if each row is a like, --column rating=none"),
        (gzip.compress(bz2.compress(GOOD.encode())), "bz2-compressed again; unpack it"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read(file(tmp_path, content))


def test_what_is_not_read_inside_an_archive_is_named(tmp_path: Path) -> None:
    for name, says in (("[Content_Types].xml", "is an Excel workbook"), ("ratings.csv.gz", "gzip-compressed again")):
        with zipfile.ZipFile(tmp_path / "z", "w") as archive:
            archive.writestr(name, gzip.compress(GOOD.encode()))
        with pytest.raises(UsageError, match=says):
            detect(tmp_path / "z")


def test_columns_of_lists_are_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"user": [[1]], "item": [2], "rating": [3.0]}), tmp_path / "p")
    with pytest.raises(UsageError, match="has list<element: int64> in its column user; write a number or a text there"):
        detect(tmp_path / "p")


def test_counts_are_no_ratings(tmp_path: Path) -> None:
    path = file(tmp_path, "".join(f"user_{i}\tartist_{i}\t{i * i * 7 + 1}\n" for i in range(20)))
    with pytest.raises(UsageError, match=r"go from 1 to 2528: if they count plays or views, say --column rating=none"):
        scale_of(load(warehouse=tmp_path / "none"), path, detect(path))
