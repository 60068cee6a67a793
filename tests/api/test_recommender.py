from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import reelstream
from reelstream.als.arrays import Csr
from reelstream.als.fold_in import with_movies
from reelstream.als.transition_rule import ARRIVING_POWER, DAMPING, UNIT
from reelstream.api.lists import recommend
from reelstream.api.movie_filter import Wanted
from reelstream.api.recommender import Recommender
from reelstream.api.snapshot import Snapshots
from reelstream.api.user_ratings import StoredRatings
from reelstream.batch.refit import refit
from reelstream.cli.main import app
from reelstream.errors import AmbiguousTitle, NotReady, UsageError
from reelstream.producer.movies_file import read_movies
from reelstream.settings import load
from reelstream.store import models, new_movies
from reelstream.store.forget import from_version
from reelstream.store.movies import MoviesStore
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from reelstream.store.updates import Updates
from reelstream.top_lists import similar_of
from tests.fixtures.camps import FIRST_MOVIE, add, camps, fill
from tests.fixtures.rows import lists
from tests.serve.conftest import served

TITLES = """movieId,title,genres
1000,"Matrix, The (1999)",Action
1001,Toy Story (1995),Animation
1002,Toy Story 2 (1999),Animation
5000,300 (2006),Action
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with a version of the two camps; the tests only read it."""
    warehouse = tmp_path_factory.mktemp("published")
    csv = warehouse / "movies.csv"
    csv.write_text(TITLES)
    MoviesStore(warehouse).load(read_movies(csv).table)
    fill(warehouse, camps())
    refit(load(warehouse=warehouse, top_n=12))
    return warehouse


@pytest.fixture
def recommender(published: Path) -> Recommender:
    return reelstream.open(published)


def test_a_list_is_the_users_from_the_first_place(recommender: Recommender) -> None:
    movies = recommender.recommend(1, 5)

    assert [movie.rank for movie in movies] == [1, 2, 3, 4, 5]
    assert {(movie.source, movie.version) for movie in movies} == {("refit", "000001")}
    rated = set(recommender.ratings(1)["movie_id"].to_pylist())
    assert rated
    whole = recommender.recommend(1, 1000)
    assert len(whole) == 80 - len(rated)
    assert whole[:12] == recommender.recommend(1, 12)  # so many are published
    assert {movie.source for movie in whole} == {"refit"}
    assert not rated & {movie.movie_id for movie in recommender.recommend(1, 12)}
    for movie in movies:
        assert movie.title == {1000: "Matrix, The (1999)", 1001: "Toy Story (1995)", 1002: "Toy Story 2 (1999)"}.get(
            movie.movie_id
        )


def test_a_user_without_a_rating_gets_the_popular_movies(recommender: Recommender) -> None:
    movies = recommender.recommend(12345, 10)

    assert [movie.movie_id for movie in movies] == [movie.movie_id for movie in recommender.popular(10)]
    assert {movie.source for movie in movies} == {"popular"}


def test_the_popular_list_of_one_who_took_all_back_goes_on_too(warehouse: Path) -> None:
    fill(warehouse, camps())
    version = refit(load(warehouse=warehouse, top_n=3))
    recommender = reelstream.open(warehouse)
    popular = [movie.movie_id for movie in recommender.popular(50)]
    later_ms = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp() * 1000)
    Updates(version.path).append(lists(999, popular[:3], later_ms, source="popular"), 2)

    assert [movie.movie_id for movie in recommender.recommend(999, 3)] == popular[:3]
    assert [movie.movie_id for movie in recommender.recommend(999, 50)] == popular
    assert {movie.source for movie in recommender.recommend(999, 50)} == {"popular"}


def test_an_anonymous_user_gets_the_list_that_a_user_with_these_ratings_gets(recommender: Recommender) -> None:
    own = recommender.ratings(3)
    ratings = dict(zip(own["movie_id"].to_pylist(), own["rating"].to_pylist(), strict=True))

    movies = recommender.recommend(n=12, ratings=ratings)

    assert {movie.source for movie in movies} == {"fold_in"}
    assert not set(ratings) & {movie.movie_id for movie in movies}
    of_user = recommender.recommend(3, 12)
    assert [movie.movie_id for movie in movies[:3]] == [movie.movie_id for movie in of_user[:3]]
    assert [movie.predicted_rating for movie in movies[:3]] == pytest.approx(
        [recommender.predict(3, movie.movie_id).predicted_rating for movie in movies[:3]], abs=1e-3
    )


