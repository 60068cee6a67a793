"""`replay` and `rate` with a real broker."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from reelstream.store import scale_file
from reelstream.store.movies import MoviesStore
from reelstream.store.ratings import RatingsStore
from tests.cli.conftest import Answer, Reelstream
from tests.fixtures.camps import add
from tests.fixtures.published import MARKUP, PULP_FICTION, TOY_STORY, publish
from tests.fixtures.rows import ratings, rejects
from tests.producer.topic import records_of

CSV = """userId,movieId,rating,timestamp
1,296,5.0,1147880044
1,10,9.5,1147880045
2,296,[red]x[/],1147880046
2,300,3.5,1147880047
"""


@pytest.fixture
def ask(reelstream: Reelstream, warehouse: Path, bootstrap_servers: str, topic: str) -> Callable[..., Answer]:
    """The command on this test's warehouse and topic."""
    return lambda *words: reelstream(
        *words, "--warehouse", warehouse, "--bootstrap-servers", bootstrap_servers, "--topic", topic
    )


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "[red]ratings.csv"
    path.write_text(CSV)
    return path


@pytest.fixture
def sent(bootstrap_servers: str, topic: str) -> Callable[[], list[tuple[int, int, float]]]:
    """What is in the topic: (user_id, movie_id, rating), sorted."""

    def look() -> list[tuple[int, int, float]]:
        events = [record.event() for record in records_of(bootstrap_servers, topic)]
        return sorted((event.user_id, event.movie_id, event.rating) for event in events)

    return look


FOUND = (
    "with columns separated by commas. Times are in seconds. Taken: user_id from userId, movie_id from movieId, rating from "
    "rating, rated_at from timestamp. Scale of ratings, assumed as there are so few: 0.5 to 5 in halves, liked from 4 on."
)


def test_replay_sends_the_good_rows_and_shows_the_bad_ones(
    ask: Callable[..., Answer], csv: Path, sent: Callable[[], list[tuple[int, int, float]]]
) -> None:
    answer = ask("replay", csv)

    assert answer.code == 8
    assert answer.out.startswith("2 events acknowledged in ")
    assert answer.err.splitlines() == [
        f"[red]ratings.csv is UTF-8 text {FOUND}",
        "2 bad rows were left out:",
        "  line 3: off_scale: rating 9.5 is not between 0.5 and 5: '1,10,9.5,1147880045'",
        "  line 4: wrong_type: rating '[red]x[/]' is not a number: '2,296,[red]x[/],1147880046'",
    ]
    assert sent() == [(1, 296, 5.0), (2, 300, 3.5)]


def test_replay_counts_in_json_and_resumes(
    ask: Callable[..., Answer], csv: Path, sent: Callable[[], list[tuple[int, int, float]]]
) -> None:
    first = ask("replay", csv, "--limit", 1, "--json")
    again = ask("replay", csv, "--resume", "--json")

    assert (first.code, again.code, first.err, again.err) == (8, 8, "", "")
    assert set(again.json) == {
        "sent",
        "acked",
        "bad_rows",
        "skipped_by_resume",
        "seconds",
        "events_per_s",
        "first_bad",
    }
    assert (first.json["sent"], first.json["acked"], first.json["skipped_by_resume"]) == (1, 1, 0)
    assert (again.json["sent"], again.json["acked"], again.json["skipped_by_resume"]) == (1, 1, 1)
    assert again.json["bad_rows"] == 2
    assert [row["line_number"] for row in again.json["first_bad"]] == [3, 4]
    assert sent() == [(1, 296, 5.0), (2, 300, 3.5)]


def test_a_replay_resumes_on_its_scale_where_ratings_came_before_it_was_stored(
    ask: Callable[..., Answer], csv: Path, warehouse: Path, sent: Callable[[], list[tuple[int, int, float]]]
) -> None:
    rows = [f"{user},296,{1 + user % 5},{1147880044 + user}\n" for user in range(60)]
    csv.write_text("userId,movieId,rating,timestamp\n" + "".join(rows))
    first = ask("replay", csv, "--limit", 1, "--json")
    scale_file.place(warehouse).unlink()
    add(RatingsStore(warehouse), (1, 7, 4.5))

    again = ask("replay", csv, "--resume", "--json")

    assert (first.code, again.code, again.json["sent"]) == (0, 0, 59)
    assert len(sent()) == 60


def test_a_file_without_bad_rows_ends_with_0(ask: Callable[..., Answer], csv: Path) -> None:
    csv.write_text("userId,movieId,rating,timestamp\n1,296,5.0,1147880044\n")

    answer = ask("replay", csv)

    assert (answer.code, answer.err) == (0, f"[red]ratings.csv is UTF-8 text {FOUND}\n")
    assert answer.out.startswith("1 events acknowledged in ")


