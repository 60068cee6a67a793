from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelstream.errors import UsageError
from reelstream.events import RatingEvent
from reelstream.producer.file_lines import CHUNK_BYTES
from reelstream.producer.ratings_csv import BadRow, read_blocks
from reelstream.times import SINCE_MS
from tests.fixtures.csv_events import read
from tests.fixtures.examples import examples

NOW_MS = 1_700_000_000_000
HEADER = b"userId,movieId,rating,timestamp\n"
AHEAD, LATE = "more than a day ahead of when it was sent", "after the year 9999"


def read_all(path: Path, content: bytes) -> tuple[list[tuple[int, RatingEvent]], list[BadRow]]:
    path.write_bytes(content)
    bad: list[BadRow] = []
    good = list(read(path, rating_min=0.5, rating_max=5.0, now_ms=NOW_MS, on_bad=bad.append))
    return good, bad


def test_a_movielens_row(tmp_path: Path) -> None:
    good, bad = read_all(tmp_path / "r.csv", HEADER + b"1,296,5.0,1147880044\n")
    assert good == [(2, RatingEvent(1, 296, 5.0, 1147880044000))]
    assert bad == []


@pytest.mark.parametrize(
    "content",
    [
        b"user_id,movie_id,rating,timestamp\n1,296,5.0,1147880044\n",
        b"user_id,movie_id,rating,rated_at\n1,296,5.0,1147880044000\n",
        b"timestamp,rating,movieId,userId\n1147880044,5.0,296,1\n",
        b"\xef\xbb\xbfuserId,movieId,rating,timestamp\r\n1,296,5.0,1147880044\r\n",
        b'"userId","movieId","rating","timestamp"\n"1","296","5.0","1147880044"\n',
        b"userId,title,movieId,rating,timestamp,\n1,\xc3\x89t\xc3\xa9,296,5,1147880044,x\n",
        b'userId,title,movieId,rating,timestamp\n1,"Matrix, The ""1999""",296,5,1147880044\n',
        b"userId,extra,movieId,rating,timestamp\n1,,296,5,1147880044\n",
        b" USERID , movieID, Rating, TimeStamp\n 1, 296, 5.0, 1147880044 \n",
        b"\n\nuserId,movieId,rating,timestamp\n\n\n1,296,5.0,1147880044\n\r\n",
        b"userId,movieId,rating,timestamp\n1,296,5.0,1147880044",
        b"userId,movieId,rating,timestamp\n1,296,5.0,1147880044.0\n",
        b"userId,movieId,rating,timestamp\n1,296,5.0,2006-05-17T15:34:04Z\n",
        b"userId,movieId,rating,rated_at\n1,296,5.0,2006-05-17 15:34:04\n",
        b"userId,movieId,rating,rated_at\n1,296,5.0,2006-05-17T17:34:04+02:00\n",
    ],
)
def test_every_spelling_is_the_same_event(tmp_path: Path, content: bytes) -> None:
    good, bad = read_all(tmp_path / "r.csv", content)
    assert [event for _line, event in good] == [RatingEvent(1, 296, 5.0, 1147880044000)]
    assert bad == []