@pytest.mark.parametrize("ratings", [{}, {99: 5.0}])
def test_an_anonymous_user_of_whom_nothing_is_known_gets_the_popular_movies(
    recommender: Recommender, ratings: dict[int, float]
) -> None:
    movies = recommender.recommend(n=10, ratings=ratings)

    assert [movie.movie_id for movie in movies] == [movie.movie_id for movie in recommender.popular(10)]
    assert {movie.source for movie in movies} == {"popular"}


@pytest.mark.parametrize("stars", [0.0, 5.5, float("nan"), float("inf")])
def test_an_anonymous_users_rating_off_the_scale_is_refused(recommender: Recommender, stars: float) -> None:
    with pytest.raises(UsageError, match=r"from 0\.5 to 5\.0"):
        recommender.recommend(ratings={FIRST_MOVIE: stars})


def test_the_model_is_read_once_a_version(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(warehouse, camps())
    refit(load(warehouse=warehouse))
    recommender = reelstream.open(warehouse)
    read: list[Path] = []
    from_disk = models.load

    def counted(path: Path) -> object:
        read.append(path)
        return from_disk(path)

    monkeypatch.setattr("reelstream.api.snapshot.models.load", counted)
    for user in range(1, 6):
        recommender.predict(user, FIRST_MOVIE)
    assert len(read) == 1

    refit(load(warehouse=warehouse), force=True)
    assert recommender.predict(1, FIRST_MOVIE).version == "000002"
    assert [path.name for path in read if path.name != models.MEASURED][-1] == "version=000002"


def test_a_forgotten_users_list_leaves_the_memory_though_no_pointer_moves(warehouse: Path) -> None:
    store = fill(warehouse, camps())
    version = refit(load(warehouse=warehouse, top_n=3))
    later_ms = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp() * 1000)
    Updates(version.path).append(lists(999, [FIRST_MOVIE], later_ms), store.state().batch)
    recommender = reelstream.open(warehouse)
    assert {movie.source for movie in recommender.recommend(999, 1)} == {"fold_in"}
    pointers = [path.read_bytes() for path in sorted(version.path.parent.rglob("CURRENT"))]

    from_version(version.path, version.model_path, {999})

    assert [path.read_bytes() for path in sorted(version.path.parent.rglob("CURRENT"))] == pointers
    assert {movie.source for movie in recommender.recommend(999)} == {"popular"}


def test_answers_of_a_snapshot_stay_those_of_its_version(warehouse: Path) -> None:
    fill(warehouse, camps())
    settings = load(warehouse=warehouse)
    refit(settings)
    snapshots = Snapshots(warehouse)
    before, want = snapshots.now(), Wanted(5)
    listed = recommend(before, StoredRatings(RatingsStore(warehouse), 1), want)
    assert snapshots.now() is before

    refit(settings, force=True)

    assert recommend(before, StoredRatings(RatingsStore(warehouse), 1), want) == listed
    assert snapshots.now().version.name == "000002"
    assert snapshots.now() is snapshots.now()


def test_new_titles_alone_leave_the_other_parts_as_they_are(warehouse: Path) -> None:
    fill(warehouse, camps())
    refit(load(warehouse=warehouse))
    snapshots = Snapshots(warehouse)
    before = snapshots.now()
    model, published, movies = before.fold_in, before.lists, before.movies

    MoviesStore(warehouse).load(pa.table({"movie_id": [FIRST_MOVIE], "title": ["New"], "genres": [""]}))

    after = snapshots.now()
    assert (movies.title(FIRST_MOVIE), after.title(FIRST_MOVIE)) == (None, "New")
    assert after.fold_in is model
    assert after.lists is published


def test_an_answer_needs_a_user_or_ratings(recommender: Recommender) -> None:
    for ask in (recommender.recommend, recommender.surprises, lambda: recommender.because(movie_id=FIRST_MOVIE)):
        with pytest.raises(UsageError, match="give user= or ratings="):
            ask()
    with pytest.raises(UsageError, match="movie_id="):
        recommender.predict(1)
    given = recommender.predict(ratings=recommender.stars(1), movie_id=FIRST_MOVIE)
    assert given.user_id is None
    assert given.predicted_rating == recommender.predict(1, FIRST_MOVIE).predicted_rating


