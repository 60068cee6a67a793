"""Text ids: their numbers, the tables that have both, and what is kept when a user is forgotten."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reelstream
from reelstream.errors import BadRating, UsageError
from reelstream.ids import MAX_ID, TEXTS_FROM, check_id, is_integer, number_of
from reelstream.producer.movies_file import read_movies
from reelstream.store import id_texts
from reelstream.store.forget import forget
from reelstream.store.hidden_movies import HiddenMovies, HideChange
from reelstream.store.movies import MoviesStore
from reelstream.store.ratings import RatingsStore
from tests.fixtures.text_ids import MOVIE_IDS, USER_IDS, published, take


@given(st.integers(0, MAX_ID))
def test_an_integer_is_its_own_number_also_as_text(number: int) -> None:
    check_id("user_id", number)
    assert number_of(number) == number_of(str(number)) == number
    assert is_integer(str(number))


@given(st.text(max_size=40))
def test_other_texts_have_numbers_of_their_own(text: str) -> None:
    if is_integer(text):
        return
    try:
        check_id("user_id", text)
    except BadRating:
        return
    assert TEXTS_FROM <= number_of(text) <= MAX_ID
    assert number_of(text) != number_of(text + "x")


def test_the_number_of_a_text_is_for_good() -> None:
    """It stands in warehouses: another one would lose them."""
    assert number_of("tt0114709") == 4728958525928443465
    assert number_of("007") == 5929727817741443183


@pytest.mark.parametrize("bad", ["", " x", "x\n", "a\x00b", "x" * 201, "\ud800", -1, 2**63])
def test_what_cannot_be_an_id(bad: int | str) -> None:
    with pytest.raises(BadRating, match="bad_id"):
        check_id("user_id", bad)


def test_tables_have_the_owners_ids_and_their_numbers(tmp_path: Path) -> None:
    settings = published(tmp_path / "warehouse")
    path = settings.warehouse

    lists = pq.read_table(path / "recommendations" / "latest" / "users")
    assert set(lists["user_id"].to_pylist()) == set(USER_IDS)
    assert set(lists["movie_id"].to_pylist()) <= set(MOVIE_IDS)
    assert lists["user_number"].to_pylist() == [number_of(one) for one in lists["user_id"].to_pylist()]
    similar = pq.read_table(path / "recommendations" / "latest" / "similar" / "part-0.parquet")
    assert {"movie_id", "similar_movie_id", "movie_number", "similar_movie_number"} <= set(similar.column_names)
    [file] = (path / "ratings").glob("batch=*/*.parquet")
    assert set(pq.read_table(file)["user_id"].to_pylist()) == set(USER_IDS)

    ratings = reelstream.connect(path).sql("SELECT DISTINCT user_id FROM ratings").fetchall()
    assert {user for (user,) in ratings} == set(USER_IDS)


def test_answers_have_the_owners_ids(tmp_path: Path) -> None:
    recommender = reelstream.open(published(tmp_path / "warehouse").warehouse)
    user, movie = USER_IDS[0], MOVIE_IDS[0]

    best = recommender.recommend(user, 3)
    assert {row.movie_id for row in best} <= set(MOVIE_IDS) - set(recommender.stars(user))
    assert [row.movie_id for row in recommender.recommend(ratings=dict(recommender.stars(user)), n=3)]
    assert recommender.predict(user, movie).user_id == user
    assert recommender.because(user, best[0].movie_id).reasons[0].movie_id in recommender.stars(user)
    assert {row.movie_id for row in recommender.similar(movie)} <= set(MOVIE_IDS)
    group = recommender.recommend_to_group({user: None, USER_IDS[1]: None}, 2)
    assert set(group[0].predicted_ratings) == {user, USER_IDS[1]}
    assert recommender.find_movie(movie) == movie
    assert set(recommender.recommendations()["user_id"].to_pylist()) == set(USER_IDS)
    assert set(recommender.ratings(user)["user_id"].to_pylist()) == {user}


def test_compaction_and_a_new_process_keep_the_texts(tmp_path: Path) -> None:
    store = RatingsStore(tmp_path)
    for number in range(20):
        take(store, [(f"user-{number}", f"tt{number}", 4.0)])
    while store.compact():
        pass
    id_texts._SHARED.clear()

    texts = id_texts.of_warehouse(tmp_path).now()
    assert len(store.state().ids) < 20
    assert [texts.own("user_id", number_of(f"user-{n}")) for n in range(20)] == [f"user-{n}" for n in range(20)]
    assert texts.own("user_id", 7) == "7"


def test_a_forgotten_users_text_is_in_no_file(tmp_path: Path) -> None:
    settings = published(tmp_path / "warehouse")
    store = RatingsStore(settings.warehouse)
    leaves, stays = USER_IDS[0], USER_IDS[1]

    store.append(store.read(user_ids=[-1]), store.read_rejects().slice(0, 0), {}, [(number_of(leaves), 2**42)])
    forget(store)

    files = {path.resolve() for path in settings.warehouse.rglob("*.parquet")}
    of_them = [path for path in files if leaves in str(pq.read_table(path, partitioning=None).to_pydict())]
    assert of_them == []
    assert id_texts.of_warehouse(settings.warehouse).now().own("user_id", number_of(stays)) == stays
    take(store, [(leaves, MOVIE_IDS[0], 5.0)])
    assert reelstream.open(settings.warehouse).stars(leaves) == {MOVIE_IDS[0]: 5.0}


def test_titles_of_text_ids_may_come_before_any_rating(tmp_path: Path) -> None:
    csv = tmp_path / "movies.csv"
    csv.write_text("movieId,title\ntt1,First (2001)\ntt2,Second (2002)\n")
    warehouse = tmp_path / "warehouse"
    MoviesStore(warehouse).load(read_movies(csv).table)

    assert [row.movie_id for row in reelstream.open(warehouse).search("second")] == ["tt2"]
    take(RatingsStore(warehouse), [(1, 2, 3.0)])
    with pytest.raises(UsageError, match=r"integer ids, and these have text ids such as 'tt1'"):
        MoviesStore(warehouse).load(read_movies(csv).table)


def test_a_movie_that_nobody_has_rated_is_hidden_by_its_text(tmp_path: Path) -> None:
    warehouse = published(tmp_path / "warehouse").warehouse
    HiddenMovies(warehouse).set(["tt-new", MOVIE_IDS[0]], hidden=True)
    HiddenMovies(warehouse).set([MOVIE_IDS[1]], hidden=True)  # which writes the others anew
    id_texts._SHARED.clear()

    table = pq.read_table(warehouse / "movies" / "hidden.parquet")
    assert set(table["movie_id"].to_pylist()) == {"tt-new", *MOVIE_IDS[:2]}
    assert set(table["movie_number"].to_pylist()) == {number_of(one) for one in ("tt-new", *MOVIE_IDS[:2])}
    assert {one.movie_id for one in reelstream.open(warehouse).hidden()} == {"tt-new", *MOVIE_IDS[:2]}
    assert take(RatingsStore(warehouse), [(USER_IDS[0], "tt-new", 3.0)]) == 0
    assert reelstream.open(warehouse).stars(USER_IDS[0])["tt-new"] == 3.0


def test_a_number_in_the_place_of_a_text_is_no_text(tmp_path: Path) -> None:
    """As a file of hidden movies has it that was written before the first ratings."""
    store = RatingsStore(tmp_path)
    HiddenMovies(tmp_path).set(["tt-new"], hidden=True)
    take(store, [("a", "tt1", 3.0)])
    HiddenMovies(tmp_path).apply([HideChange(number_of("tt1"), True, 1)])

    assert take(store, [("a", "tt-new", 3.0)]) == 0

    assert store.ids.now().own("movie_id", number_of("tt-new")) == "tt-new"
