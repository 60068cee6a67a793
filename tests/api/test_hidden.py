"""A hidden movie is in no answer and in no table; lists stay as long as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import reelstream
from reelstream.api.recommender import Recommender
from reelstream.batch.refit import refit
from reelstream.settings import load
from reelstream.store.hidden_movies import HiddenMovies
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from reelstream.stream.fold_in import FoldInStage
from tests.fixtures.camps import FIRST_MOVIE
from tests.fixtures.rows import ratings, rejects
from tests.serve.conftest import publish

REFIT_USER, FOLDED_USER, UNKNOWN_USER = 7, 900, 555
Ids = Callable[[Recommender], Iterable[int]]
GIVEN = {FIRST_MOVIE + 2 * i: 5.0 for i in range(6)}

LISTS: dict[str, Ids] = {
    "of the refit": lambda r: [m.movie_id for m in r.recommend(REFIT_USER, 12)],
    "longer": lambda r: [m.movie_id for m in r.recommend(REFIT_USER, 30)],
    "folded in": lambda r: [m.movie_id for m in r.recommend(FOLDED_USER, 12)],
    "folded in, longer": lambda r: [m.movie_id for m in r.recommend(FOLDED_USER, 30)],
    "with an offset": lambda r: [m.movie_id for m in r.recommend(REFIT_USER, 6, offset=3)],
    "with a genre": lambda r: [m.movie_id for m in r.recommend(REFIT_USER, 12, genres=["comedy", "action"])],
    "with seen movies": lambda r: [m.movie_id for m in r.recommend(REFIT_USER, 12, include_seen=True)],
    "of an unknown user": lambda r: [m.movie_id for m in r.recommend(UNKNOWN_USER, 12)],
    "of an anonymous user": lambda r: [m.movie_id for m in r.recommend(ratings=GIVEN, n=12)],
    "of a group": lambda r: [m.movie_id for m in r.recommend_to_group({REFIT_USER: None, UNKNOWN_USER: None}, 12)],
    "popular": lambda r: [m.movie_id for m in r.popular(12)],
    "popular of a genre": lambda r: [m.movie_id for m in r.popular(12, genres=["action"])],
    "similar": lambda r: [m.movie_id for m in r.similar(FIRST_MOVIE + 1, 12)],
    "watched next": lambda r: [m.movie_id for m in r.watched_next(FIRST_MOVIE + 1, 12)],
    "surprises": lambda r: [m.movie_id for m in r.surprises(REFIT_USER, 5)],
    "reasons": lambda r: [m.movie_id for m in r.because(REFIT_USER, FIRST_MOVIE).reasons],
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version, and a user who was folded into it since."""
    settings = publish(tmp_path_factory.mktemp("hidden") / "warehouse")
    store, fold_in = RatingsStore(settings.warehouse), FoldInStage(settings)
    fold_in.refresh()
    offset = store.state().offsets["ratings"][0]
    rows = ratings(*((FOLDED_USER, FIRST_MOVIE + 2 * i, 5.0) for i in range(4)), offset=offset)
    fold_in.fold(rows, store.append(rows, rejects(), {"ratings": {0: offset + 4}}).batch)
    return settings.warehouse


@pytest.fixture
def warehouse(original: Path) -> Any:
    """The one of all tests, with no movie hidden again afterwards."""
    yield original
    HiddenMovies(original).path.unlink(missing_ok=True)


@pytest.mark.parametrize("name", LISTS)
def test_a_hidden_movie_leaves_the_list_and_the_next_ones_take_its_place(warehouse: Path, name: str) -> None:
    look, recommender = LISTS[name], reelstream.open(warehouse)
    before = list(look(recommender))
    hidden = before[1:4:2]
    assert len(hidden) == 2

    HiddenMovies(warehouse).set(hidden, hidden=True)

    for reader in (recommender, reelstream.open(warehouse)):
        after = list(look(reader))
        kept = [movie for movie in before if movie not in hidden]
        assert not set(after) & set(hidden)
        assert after[: len(kept)] == kept
        if name not in ("watched next", "surprises", "reasons", "popular of a genre"):
            assert len(after) == len(before)
    HiddenMovies(warehouse).set(hidden, hidden=False)
    assert list(look(recommender)) == before


def test_places_and_scores_are_those_of_a_list_without_it(warehouse: Path) -> None:
    recommender = reelstream.open(warehouse)
    for user in (REFIT_USER, FOLDED_USER):
        before = recommender.recommend(user, 30)
        HiddenMovies(warehouse).set([before[0].movie_id], hidden=True)
        after = recommender.recommend(user, 29)
        assert [one.rank for one in after] == list(range(1, 30))
        assert [(one.movie_id, one.score) for one in after] == [
            (one.movie_id, pytest.approx(one.score)) for one in before[1:]
        ]
        assert {(one.source, one.version) for one in after} == {(before[0].source, before[0].version)}