def test_who_has_rated_every_movie_gets_an_empty_list(warehouse: Path) -> None:
    fill(warehouse, camps())
    store = RatingsStore(warehouse)
    movie_ids = np.unique(camps()[1]).tolist()
    add(store, *((998, movie_id, 4.0) for movie_id in movie_ids))
    refit(load(warehouse=warehouse, top_n=12))
    recommender = reelstream.open(warehouse)
    add(store, *((999, movie_id, 4.0) for movie_id in movie_ids))  # after the refit

    for user in (998, 999):
        assert recommender.recommend(user) == []
        assert recommender.recommend(user, genre=None) == []
    assert recommender.recommend(ratings=dict.fromkeys(movie_ids, 4.0)) == []
    told = CliRunner().invoke(app, ["recommend", "998", "--warehouse", str(warehouse)])
    assert (told.exit_code, told.stdout) == (0, "")
    assert "User 998 has rated every movie of this version; there is none left to recommend." in told.stderr
    with served(load(warehouse=warehouse)) as url:
        answer = httpx.get(f"{url}/v1/users/998/recommendations").json()
    assert answer["movies"] == []


def test_popular_movies_have_the_most_stars_in_all(recommender: Recommender) -> None:
    _, movie_id, stars = camps()
    total = {movie: float(stars[movie_id == movie].sum()) for movie in set(movie_id.tolist())}

    movies = recommender.popular(80)

    assert [entry.score for entry in movies] == sorted(total.values(), reverse=True)
    assert all(total[entry.movie_id] == entry.score for entry in movies)
    assert all(entry.n_ratings == (movie_id == entry.movie_id).sum() for entry in movies)


@pytest.mark.parametrize(
    ("user", "movie", "source"),
    [(1, FIRST_MOVIE, "model"), (12345, FIRST_MOVIE, "movie"), (1, 99, "user"), (12345, 99, "mean")],
)
def test_a_prediction_is_the_sum_of_its_parts(recommender: Recommender, user: int, movie: int, source: str) -> None:
    p = recommender.predict(user, movie)

    assert p.source == source
    assert (p.user_bias != 0, p.movie_bias != 0) == (user == 1, movie == FIRST_MOVIE)
    assert (p.taste != 0) == (source == "model")
    assert p.predicted_rating == min(max(p.mean + p.user_bias + p.movie_bias + p.taste, 0.5), 5.0)
    assert p.user_ratings == recommender.ratings(user).num_rows
    assert (p.movie_ratings > 0) == (movie == FIRST_MOVIE)
    assert p.title == ("Matrix, The (1999)" if movie == FIRST_MOVIE else None)


def test_a_prediction_knows_what_was_rated_just_now(warehouse: Path) -> None:
    store = fill(warehouse, camps())
    refit(load(warehouse=warehouse))
    recommender = reelstream.open(warehouse)
    assert recommender.predict(700, FIRST_MOVIE).source == "movie"

    own = [(700, movie, 5.0) for movie in range(FIRST_MOVIE, FIRST_MOVIE + 20, 2)]
    other = [(700, movie, 1.0) for movie in range(FIRST_MOVIE + 1, FIRST_MOVIE + 20, 2)]
    add(store, *own, *other)
    add(store, (700, FIRST_MOVIE, 4.5))

    p = recommender.predict(700, FIRST_MOVIE)
    assert (p.source, p.user_ratings, p.rated) == ("model", 20, 4.5)
    liked, disliked = (recommender.predict(700, FIRST_MOVIE + entry) for entry in (40, 41))
    assert liked.rated is None
    assert liked.predicted_rating > disliked.predicted_rating + 1


def test_predicted_stars_of_a_list_are_those_of_predict(recommender: Recommender) -> None:
    for movie in recommender.recommend(2, 12):
        assert movie.predicted_rating == pytest.approx(
            recommender.predict(2, movie.movie_id).predicted_rating, abs=1e-3
        )