def test_without_times_it_is_rated_now(tmp_path: Path) -> None:
    good, _ = read_all(tmp_path / "r.csv", b"userId,movieId,rating\n1,2,3.5\n")
    assert good == [(2, RatingEvent(1, 2, 3.5, NOW_MS))]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"1,2,5.5,1000000010", "off_scale: rating 5.5 is not between 0.5 and 5"),
        (b"1,2,0,1000000010", "off_scale: rating 0 is not between 0.5 and 5"),
        (b"-1,2,3,1000000010", "bad_id: user_id -1 is not between 0 and 2^63 - 1"),
        (b"1,-2,3,1000000010", "bad_id: movie_id -2 is not between 0 and 2^63 - 1"),
        (b"9223372036854775808,2,3,1000000010", "bad_id: user_id 9223372036854775808 is not between 0 and 2^63 - 1"),
        (b"1,2,nan,1000000010", "nan: rating nan is not a number"),
        (b"1,2,3,1700086401", f"bad_time: rated_at 1700086401 is 2023-11-15, {AHEAD}, 2023-11-14 22:13 UTC"),
        (b"1,2,3,-1", "bad_time: rated_at -1 is 1969-12-31, before 1990"),
        (b"1,2,3,5000000000", "bad_time: rated_at 5000000000 is 2128-06-11, after 2100"),
        (
            b"1,2,3,1700000000000",
            f"bad_time: rated_at 1700000000000 is {LATE}; is it in milliseconds? seconds are expected",
        ),
        (b"1,2,3,1985-01-01", "bad_time: rated_at 1985-01-01 is before 1990"),
        (b"1,2,3,inf", "bad_time: rated_at 'inf' is not a time"),
        (b"1,2,3,1e308", "bad_time: rated_at '1e308' is not a time"),
        (b"1,2,3,soon", "wrong_type: rated_at 'soon' is not a time"),
        (b"x,2,3,1000000010", "wrong_type: user_id 'x' is not an integer"),
        (b"1.5,2,3,1000000010", "wrong_type: user_id '1.5' is not an integer"),
        (b"1.44829E+18,2,3,1000000010", "wrong_type: user_id '1.44829E+18' has lost digits; write it out in full"),
        (b"1,2,null,1000000010", "missing_field: no rating"),
        (b"1_0,2,3,1000000010", "wrong_type: user_id '1_0' is not a number"),
        (b"1,2,good,1000000010", "wrong_type: rating 'good' is not a number"),
        (b"1,,3,1000000010", "missing_field: no movie_id"),
        (b"1,2,3,", "missing_field: no rated_at"),
        (b"1,2,3", "not_csv: 3 fields where the header has 4"),
        (b"1,2,3,1000000010,11", "not_csv: 5 fields where the header has 4"),
        (b'1,"2,3,1000000010', "not_csv: unexpected end of data"),
        (b"1,2,3,1\0", "not_csv: a NUL byte"),
        (b"1,2,3," + b"9" * 20_000, "oversize: a line of more than 10000 bytes"),
        (b"1,2,3," + b"9" * 3 * CHUNK_BYTES, "oversize: a line of more than 10000 bytes"),
        (b"1,2,3," + b"9" * 9_000, f"wrong_type: rated_at '{'9' * 40}' is not a number"),
    ],
)
def test_a_bad_row_is_named_and_the_others_are_kept(tmp_path: Path, line: bytes, reason: str) -> None:
    content = HEADER + b"1,2,3,1000000010\n\n" + line + b"\n4,5,3,1000000010\n"
    good, bad = read_all(tmp_path / "r.csv", content)
    assert [(row.line_number, row.reason) for row in bad] == [(4, reason)]
    assert bad[0].text == line[:200].decode(errors="replace")
    assert good == [(2, RatingEvent(1, 2, 3.0, 1_000_000_010_000)), (5, RatingEvent(4, 5, 3.0, 1_000_000_010_000))]


def test_a_damaged_line_of_utf8_is_one_bad_row(tmp_path: Path) -> None:
    content = (
        "userId,movieId,rating,timestamp,title\n1,2,3,1147880044,Amélie\n1,3,3,1147880044,".encode() + b"Am\xe9lie\n"
    )
    good, bad = read_all(tmp_path / "r.csv", content)
    assert good == [(2, RatingEvent(1, 2, 3.0, 1_147_880_044_000))]
    assert [(row.line_number, row.reason) for row in bad] == [
        (3, "not_utf8: bytes that are not UTF-8; --encoding says another, such as cp1252")
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\n\r\n", "is empty"),
        (b"userId,rating,timestamp\n1,2,3\n", "has no column movie_id"),
        (b"1;2;x;1147880044\n", "has no column"),
        (b"[1,296,5.0,1147880044]\n", "has no column"),
        (b"userId,user_id,movieId,rating\n", "has two columns for user_id"),
        (b"userId,movieId,rating,rated_at,ratedAt\n", "has two columns for rated_at"),
        (b"\xff\xfeu\x00", "has no column"),
        (b"x" * 3 * CHUNK_BYTES, "does not begin with a line of CSV"),
    ],
)
def test_a_file_without_the_header_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(UsageError, match=says) as raised:
        read_all(tmp_path / "r.csv", content)
    assert "userId,movieId,rating,timestamp" in str(raised.value) or "two columns" in says