def test_the_tables_and_the_views_are_without_it(warehouse: Path) -> None:
    recommender = reelstream.open(warehouse)
    table = recommender.recommendations()
    movie_id = table["movie_id"][0].as_py()
    HiddenMovies(warehouse).set([movie_id], hidden=True)

    left = recommender.recommendations()
    assert 0 < table.num_rows - left.num_rows == table["movie_id"].to_pylist().count(movie_id)
    users, rank = left["user_id"].to_numpy(), left["rank"].to_numpy()
    _, first, counts = np.unique(users, return_index=True, return_counts=True)
    assert rank.tolist() == (np.arange(len(users)) - np.repeat(first, counts) + 1).tolist()
    db = reelstream.connect(warehouse)
    for column, view in (("movie_id", "recommendations"), ("similar_movie_id", '"similar"')):
        assert db.execute(f"SELECT count(*) FROM {view} WHERE {column} = {movie_id}").fetchone() == (0,)
    broken = db.execute('SELECT movie_id FROM "similar" GROUP BY 1 HAVING max(rank) <> count(*)').fetchall()
    assert broken == []
    assert db.execute("SELECT movie_id FROM hidden").fetchall() == [(movie_id,)]
    assert db.execute(f"SELECT count(*) > 0 FROM ratings WHERE movie_id = {movie_id}").fetchone() == (True,)


def test_questions_about_the_movie_itself_are_answered_and_it_is_marked(warehouse: Path) -> None:
    recommender = reelstream.open(warehouse)
    HiddenMovies(warehouse).set([FIRST_MOVIE, 77], hidden=True)

    assert recommender.movie(FIRST_MOVIE).hidden
    assert not recommender.movie(FIRST_MOVIE + 1).hidden
    assert [one.hidden for one in recommender.search("matrix")] == [True]
    assert recommender.similar(FIRST_MOVIE)
    assert recommender.predict(REFIT_USER, FIRST_MOVIE).predicted_rating
    assert {(one.movie_id, one.title) for one in recommender.hidden()} == {
        (FIRST_MOVIE, "Matrix, The (1980)"),
        (77, None),
    }


def test_ratings_of_hidden_movies_still_count_in_a_score(warehouse: Path) -> None:
    recommender = reelstream.open(warehouse)
    before = recommender.because(REFIT_USER, FIRST_MOVIE)
    HiddenMovies(warehouse).set([before.reasons[0].movie_id], hidden=True)

    after = recommender.because(REFIT_USER, FIRST_MOVIE)

    assert after.score == before.score
    assert after.reasons == before.reasons[1:]
    assert (after.hidden_count, after.hidden_part) == (1, before.reasons[0].part)
    assert sum(one.part for one in after.reasons) + after.hidden_part == pytest.approx(after.score, abs=1e-5)


def test_a_refit_and_a_fold_in_make_lists_without_it(tmp_path: Path) -> None:
    settings = publish(tmp_path / "warehouse")
    warehouse = settings.warehouse
    hidden = [one.movie_id for one in reelstream.open(warehouse).popular(3)]
    HiddenMovies(warehouse).set(hidden, hidden=True)
    known = refit(load(warehouse=warehouse, top_n=12), force=True)
    published = RecommendationsStore(warehouse)
    for kind, column in (("users", "movie_id"), ("similar", "similar_movie_id"), ("popular", "movie_id")):
        rows = published.read(kind, known)
        assert not set(rows[column].to_pylist()) & set(hidden)
    users = published.read("users", known)
    assert users.num_rows == 12 * len(set(users["user_id"].to_pylist()))
    assert published.read("similar", known).num_rows == 80 * 12
    fold_in, store = FoldInStage(settings), RatingsStore(warehouse)
    fold_in.refresh()
    offset = store.state().offsets["ratings"][0]
    one_more = published.read("popular", known)["movie_id"][0].as_py()
    HiddenMovies(warehouse).set([one_more], hidden=True)
    rows = ratings((FOLDED_USER, FIRST_MOVIE, 5.0), (FOLDED_USER, FIRST_MOVIE + 2, 5.0), offset=offset)
    fold_in.fold(rows, store.append(rows, rejects(), {"ratings": {0: offset + 2}}).batch)
    listed = published.read_users(known, [FOLDED_USER])
    assert listed.num_rows == 12
    assert not set(listed["movie_id"].to_pylist()) & {*hidden, one_more}
    assert known.info["movies"] == 80
