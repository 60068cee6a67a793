"""Events that hide or dismiss a movie, among ratings: through Spark, the stores, the lists and what reads them."""

from __future__ import annotations

import itertools
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import reelstream
from reelstream.batch.refit import refit
from reelstream.events import DismissEvent, ForgetEvent, HideEvent
from reelstream.ids import number_of
from reelstream.settings import Settings
from reelstream.store.dismissed import DismissedStore
from reelstream.store.forget import forget
from reelstream.store.hidden_movies import HiddenMovies
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from reelstream.stream.fold_in import FoldInStage
from reelstream.stream.ids import new_ids
from reelstream.stream.parse import PARSED, check
from tests.fixtures import text_ids
from tests.fixtures.rows import ratings, rejects
from tests.stream.test_ingest import MOVIE, NOW, OTHER, TIME, USER, Take, fold_in, rated, settings, take

__all__ = ["fold_in", "settings", "take"]  # fixtures
KNOWN, UNRATED = 7, 901


def dismiss(movie_id: int, seconds: int, user_id: int = USER, *, undo: bool = False) -> DismissEvent:
    return DismissEvent(user_id, movie_id, not undo, TIME + 1000 * seconds)


def best(settings: Settings, user_id: int = USER, n: int = 20) -> list[int]:
    return [movie.movie_id for movie in reelstream.open(settings.warehouse).recommend(user_id, n)]


def stored(settings: Settings, user_id: int = USER) -> list[int]:
    """The newest list in the files, as they are."""
    published = RecommendationsStore(settings.warehouse)
    movie_ids: list[int] = published.read_users(published.current(), [user_id])["movie_id"].to_pylist()
    return movie_ids


@pytest.mark.parametrize("user_id", [USER, KNOWN, UNRATED])
def test_a_dismissed_movie_leaves_the_list_until_it_is_taken_back(settings: Settings, take: Take, user_id: int) -> None:
    take(rated(MOVIE, 5.0, 1), rated(OTHER, 5.0, 1))
    before = best(settings, user_id)

    report = take(dismiss(before[0], 10, user_id), dismiss(before[2], 10, user_id))

    assert (report.accepted, report.rejected, report.folded.users) == (2, 0, 1)
    after = best(settings, user_id)
    assert after[:18] == [movie for movie in before if movie not in (before[0], before[2])]
    assert len(after) == 20
    assert stored(settings, user_id) == after
    assert before[0] not in [
        movie.movie_id for movie in reelstream.open(settings.warehouse).recommend(user_id, 90, include_seen=True)
    ]
    take(dismiss(before[0], 20, user_id, undo=True), dismiss(before[2], 5, user_id, undo=True))
    assert best(settings, user_id) == [movie for movie in [*before, *after[18:]] if movie != before[2]][:20]


def test_no_rating_comes_of_it_and_no_model_learns_from_it(settings: Settings, take: Take) -> None:
    state = RatingsStore(settings.warehouse).state()
    first = best(settings, KNOWN)[0]
    predicted = reelstream.open(settings.warehouse).predict(KNOWN, first).predicted_rating

    take(dismiss(first, 10, KNOWN))

    assert RatingsStore(settings.warehouse).state().directories == state.directories
    assert RatingsStore(settings.warehouse).state().accepted == state.accepted + 1
    assert reelstream.open(settings.warehouse).predict(KNOWN, first).predicted_rating == predicted
    assert reelstream.connect(settings.warehouse).execute("SELECT user_id, movie_id FROM dismissed").fetchall() == [
        (KNOWN, first)
    ]


def test_it_holds_after_a_refit_a_restart_and_for_a_group(settings: Settings, take: Take) -> None:
    [first, second, *_] = best(settings, KNOWN)
    take(dismiss(first, 10, KNOWN), dismiss(second, 10, UNRATED))
    version = refit(settings, force=True)

    assert first not in RecommendationsStore(settings.warehouse).read_users(version, [KNOWN])["movie_id"].to_pylist()
    assert len(stored(settings, KNOWN)) == settings.top_n
    FoldInStage(settings).refresh()
    group = reelstream.open(settings.warehouse).recommend_to_group({KNOWN: None, UNRATED: None, 9: None}, 80)
    for shown in (best(settings, KNOWN, 80), stored(settings, KNOWN), [movie.movie_id for movie in group]):
        assert first not in shown
    assert second not in [movie.movie_id for movie in group]
    assert second in best(settings, KNOWN, 80)