def test_movies_of_the_same_camp_are_similar(recommender: Recommender) -> None:
    movies = recommender.similar(FIRST_MOVIE, 5)

    assert [movie.rank for movie in movies] == [1, 2, 3, 4, 5]
    assert [movie.score for movie in movies] == sorted((movie.score for movie in movies), reverse=True)
    assert {movie.movie_id % 2 for movie in movies} == {0}
    assert FIRST_MOVIE not in {movie.movie_id for movie in movies}
    with pytest.raises(UsageError, match="movie 5000 has no rating"):
        recommender.similar(5000)


def test_what_is_watched_next_is_in_the_order_of_the_transitions(recommender: Recommender, published: Path) -> None:
    transitions = models.load(recommender.version().model_path).transitions
    assert transitions is not None
    [a] = transitions.index(np.array([FIRST_MOVIE]))
    successors, counts = transitions.row(a)
    damped = counts * (transitions.arriving[successors] / UNIT + DAMPING) ** -ARRIVING_POWER
    expected = transitions.movie_ids[successors[np.argsort(-damped, kind="stable")[:5]]].tolist()

    movies = recommender.watched_next(FIRST_MOVIE, 5)

    assert [movie.movie_id for movie in movies] == expected
    assert [movie.rank for movie in movies] == [1, 2, 3, 4, 5]
    assert movies[0].score == 1
    assert [movie.score for movie in movies] == sorted((movie.score for movie in movies), reverse=True)
    assert recommender.watched_next(FIRST_MOVIE, 0) == []
    with pytest.raises(UsageError, match="5000"):
        recommender.watched_next(5000)


def test_all_lists_at_once_hold_the_newest_of_each_user(warehouse: Path) -> None:
    fill(warehouse, camps())
    version = refit(load(warehouse=warehouse, top_n=3))
    recommender = reelstream.open(warehouse)
    later_ms = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp() * 1000)

    Updates(version.path).append(lists(1, [77, 78], later_ms), 2)

    table = recommender.recommendations()
    assert table.num_rows == 59 * 3 + 2
    assert table["user_id"].to_pylist() == sorted(table["user_id"].to_pylist())
    assert [movie.movie_id for movie in recommender.recommend(1, 2)] == [77, 78]
    assert {movie.source for movie in recommender.recommend(1, 2)} == {"fold_in"}


def test_a_new_version_is_seen_by_the_same_object(warehouse: Path) -> None:
    store = fill(warehouse, camps())
    settings = load(warehouse=warehouse)
    refit(settings)
    recommender = reelstream.open(warehouse)
    assert {movie.version for movie in recommender.recommend(1)} == {"000001"}

    add(store, (1, 4000, 5.0))
    refit(settings)

    assert {movie.version for movie in recommender.recommend(1)} == {"000002"}
    assert recommender.predict(1, 4000).version == "000002"
    assert len(recommender.similar(4000)) == 10


def test_a_movie_folded_in_since_the_refit_is_like_others_and_is_predicted(warehouse: Path) -> None:
    store = fill(warehouse, camps())
    version = refit(load(warehouse=warehouse))
    recommender = reelstream.open(warehouse)
    add(store, *((user, 4000, 5.0 - 4 * (user % 2)) for user in range(1, 41)))
    unknown = recommender.predict(50, 4000)
    assert (unknown.source, unknown.movie_bias, unknown.taste, unknown.movie_ratings) == ("user", 0, 0, 0)
    with pytest.raises(UsageError, match="movie 4000 has no rating"):
        recommender.similar(4000)

    factors = models.load(version.model_path)
    users = factors.user_index(np.arange(1, 41)).astype(np.int32)
    rated = Csr(np.array([0, 40]), users, np.where(np.arange(1, 41) % 2, 1, 5).astype(np.float32))
    more = with_movies(factors, np.array([4000]), rated)
    titles = MoviesStore(warehouse).titles()
    similar = similar_of(more, np.array([4000]), titles, n=7, version=version.name)
    new_movies.save(version, more, np.array([4000]), similar)

    movies = recommender.similar(4000, 7)
    assert [movie.rank for movie in movies] == [1, 2, 3, 4, 5, 6, 7]
    assert {(movie.movie_id - FIRST_MOVIE) % 2 for movie in movies} == {1}  # what even users like
    liked, disliked = recommender.predict(50, 4000), recommender.predict(51, 4000)
    assert (liked.source, liked.movie_ratings) == ("model", 40)
    assert liked.movie_bias == pytest.approx(float(more.movie_bias[-1]))
    assert liked.predicted_rating > disliked.predicted_rating + 1
    assert recommender.predict(12345, 4000).source == "movie"
    assert len(recommender.similar(FIRST_MOVIE)) == 10


