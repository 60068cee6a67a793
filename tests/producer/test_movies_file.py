"""Files of movies, as MovieLens and others write them: the same titles and genres, and bad rows by their line."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import pytest

from reelstream.errors import UsageError
from reelstream.producer.movies_file import GENRES_OF_ITEM, read_movies
from reelstream.producer.packed_file import MOVIES_FILES, named_inside

AMELIE = {"movie_id": 1, "title": "Amélie (2001)", "genres": "Comedy|Romance"}
HEAT = {"movie_id": 6, "title": "Heat (1995)", "genres": "Action"}
FLAGS = "|".join("1" if name in ("Comedy", "Romance") else "0" for name in GENRES_OF_ITEM)
ONE = "|".join("1" if name == "Action" else "0" for name in GENRES_OF_ITEM)
FORMS = {
    "MovieLens": "movieId,title,genres\n1,Amélie (2001),Comedy|Romance\n6,Heat (1995),Action\n",
    "semicolons": "movieId;title;genres\n1;Amélie (2001);Comedy|Romance\n6;Heat (1995);Action\n",
    "tabs, other names": "genre\tname\tid\nComedy|Romance\tAmélie (2001)\t1\nAction\tHeat (1995)\t6\n",
    "genres by commas": 'movie_id,title,genres\n1,Amélie (2001),"Comedy, Romance"\n6,Heat (1995),Action\n',
    "TMDB": "id,title,genres\n1,Amélie (2001),\"[{'id': 35, 'name': 'Comedy'}, {'name': 'Romance'}]\"\n"
    "6,Heat (1995),\"[{'name': 'Action'}]\"\n",
    "movies.dat": "1::Amélie (2001)::Comedy|Romance\n6::Heat (1995)::Action\n",
    "u.item": f"1|Amélie (2001)|01-Jan-2001||http://x|{FLAGS}\n6|Heat (1995)|01-Jan-1995||http://y|{ONE}\n",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_movies(tmp_path: Path, form: str, encoding: str) -> None:
    path = tmp_path / "movies"
    for end in ("\n", "\r\n"):
        path.write_bytes(gzip.compress(FORMS[form].replace("\n", end).encode(encoding)))
        found = read_movies(path)
        assert found.table.to_pylist() == [AMELIE, HEAT]
        assert found.bad.count == 0


def test_titles_of_the_netflix_prize_have_commas_and_a_year(tmp_path: Path) -> None:
    path = tmp_path / "movie_titles.csv"
    path.write_bytes('1,2003,Dinosaur "Planet"\n2,NULL,Roti, Kapda, Amélie\n'.encode("latin-1"))
    assert read_movies(path).table.to_pylist() == [
        {"movie_id": 1, "title": 'Dinosaur "Planet" (2003)', "genres": None},
        {"movie_id": 2, "title": "Roti, Kapda, Amélie", "genres": None},
    ]


def test_the_movies_of_a_directory_and_of_an_archive(tmp_path: Path) -> None:
    (tmp_path / "u.item").write_text(FORMS["u.item"], "cp1252")
    (tmp_path / "u.data").write_text("1\t1\t5\t1\n")
    with zipfile.ZipFile(tmp_path / "ml.zip", "w") as archive:
        archive.write(tmp_path / "u.item", "ml-100k/u.item")
        archive.write(tmp_path / "u.data", "ml-100k/u.data")
    for path in (tmp_path, tmp_path / "ml.zip"):
        assert read_movies(path).table.to_pylist() == [AMELIE, HEAT]
        assert named_inside(path, MOVIES_FILES) == "u.item"
    assert named_inside(tmp_path / "u.item", MOVIES_FILES) is None
    (tmp_path / "u.item").unlink()
    assert named_inside(tmp_path, MOVIES_FILES) is None


def test_a_bad_row_is_left_out_and_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "movies.csv"
    path.write_text("movieId,title,genres\n1,Good (2001),Comedy\n1997-08-20,Bad,Drama\n0,None,\n7\n2,Other (2002),\n")

    found = read_movies(path)

    assert found.table["movie_id"].to_pylist() == [1, 0, 2]
    assert found.table["genres"].to_pylist() == ["Comedy", None, None]
    assert [(row.line_number, row.reason) for row in found.bad.first] == [
        (3, "bad_id: '1997-08-20' is not the id of a movie"),
        (5, "not_csv: 1 fields"),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("key,label\n1,x\n", "needs the columns movieId and title in its first line, which is 'key,label'"),
        ("movieId,title\n1\n", "has no movie: line 2: not_csv: 1 fields"),
        ("", "needs the columns movieId and title"),
    ],
)
def test_what_is_no_file_of_movies_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "movies.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=says):
        read_movies(path)
    with pytest.raises(UsageError, match="there is no file"):
        read_movies(tmp_path / "none.csv")


def test_a_title_may_hold_quotes_commas_and_a_line_end(tmp_path: Path) -> None:
    path = tmp_path / "movies.csv"
    path.write_text('movieId,title,genres\n1,"Matrix, The ""1999""\n(a)",Action\nx,bad,\n')
    found = read_movies(path)
    assert found.table["title"].to_pylist() == ['Matrix, The "1999"\n(a)']
    assert found.bad.first[0].line_number == 4
