"""Exports of other sites: each row's title, year, rating and time, and what is left out."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from reelstream.errors import UsageError
from reelstream.producer.export_file import Export, read_export

NOW_MS = 1_790_000_000_000
DAY_MS = 86_400_000
MARCH_1_MS = 1_709_251_200_000  # 2024

LETTERBOXD = (
    'Date,Name,Year,Letterboxd URI,Rating\n2024-03-01,"Heat, or: Amélie",1995,https://a,4.5\n2024-03-02,X,,https://b,\n'
)
IMDB = (
    "Const,Your Rating,Date Rated,Title,Original Title,URL,Title Type,IMDb Rating,Year,Genres\n"
    "tt1,9,2024-03-01,Amélie,Le fabuleux destin,u,Movie,8.3,2001,Comedy\n"
    "tt2,7,2024-03-01,Lost,Lost,u,TV Series,8.3,2004,Drama\n"
    "tt3,7,2024-03-01,Pilot,Pilot,u,TV Episode,8.3,2004,Drama\n"
    "tt4,11,2024-03-01,Eleven,Eleven,u,Movie,8.3,2004,Drama\n"
)
OLD_IMDB = (
    '"position","const","created","modified","description","Title","Title type","You rated","Year"\n'
    '"1","tt1","Fri Mar  1 00:00:00 2024","","","Amélie","Documentary","9","2001"\n'
    '"2","tt2","Fri Mar  1 00:00:00 2024","","","Lost","Mini-Series","9","2001"\n'
)
TRAKT = (
    "rated_at,type,title,year,trakt_id,imdb_id,tmdb_id,rating\n"
    "2024-03-01T00:00:00Z,movie,Heat,1995,1,tt0113277,949,8\n"
    "2024-03-01T00:00:00Z,show,Lost,2004,2,tt0411008,4607,8\n"
)
TRAKT_JSON = [
    {
        "rated_at": "2024-03-01T00:00:00.000Z",
        "rating": 8,
        "type": "movie",
        "movie": {"title": "Heat", "year": 1995, "ids": {"trakt": 1, "imdb": "tt0113277"}},
    },
    {
        "rated_at": "2024-03-01T00:00:00.000Z",
        "rating": 8,
        "type": "show",
        "show": {"title": "Lost", "year": 2004, "ids": {}},
    },
]
GOODREADS = (
    "Book Id,Title,Author,ISBN,My Rating,Rated,Year Published,Original Publication Year,Date Read,Date Added,My Review\n"
    '5,"Emma","Jane Austen","=""0141439580""",4,4.0,2003,1815,,2024/03/01,"two\nlines"\n'
    '6,"Dune","Frank Herbert","=""0""",0,4.0,1990,1965,2024/03/01,2024/03/01,\n'
    '7,"It","Stephen King","=""0""",5,4.0,1987,1986,2024/03/02,2024/03/01,\n'
)


def read(path: Path) -> Export:
    return read_export(path, rating_min=0.5, rating_max=5, now_ms=NOW_MS)


def rows(export: Export) -> list[tuple[object, ...]]:
    return [(row.line_number, row.titles, row.year, row.rating, row.rated_at_ms) for row in export.rows]


