"""`rate --file` with a real broker: an export's movies found by title and year, and the others told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reelstream.store.ratings import RatingsStore
from tests.cli.conftest import Answer, Reelstream
from tests.fixtures.published import MATRIX, PULP_FICTION, TOY_STORY, publish
from tests.fixtures.rows import ratings, rejects
from tests.producer.topic import records_of

IMDB = """Const,Your Rating,Date Rated,Title,Title Type,Year
tt1,9,2024-03-01,The Matrix,Movie,1999
tt1,2,2024-02-01,The Matrix,Movie,1999
tt2,7,2024-03-02,pulp fiction,Movie,1995
tt3,7,2024-03-02,Lost,TV Series,2004
tt4,7,2024-03-03,Toy Story,Movie,2010
tt5,7,2024-03-03,[red]Solaris,Movie,1972
tt6,,2024-03-03,Toy Story,Movie,1995
tt7,11,2024-03-03,Toy Story,Movie,1995
"""
Sent = Callable[[], list[tuple[int, int, float, str]]]


@pytest.fixture
def ask(reelstream: Reelstream, warehouse: Path, bootstrap_servers: str, topic: str) -> Callable[..., Answer]:
    publish(warehouse)
    place = ("--warehouse", warehouse, "--bootstrap-servers", bootstrap_servers, "--topic", topic)
    return lambda *words: reelstream("rate", *words, *place)


@pytest.fixture
def imdb(tmp_path: Path) -> Path:
    path = tmp_path / "imdb.csv"
    path.write_text(IMDB)
    return path


@pytest.fixture
def sent(bootstrap_servers: str, topic: str) -> Sent:
    """(user, movie, stars, day) of the events in the topic, sorted."""

    def look() -> list[tuple[int, int, float, str]]:
        events = [record.event() for record in records_of(bootstrap_servers, topic)]
        return sorted((one.user_id, one.movie_id, one.rating or 0, f"{one.rated_at:%Y-%m-%d}") for one in events)

    return look


def test_what_is_found_is_rated_and_the_rest_is_told(
    ask: Callable[..., Answer], imdb: Path, sent: Sent, warehouse: Path
) -> None:
    newer_ms = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp() * 1000)
    RatingsStore(warehouse).append(ratings((7, MATRIX, 1.0), rated_at_ms=newer_ms), rejects(), {"elsewhere": {0: 1}})

    answer = ask(7, "--file", imdb, "-n", 0)

    assert answer.code == 8
    assert answer.out.splitlines() == [
        "imdb.csv is an export of IMDb, UTF-8. Ratings from 1 to 10 become 0.5 to 5, rounded to half ones.",
        "User 7: 2 ratings are in Kafka, from 2024-03-01 to 2024-03-02.",
    ]
    assert answer.err.splitlines() == [
        "1 row without a rating: left out.",
        "1 row of series, episodes or games: left out.",
        "1 row of a movie with a newer row: left out.",
        "1 of these movies has a newer rating here, which stays.",
        "2 rows were matched to no movie:",
        f"  line 6: Toy Story (2010): of another year: {TOY_STORY} = Toy Story (1995)",
        "  line 7: [red]Solaris (1972): not found",
        "1 bad row was left out:",
        "  line 9: off_scale: rating 11 is not between 1 and 10: 'tt7,11,2024-03-03,Toy Story,Movie,1995'",
    ]
    assert sent() == [(7, MATRIX, 4.5, "2024-03-01"), (7, PULP_FICTION, 3.5, "2024-03-02")]


def test_who_was_forgotten_gives_the_ratings_of_a_file_anew(
    ask: Callable[..., Answer], imdb: Path, sent: Sent, warehouse: Path
) -> None:
    forgotten_ms = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp() * 1000)
    RatingsStore(warehouse).append(ratings(), rejects(), {"elsewhere": {0: 1}}, [(7, forgotten_ms)])

    answer = ask(7, "--file", imdb, "-n", 0)

    assert answer.out.endswith("2 ratings are in Kafka, from 2025-01-01 to 2025-01-01.\n")
    assert sent() == [(7, MATRIX, 4.5, "2025-01-01"), (7, PULP_FICTION, 3.5, "2025-01-01")]


def test_a_dry_run_sends_nothing(ask: Callable[..., Answer], imdb: Path, sent: Sent) -> None:
    answer = ask(7, "--file", imdb, "--dry-run")
    assert "User 7: 2 ratings would be sent, from 2024-03-01 to 2024-03-02." in answer.out
    machine = ask("--user", 7, "--file", imdb, "--dry-run", "--json").json
    assert machine["ratings"] == [[MATRIX, 4.5], [PULP_FICTION, 3.5]]
    assert [miss[0] for miss in machine["misses"]] == [6, 7]
    assert (machine["sent"], machine["unrated"], machine["not_movies"], machine["doubled"]) == (False, 1, 1, 1)
    assert sent() == []


def test_many_misses_are_counted_after_the_first(ask: Callable[..., Answer], imdb: Path) -> None:
    imdb.write_text(IMDB + "".join(f"tt,7,2024-03-03,No {n},Movie,1990\n" for n in range(30)))
    answer = ask(7, "--file", imdb, "--dry-run")
    assert answer.err.count("not found") + answer.err.count("of another year") == 20
    assert "  and 12 more; --json has all.\n" in answer.err
    assert len(ask(7, "--file", imdb, "--dry-run", "--json").json["misses"]) == 32


@pytest.mark.parametrize(
    ("low", "high", "stars"),
    [(1, 10, [9, 7]), (0, 100, [89, 67]), (0.5, 5, [4.5, 3.5]), (0, 1, [1, 0]), (1, 1, [1])],
)
def test_ratings_are_mapped_from_end_to_end(
    ask: Callable[..., Answer], imdb: Path, monkeypatch: pytest.MonkeyPatch, low: float, high: float, stars: list[float]
) -> None:
    monkeypatch.setenv("REELSTREAM_RATING_MIN", str(low))
    monkeypatch.setenv("REELSTREAM_RATING_MAX", str(high))
    found = ask(7, "--file", imdb, "--dry-run", "--json").json
    assert [rating for _, rating in found["ratings"]] == stars


def test_a_movie_that_is_no_longer_liked_is_no_like(
    ask: Callable[..., Answer], imdb: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REELSTREAM_RATING_MIN", "1")
    monkeypatch.setenv("REELSTREAM_RATING_MAX", "1")
    imdb.write_text(IMDB.replace("tt2,7,", "tt2,8,") + "tt1,3,2024-05-01,The Matrix,Movie,1999\n")

    found = ask(7, "--file", imdb, "--dry-run", "--json").json

    assert (found["ratings"], found["not_liked"]) == ([[PULP_FICTION, 1.0]], 2)
    assert "8 or more is 1, all others are left out." in found["found"]


def test_the_ends_of_five_stars_stay_the_ends(ask: Callable[..., Answer], tmp_path: Path) -> None:
    path = tmp_path / "goodreads.csv"
    titles = ("The Matrix", "Pulp Fiction", "Toy Story")
    rows = "".join(f"{title},x,{n},2024/03/0{n}\n" for title, n in zip(titles, (1, 3, 5), strict=True))
    path.write_text("Title,Author,My Rating,Date Read\n" + rows)
    found = ask(7, "--file", path, "--dry-run", "--json").json
    assert found["ratings"] == [[MATRIX, 0.5], [PULP_FICTION, 3.0], [TOY_STORY, 5.0]]


def test_a_file_of_movie_ids_needs_no_titles(ask: Callable[..., Answer], tmp_path: Path, sent: Sent) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("movieId,rating,timestamp\n999999,4,1709251200\n")
    answer = ask(7, "--file", path, "-n", 0)
    assert (answer.code, answer.err) == (0, "")
    assert sent() == [(7, 999_999, 4.0, "2024-03-01")]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((7, "296=5"), "--file and '296=5' exclude each other"),
        ((), "say whose ratings these are"),
        (("x",), "'x' is not a user's id"),
    ],
)
def test_words_that_do_not_fit_a_file(
    ask: Callable[..., Answer], imdb: Path, words: tuple[object, ...], says: str
) -> None:
    answer = ask(*words, "--file", imdb)
    assert (answer.code, answer.out) == (2, "")
    assert says in answer.err


def test_nothing_found_is_an_error_that_says_why(
    ask: Callable[..., Answer], reelstream: Reelstream, imdb: Path, tmp_path: Path, sent: Sent
) -> None:
    no_titles = reelstream("rate", 7, "--file", imdb, "--warehouse", tmp_path / "new")
    assert (no_titles.code, no_titles.out) == (2, "")
    assert "no titles are loaded to find the movies of" in no_titles.err
    imdb.write_text("Const,Your Rating,Date Rated,Title\ntt1,5,2024-03-01,Solaris\n")
    nothing = ask(7, "--file", imdb)
    assert nothing.code == 2
    assert "none of the 1 movies of" in nothing.err
    assert "(line 2: Solaris: not found)" in nothing.err
    assert "--dry-run is for --file" in ask(7, "296=5", "--dry-run").err
    assert sent() == []