def test_a_list_that_the_stream_could_not_write_is_right_all_the_same(
    settings: Settings, take: Take, fold_in: FoldInStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a kill between the store and the lists."""
    [first, *_] = best(settings, KNOWN)
    with monkeypatch.context() as patch:
        patch.setattr(fold_in, "fold", lambda *_: (_ for _ in ()).throw(OSError("no disk")))
        with pytest.raises(OSError, match="no disk"):
            take(dismiss(first, 10, KNOWN))
    assert first in stored(settings, KNOWN)
    assert first not in best(settings, KNOWN)
    table = reelstream.open(settings.warehouse).recommendations()
    assert first not in table.filter(np.array(table["user_id"]) == KNOWN)["movie_id"].to_pylist()

    again = FoldInStage(settings)
    again.refresh()

    assert first not in stored(settings, KNOWN)
    assert len(stored(settings, KNOWN)) == settings.top_n


def test_a_hidden_movie_leaves_every_list_in_order_of_the_times(settings: Settings, take: Take) -> None:
    [first, second, *_] = best(settings, KNOWN)
    accepted = RatingsStore(settings.warehouse).state().accepted

    report = take(
        HideEvent(first, True, TIME),
        rated(first, 5.0, 1),
        HideEvent(second, True, TIME + 2),
        HideEvent(second, False, TIME + 1),
    )

    assert (report.accepted, report.rejected) == (4, 0)
    assert RatingsStore(settings.warehouse).state().accepted == accepted + 4
    assert HiddenMovies(settings.warehouse).ids().tolist() == sorted([first, second])
    assert not {first, second} & {*best(settings, KNOWN, 80), *stored(settings, USER)}
    take(HideEvent(first, False, TIME + 10))
    assert best(settings, KNOWN)[0] == first


def test_a_user_who_is_forgotten_begins_with_nothing_dismissed(settings: Settings, take: Take) -> None:
    report = take(rated(MOVIE, 5.0, 1), dismiss(OTHER, 2))
    assert report.accepted == 2
    report = take(dismiss(MOVIE + 4, 3), ForgetEvent(USER, TIME + 10_000), dismiss(MOVIE + 6, 20), dismiss(MOVIE, 4))
    assert (report.accepted, report.rejected) == (2, 2)

    forget(RatingsStore(settings.warehouse))

    assert DismissedStore(settings.warehouse).now().of_user(USER)["movie_id"].tolist() == [MOVIE + 6]
    assert reelstream.open(settings.warehouse).dismissed(USER)[0].dismissed_at < NOW + timedelta(days=1)


def test_a_user_who_is_not_known_keeps_a_list_without_what_was_dismissed(settings: Settings, take: Take) -> None:
    popular = best(settings, UNRATED, 10)
    take(*(dismiss(movie, 10, UNRATED) for movie in popular))

    assert not set(popular) & set(best(settings, UNRATED, 60))
    assert len(stored(settings, UNRATED)) == settings.top_n
    listed = reelstream.open(settings.warehouse).recommend(UNRATED, 3)
    assert [movie.rank for movie in listed] == [1, 2, 3]
    assert {movie.source for movie in listed} == {"popular"}
    refit(settings, force=True)
    assert not set(popular) & set(best(settings, UNRATED, 60))


def test_text_ids_are_hidden_and_dismissed_and_shown_as_they_are(warehouse: Path) -> None:
    settings = text_ids.published(warehouse)
    user, reader, store = text_ids.user(7), reelstream.open(warehouse), RatingsStore(warehouse)
    stage = FoldInStage(settings)
    stage.refresh()
    [first, second, third, *_] = [movie.movie_id for movie in reader.recommend(user, 5)]
    events = [
        HideEvent(first, True, TIME),
        HideEvent("tt-next", True, TIME),
        DismissEvent(user, second, True, TIME),
        DismissEvent(user, "tt-new", True, TIME),
        DismissEvent("new@user.org", third, True, TIME),
    ]
    place = {"topic": "live", "partition": 0, "received_at_ms": TIME * 2}
    raw = [{"raw": event.to_json(), "offset": offset, **place} for offset, event in enumerate(events)]
    rows = check(pa.Table.from_pylist(raw, PARSED), rating_min=0.5, rating_max=5.0)

    found = new_ids(rows, store.state().text_ids, store.ids.now())
    assert pc.all(pc.is_null(found.rows["reason"])).as_py()
    dismissers = stage.take(found.rows, store.state().batch + 1, store.ids.now().plus(found.ids))
    state = store.append(ratings(), rejects(), {"live": {0: 5}}, others=5, text_ids=found.is_text, ids=found.ids)
    stage.fold(ratings(), state.batch, dismissers)

    assert not {first, second} & {movie.movie_id for movie in reader.recommend(user, 80)}
    assert {movie.movie_id for movie in reader.hidden()} == {first, "tt-next"}
    assert {movie.movie_id for movie in reader.dismissed(user)} == {second, "tt-new"}
    files = [*(warehouse / "dismissed").glob("*.parquet"), warehouse / "movies" / "hidden.parquet"]
    in_files = [pq.read_table(file, partitioning=None)["movie_id"].to_pylist() for file in files]
    assert set(itertools.chain.from_iterable(in_files)) == {first, second, third, "tt-new", "tt-next"}
    assert third not in {movie.movie_id for movie in reader.recommend("new@user.org", 80)}
    db = reelstream.connect(warehouse)
    assert set(db.execute("SELECT movie_id FROM hidden").fetchall()) == {(first,), ("tt-next",)}
    assert set(db.execute("SELECT user_id, movie_id FROM dismissed").fetchall()) == {
        (user, second),
        (user, "tt-new"),
        ("new@user.org", third),
    }
    table = reader.recommendations()
    assert first not in table["movie_id"].to_pylist()


def test_hidden_movies_leave_the_files_of_the_version(settings: Settings, take: Take, fold_in: FoldInStage) -> None:
    take(rated(MOVIE, 5.0, 1))
    reader = reelstream.open(settings.warehouse)
    [first, second, *_] = best(settings, KNOWN)
    nearest = reader.similar(second)[0].movie_id
    popular = reader.popular(1)[0].movie_id
    hidden = {first, best(settings)[0], nearest, popular}
    HiddenMovies(settings.warehouse).set(hidden, hidden=True)
    version = RecommendationsStore(settings.warehouse).current()

    assert fold_in.take_off_hidden()

    for directory, movie, owner in (
        ("users", "movie_id", ["user_id"]),
        ("updates", "movie_id", ["user_id", "as_of"]),
        ("similar", "similar_movie_id", ["movie_id"]),
        ("popular", "movie_id", ["version"]),
    ):
        table = pandas.concat(map(pandas.read_parquet, sorted((version.path / directory).glob("*.parquet"))))
        assert len(table)
        assert not hidden & set(table[movie]), directory
        assert (table.groupby(owner)["rank"].agg(lambda ranks: [*ranks] == [*range(1, len(ranks) + 1)])).all()
    assert not fold_in.take_off_hidden()
    assert len(best(settings, KNOWN)) == len(reader.popular(20)) == 20
    assert len(reader.similar(second)) == 10
    refit(settings, force=True)
    fold_in.refresh()
    assert not fold_in.take_off_hidden()


def test_a_list_of_hidden_movies_alone_gives_way_to_a_newer_one(
    settings: Settings, take: Take, fold_in: FoldInStage
) -> None:
    [first, *_] = best(settings, KNOWN)
    take(rated(first, 5.0, 1, KNOWN))
    HiddenMovies(settings.warehouse).set(stored(settings, KNOWN), hidden=True)

    assert fold_in.take_off_hidden()

    assert len(stored(settings, KNOWN)) == settings.top_n
    assert first not in {*stored(settings, KNOWN), *best(settings, KNOWN)}
    assert not set(stored(settings, KNOWN)) & set(HiddenMovies(settings.warehouse).ids().tolist())


def test_text_ids_stay_in_files_that_hidden_movies_leave(warehouse: Path) -> None:
    settings = text_ids.published(warehouse)
    user, reader, stage = text_ids.user(7), reelstream.open(warehouse), FoldInStage(settings)
    stage.refresh()
    first, second = (movie.movie_id for movie in reader.recommend(user, 2))
    HiddenMovies(warehouse).set([number_of(first)], hidden=True)

    assert stage.take_off_hidden()

    users = pandas.read_parquet(warehouse / "recommendations" / "latest" / "users")
    assert first not in set(users.movie_id)
    assert users[users.user_id == user].sort_values("rank").movie_id.iloc[0] == second