@pytest.mark.parametrize(
    ("text", "site", "expected", "left_out"),
    [
        (LETTERBOXD, "Letterboxd", [(2, ("Heat, or: Amélie",), 1995, 4.5, MARCH_1_MS)], (1, 0, 0)),
        (IMDB, "IMDb", [(2, ("Amélie", "Le fabuleux destin"), 2001, 9.0, MARCH_1_MS)], (0, 2, 1)),
        (OLD_IMDB, "IMDb", [(2, ("Amélie",), 2001, 9.0, MARCH_1_MS)], (0, 1, 0)),
        (TRAKT, "Trakt", [(2, ("Heat",), 1995, 8.0, MARCH_1_MS)], (0, 1, 0)),
        (json.dumps(TRAKT_JSON), "Trakt", [(1, ("Heat",), 1995, 8.0, MARCH_1_MS)], (0, 1, 0)),
        (json.dumps(TRAKT_JSON, indent=2), "Trakt", [(1, ("Heat",), 1995, 8.0, MARCH_1_MS)], (0, 1, 0)),
        ("\n".join(map(json.dumps, TRAKT_JSON)), "Trakt", [(1, ("Heat",), 1995, 8.0, MARCH_1_MS)], (0, 1, 0)),
        (
            GOODREADS,
            "Goodreads",
            [(3, ("Emma",), 1815, 4.0, MARCH_1_MS), (5, ("It",), 1986, 5.0, MARCH_1_MS + DAY_MS)],
            (1, 0, 0),
        ),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_an_export_is_recognised_by_its_header(
    tmp_path: Path, text: str, site: str, expected: list[object], left_out: tuple[int, int, int], encoding: str
) -> None:
    path = tmp_path / "export"
    path.write_bytes(text.encode(encoding))
    export = read(path)
    assert export.found.startswith(f"export is an export of {site}, ")
    assert rows(export) == expected
    assert (export.unrated, export.not_movies, export.bad.count) == left_out


def test_as_a_spreadsheet_saves_it_and_as_it_is_downloaded(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("sep=;\nDate;Name;Year;Letterboxd URI;Rating\n28.02.2024;Heat;1995;x;4,5\n01.03.2024;Emma;;x;2\n")
    assert rows(read(path)) == [
        (3, ("Heat",), 1995, 4.5, MARCH_1_MS - 2 * DAY_MS),
        (4, ("Emma",), None, 2.0, MARCH_1_MS),
    ]
    with zipfile.ZipFile(tmp_path / "letterboxd.zip", "w") as archive:
        archive.writestr("ratings.csv", LETTERBOXD)
        archive.writestr("watched.csv", "Date,Name,Year,Letterboxd URI\n")
    assert len(read(tmp_path / "letterboxd.zip").rows) == 1


def test_a_row_that_does_not_fit_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text(
        "Date,Name,Year,Letterboxd URI,Rating\nsoon,A,1,x,4\n2024-03-01,,1,x,4\n2024-03-01,B,1,x,good\n,C,,,4\n"
    )
    export = read(path)
    assert [(row.line_number, row.reason) for row in export.bad.first] == [
        (2, "wrong_type: rated_at 'soon' is not a time"),
        (3, "missing_field: no title"),
        (4, "wrong_type: rating 'good' is not a number"),
    ]
    assert rows(export) == [(5, ("C",), None, 4.0, NOW_MS)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("movieId,rating,timestamp\n7,4,1709251200\n8,,1709251200\n", [(2, 7, 4.0, MARCH_1_MS)]),
        ("movieId,rating,timestamp\ntt07,4,1709251200\ntt8,,1709251200\n", [(2, "tt07", 4.0, MARCH_1_MS)]),
        ("movie\trating\n7\t4\n8\tnull\n", [(2, 7, 4.0, NOW_MS)]),
        ("userId,movieId,rating\n1,7,4\n1,8,NaN\n", [(2, 7, 4.0, NOW_MS)]),
        ('{"movieId": 7, "rating": 4}\n{"movieId": 8}\n', [(1, 7, 4.0, NOW_MS)]),
    ],
)
def test_a_file_of_movie_ids(tmp_path: Path, text: str, expected: list[object]) -> None:
    path = tmp_path / "r.csv"
    path.write_text(text)
    export = read(path)
    assert [(row.line_number, row.movie_id, row.rating, row.rated_at_ms) for row in export.rows] == expected
    assert (export.scale, export.unrated, export.bad.count) == (None, 1, 0)
    assert "Its movies are ids." in export.found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("userId,movieId,rating\n1,7,4\n2,7,4\n", "has ratings of several users; send it with `reelstream replay`"),
        ("Date,Name,Year,Letterboxd URI\n", "is an export of Letterboxd without ratings"),
        ("name,score\nA,4\n", "is no export of Letterboxd, IMDb, Trakt, Goodreads, and no file of movie ids"),
        ("movieId,rating\n7,80\n8,90\n", "2 of 2 rows .* off_scale"),
        ("[1, 2]", "is no export of"),
        ("[" * 100_000, "is no export of"),
        ("Date,Name,Year,Letterboxd URI,Rating\n03/04/2024,A,1,x,4\n", "may have the day or the month first"),
        ("", "is empty"),
    ],
)
def test_what_is_no_export_is_said(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "r.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=says):
        read(path)