def test_a_strict_replay_stops_before_anything_is_sent(
    ask: Callable[..., Answer], csv: Path, sent: Callable[[], list[tuple[int, int, float]]]
) -> None:
    answer = ask("replay", csv, "--strict")

    assert (answer.code, answer.out) == (2, "")
    assert "line 3" in answer.err
    assert sent() == []


def test_a_file_that_is_not_there_is_wrong_usage(ask: Callable[..., Answer]) -> None:
    answer = ask("replay", "no.csv")

    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "reelstream: there is no file no.csv; give the path of one.\n"


def test_a_dry_run_says_what_would_be_sent_and_sends_nothing(
    ask: Callable[..., Answer], tmp_path: Path, sent: Callable[[], list[tuple[int, int, float]]]
) -> None:
    file = tmp_path / "shop.tsv"
    file.write_text("customer\tproduct\tstars\n1\t296\t5\n2\t300\t3.5\n")
    words = ("replay", file, "--column", "movie_id=product", "--dry-run")

    answer = ask(*words)

    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith(
        "shop.tsv is UTF-8 text with columns separated by tabs. Taken: user_id from customer, movie_id"
    )
    assert "It has no time column: each rating is taken as given now." in answer.out
    assert "2 ratings would be sent, rated from " in answer.out
    assert (ask(*words, "--json").json["rows"], sent()) == (2, [])


def test_likes_without_times_are_sent_as_likes(
    ask: Callable[..., Answer], tmp_path: Path, sent: Callable[[], list[tuple[int, int, float]]]
) -> None:
    file = tmp_path / "plays.csv"
    file.write_text("user,item,plays,timestamp\n" + "".join(f"{n},296,{n * 900},{n}\n" for n in range(1, 21)))

    refused = ask("replay", file)
    answer = ask("replay", file, "--column", "rating=none", "--column", "rated_at=none")

    assert (refused.code, "or --column rating=none if each row is a like" in refused.err) == (2, True)
    assert answer.code == 0
    assert "It has no ratings: each row is taken as a like, a rating of 1." in answer.err
    assert "REELSTREAM_RATING_MIN=1 REELSTREAM_RATING_MAX=1," in answer.err
    assert sent() == [(n, 296, 1.0) for n in range(1, 21)]


def test_a_zip_of_movielens_loads_its_titles_unless_some_are_loaded(
    ask: Callable[..., Answer], tmp_path: Path, warehouse: Path, sent: Callable[[], list[tuple[int, int, float]]]
) -> None:
    def zipped(name: str, ratings: str) -> Path:
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("ml-1m/ratings.dat", ratings)
            archive.writestr("ml-1m/movies.dat", "1::Amélie (2001)::Comedy\nx::Bad::Drama\n".encode("latin-1"))
        return tmp_path / name

    file, titles = zipped("ml-1m.zip", "1::1::5::978300760\n"), MoviesStore(warehouse)
    first = " Titles loaded first, from its movies.dat: 1; bad rows there: 1. "

    assert first in ask("replay", file, "--dry-run").out
    assert ask("replay", zipped("off.zip", "1::1::50::978300760\n")).code == 2
    assert titles.version() == 0, "of a file that is refused nothing is taken"
    answer = ask("replay", file)
    again = ask("replay", file)

    assert (answer.code, titles.version(), titles.read()["title"].to_pylist()) == (0, 1, ["Amélie (2001)"])
    assert first in answer.err
    assert " Titles are loaded already, and its movies.dat is not; `reelstream movies load` loads it. " in again.err
    assert (titles.version(), sent()) == (1, [(1, 1, 5.0)] * 2)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--column", "user=x"), "--column user is unknown; say FIELD=COLUMN, the field one of user_id, movie_id"),
        (("--time-unit", "h"), "--time-unit h is unknown; say one of s, ms, us, ns."),
        (("--delimiter", "x"), "--delimiter x is unknown"),
        (("--unrated", "x"), "--unrated x is no number; say for instance 0 or -1, or none."),
        (("--encoding", "x"), "--encoding x is unknown; say for instance utf-8"),
    ],
)
def test_an_option_that_says_nothing_is_wrong_usage(
    ask: Callable[..., Answer], csv: Path, words: tuple[str, str], says: str
) -> None:
    answer = ask("replay", csv, *words)

    assert (answer.code, answer.out) == (2, "")
    assert says in answer.err


def test_a_file_on_another_scale_is_refused_and_the_setting_named(
    ask: Callable[..., Answer], csv: Path, sent: Callable[[], list[tuple[int, int, float]]]
) -> None:
    csv.write_text("userId,movieId,rating\n1,2,80\n1,3,95\n2,2,4\n")

    answer = ask("replay", csv)

    assert answer.code == 2
    assert "2 of 3 rows" in answer.err
    assert "REELSTREAM_RATING_MAX=95" in answer.err
    assert sent() == []