def test_titles_are_the_newest(warehouse: Path) -> None:
    fill(warehouse, camps())
    movies = MoviesStore(warehouse)
    ids = list(range(FIRST_MOVIE, FIRST_MOVIE + 40))
    movies.load(pa.table({"movie_id": ids, "title": [f"Old {i}" for i in ids], "genres": [""] * 40}))
    refit(load(warehouse=warehouse, top_n=100))
    recommender = reelstream.open(warehouse)

    def shown() -> dict[int, str | None]:
        lists = [recommender.recommend(1, 100), recommender.recommend(12345, 100), recommender.popular(100)]
        listed = [entry for listed in [*lists, recommender.similar(FIRST_MOVIE, 100)] for entry in listed]
        titles = {(entry.movie_id, entry.title) for entry in listed}
        titles |= set(zip(*(recommender.recommendations()[c].to_pylist() for c in ("movie_id", "title")), strict=True))
        assert len(titles) == len({movie for movie, _ in titles})  # they all say the same
        return dict(titles)

    expected = {i: f"Old {i}" if i in ids else None for i in range(FIRST_MOVIE, FIRST_MOVIE + 80)}
    assert shown() == expected
    movies.load(pa.table({"movie_id": [1002, 1078], "title": ["New", "Now known"], "genres": ["", ""]}))
    assert shown() == {**expected, 1002: "New", 1078: "Now known"}
    assert recommender.predict(1, 1002).title == "New"
    for file in movies.path.iterdir():
        file.unlink()
    assert shown() == expected  # the refit's


def test_a_movie_is_found_by_id_or_title(recommender: Recommender) -> None:
    assert recommender.find_movie("1002") == 1002
    assert recommender.find_movie("the matrix") == 1000
    assert recommender.find_movie("toy story") == 1001
    assert recommender.find_movie("300 (2006)") == 5000
    assert recommender.find_movie("300") == 300  # digits are an id
    with pytest.raises(AmbiguousTitle, match=r"1001 = Toy Story \(1995\), 1002 = Toy Story 2 \(1999\)") as error:
        recommender.find_movie("toy")
    assert error.value.candidates == [(1001, "Toy Story (1995)"), (1002, "Toy Story 2 (1999)")]
    for text in ("Jaws", "", "፩"):
        with pytest.raises(UsageError, match="no movie is called"):
            recommender.find_movie(text)


def test_ids_beyond_64_bits_are_wrong_usage(recommender: Recommender) -> None:
    for ask in (
        lambda: recommender.recommend(2**63),
        lambda: recommender.predict(1, 10**30),
        lambda: recommender.predict(-(2**64), 1),
        lambda: recommender.similar(2**63),
        lambda: recommender.ratings(2**63),
        lambda: recommender.find_movie("9" * 30),
    ):
        with pytest.raises(UsageError, match="beyond 64 bits"):
            ask()
    assert {movie.source for movie in recommender.recommend(2**63 - 1)} == {"popular"}


def test_what_is_not_there_yet_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="reelstream up --warehouse"):
        reelstream.open(tmp_path / "nowhere")
    recommender = reelstream.open(str(tmp_path))
    assert recommender.ratings(1).num_rows == 0
    for ask in (
        lambda: recommender.recommend(1),
        lambda: recommender.predict(1, 2),
        lambda: recommender.similar(1),
        recommender.popular,
        recommender.recommendations,
    ):
        with pytest.raises(NotReady, match="reelstream refit"):
            ask()
    add(RatingsStore(tmp_path), (1, 2, 3.0))
    assert RecommendationsStore(tmp_path).current_or_none() is None
    assert recommender.ratings(1).num_rows == 1


def test_reading_loads_neither_kafka_nor_spark_and_a_list_no_numba(published: Path) -> None:
    code = f"""
import sys, reelstream
recommender = reelstream.open({str(published)!r})
recommender.recommend(1), recommender.similar(1000), recommender.popular()
print(sorted({{"kafka", "pyspark", "numba"}} & set(sys.modules)))
recommender.predict(1, 1000)
print(sorted({{"kafka", "pyspark"}} & set(sys.modules)))
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert said.split("\n") == ["[]", "[]", ""]