def test_a_missing_file_or_a_directory_is_refused(tmp_path: Path) -> None:
    for path, says in ((tmp_path / "none.csv", "there is no file"), (tmp_path, "holds no file")):
        with pytest.raises(UsageError, match=says):
            list(read(path, rating_min=0.5, rating_max=5, now_ms=NOW_MS, on_bad=print))


def test_line_numbers_and_rows_hold_over_many_blocks(tmp_path: Path) -> None:
    """Whole blocks and line-by-line blocks in turn: both ways give the same."""
    count = 150_000
    lines = [f"{i},{i % 900 + 1},{i % 10 / 2 + 0.5},{10**9 + i}" for i in range(1, count + 1)]
    lines[70_000] = "broken"
    path = tmp_path / "r.csv"
    good, bad = read_all(path, HEADER + "\n".join(lines).encode())
    assert path.stat().st_size > 2 * CHUNK_BYTES
    assert [row.line_number for row in bad] == [70_002]
    assert len(good) == count - 1
    assert all(
        line == event.user_id + 1 and event.rated_at_ms == (10**9 + event.user_id) * 1000 for line, event in good
    )


def test_blocks_tell_the_bytes_read(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(HEADER + b"1,2,3.5,10\n" * 200_000)
    blocks = list(read_blocks(path, rating_min=0.5, rating_max=5.0, now_ms=NOW_MS, on_bad=print))
    read_bytes = [block.bytes_read for block in blocks]
    assert read_bytes[-1] == path.stat().st_size
    assert all(before < after <= before + 2 * CHUNK_BYTES for before, after in pairwise(read_bytes))


def is_comment(line: bytes) -> bool:
    return line.strip().startswith(b"#") and line.count(b",") < 3


@examples(300)
@given(
    body=st.one_of(
        st.binary(max_size=300),
        st.lists(
            st.sampled_from(
                [b"1,2,3,1000000010", b"1", b",", b'"', b"\n", b"\r", b"\0", b"\xff", b"-", b"9" * 30, b"e"]
            )
        ).map(b"".join),
        st.text(alphabet='0123456789.,\n\r"', max_size=200).map(str.encode),
    )
)
def test_no_bytes_crash_it_and_the_rows_add_up(tmp_path_factory: pytest.TempPathFactory, body: bytes) -> None:
    good, bad = read_all(tmp_path_factory.getbasetemp() / "arbitrary.csv", HEADER + body)
    lines = [number for number, line in enumerate(body.split(b"\n"), 2) if line.strip() and not is_comment(line)]
    assert sorted([line for line, _ in good] + [row.line_number for row in bad]) == lines


@examples(200)
@given(
    rows=st.lists(
        st.tuples(
            st.integers(1, 2**63 - 1),
            st.integers(1, 2**63 - 1),
            st.floats(0.5, 5.0),
            st.integers(SINCE_MS, NOW_MS),
        )
    )
)
def test_what_csv_writes_is_read_exactly(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, float, int]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "written.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("user_id", "movie_id", "rating", "rated_at"), *rows])
    good, bad = read_all(path, path.read_bytes())
    assert [event for _, event in good] == [RatingEvent(*row) for row in rows]
    assert bad == []