def test_a_new_user_gets_an_id_and_the_popular_movies_until_a_stream_runs(
    ask: Callable[..., Answer], warehouse: Path, sent: Callable[[], list[tuple[int, int, float]]]
) -> None:
    publish(warehouse)

    answer = ask("rate", "--user", "new", "pulp fiction=5", f"{TOY_STORY}=3.5", "-n", 2)

    [(user, *_), *_] = events = sent()
    assert events == [(user, PULP_FICTION, 5.0), (user, TOY_STORY, 3.5)]
    assert answer.code == 0
    assert [line.rstrip() for line in answer.out.splitlines()] == [
        f"User {user}: 2 ratings are in Kafka:",
        "  Pulp Fiction (1994): 5",
        "  Toy Story (1995): 3.5",
        f"For user {user}",
        "rank  movie  title                      stars  score  source",
        "   1    296  Pulp Fiction (1994)         4.20   8.00  popular",
        "   2    400  [red]Toy[/] :cat: Story 2   4.00   4.00  popular",
    ]
    assert " ".join(answer.err.split()) == (
        "The list does not count them yet: no stream runs on this warehouse, or it is behind."
    )


def test_rate_as_json(ask: Callable[..., Answer], warehouse: Path) -> None:
    publish(warehouse)

    value = ask("rate", 1, f"{MARKUP}=4", "-n", 2, "--json").json

    assert set(value) == {"user_id", "ratings", "titles", "recommendations", "fresh_after_s"}
    assert (value["user_id"], value["ratings"], value["fresh_after_s"]) == (1, [[MARKUP, 4.0]], None)
    assert [movie["movie_id"] for movie in value["recommendations"]] == [TOY_STORY, MARKUP]  # the list from before


def test_without_a_version_the_list_follows_later_and_without_a_wait_it_is_not_named(
    ask: Callable[..., Answer], warehouse: Path, sent: Callable[[], list[tuple[int, int, float]]]
) -> None:
    warehouse.mkdir()
    said = "User 42: 1 rating is in Kafka:\n  movie {}\n"

    assert ask("rate", 42, "296=5", "-n", 0) == (0, said.format("296: 5"), "")
    answer = ask("rate", 42, "300=4")

    assert (answer.code, answer.out) == (0, said.format("300: 4"))
    assert answer.err == "No version is published yet; the list follows with the first refit.\n"
    assert sent() == [(42, 296, 5.0), (42, 300, 4.0)]


def test_a_rating_wins_against_a_stored_one_from_a_clock_that_is_ahead(
    ask: Callable[..., Answer], warehouse: Path, bootstrap_servers: str, topic: str
) -> None:
    ahead_ms = time.time_ns() // 1_000_000 + 9 * 3_600_000
    stored = ratings((42, 296, 1.0), rated_at_ms=ahead_ms)
    RatingsStore(warehouse).append(stored, rejects(), {"elsewhere": {0: 1}})

    assert ask("rate", 42, "296=5", "300=4", "-n", 0).code == 0

    events = [record.event() for record in records_of(bootstrap_servers, topic)]
    times = {event.movie_id: event.rated_at_ms for event in events}
    assert times[296] == ahead_ms + 1
    assert abs(times[300] - (ahead_ms - 9 * 3_600_000)) < 60_000


def test_forget_covers_a_stored_rating_from_a_clock_that_is_ahead(
    ask: Callable[..., Answer], warehouse: Path, bootstrap_servers: str, topic: str
) -> None:
    ahead_ms = time.time_ns() // 1_000_000 + 9 * 3_600_000
    RatingsStore(warehouse).append(ratings((42, 296, 1.0), rated_at_ms=ahead_ms), rejects(), {"elsewhere": {0: 1}})

    answer = ask("forget", 42, "--yes", "--json")

    assert answer.json == {"user_id": 42, "rated_up_to_ms": ahead_ms, "removed": None}
    assert [record.event().rated_at_ms for record in records_of(bootstrap_servers, topic)] == [ahead_ms]


@pytest.mark.parametrize("bad", ["296=9", "296=nan", "296", "no such movie=4"])
def test_if_one_rating_does_not_fit_none_is_sent(
    bad: str, ask: Callable[..., Answer], warehouse: Path, sent: Callable[[], list[tuple[int, int, float]]]
) -> None:
    answer = ask("rate", 1, "10=5", bad)

    assert (answer.code, answer.out) == (2, "")
    assert sent() == []
    assert MoviesStore(warehouse).version() == 0
