"""The commands that read a warehouse: their exact words, and their JSON."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from reelstream import __version__
from reelstream.batch.refit import refit
from reelstream.settings import load
from reelstream.store import run_files
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from tests.cli.conftest import Reelstream
from tests.fixtures.camps import add
from tests.fixtures.published import AS_OF, MARKUP, METRICS, PULP_FICTION, TITLES, TOY_STORY, publish
from tests.fixtures.rows import ratings, rejects

HOSTILE = (b"[red]x[/red]", b"\\[blue]\x1b[31m\x00", b"\xff\xfe{", "é".encode() * 100)


@pytest.fixture
def published(warehouse: Path) -> Path:
    publish(warehouse)
    return warehouse


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines()]


def test_version(reelstream: Reelstream) -> None:
    assert reelstream("--version") == (0, f"reelstream {__version__}\n", "")


def test_recommend_as_text(reelstream: Reelstream, published: Path) -> None:
    answer = reelstream("recommend", 1, "-n", 3, "--warehouse", published)

    assert (answer.code, answer.err) == (0, "")
    assert lines(answer.out) == [
        "For user 1",
        "rank  movie  title                      stars  score  source",
        "   1    300  Toy Story (1995)            4.50   0.90  refit",
        "   2    400  [red]Toy[/] :cat: Story 2   4.25   0.50  refit",
        "   3    500  —                           2.00   0.10  refit",
    ]
    assert max(map(len, answer.out.splitlines())) <= 80


def test_recommend_as_json(reelstream: Reelstream, published: Path) -> None:
    movies = reelstream("recommend", 1, "-n", 2, "--json", "--warehouse", published).json

    assert [movie["movie_id"] for movie in movies] == [TOY_STORY, MARKUP]
    assert movies[0] == {
        "rank": 1,
        "movie_id": TOY_STORY,
        "title": "Toy Story (1995)",
        "score": pytest.approx(0.9),
        "predicted_rating": 4.5,
        "source": "refit",
        "version": "000001",
        "as_of": AS_OF.isoformat(),
    }


def test_recommend_for_an_unknown_user(reelstream: Reelstream, published: Path) -> None:
    movies = reelstream("recommend", 99, "-n", 2, "--json", "--warehouse", published).json

    assert [(movie["movie_id"], movie["source"]) for movie in movies] == [
        (PULP_FICTION, "popular"),
        (MARKUP, "popular"),
    ]


@pytest.mark.parametrize(
    ("user", "movie", "said"),
    [
        (
            1,
            "pulp fiction",
            [
                "4.70 stars for Pulp Fiction (1994) by user 1",
                "  from 2 ratings of the user and 2 of the movie",
                "  4.00 mean of all +0.10 this user +0.50 this movie +0.10 taste  (version 000001)",
                "  The user gave it 5.",
            ],
        ),
        (
            9,
            PULP_FICTION,
            [
                "4.50 stars for Pulp Fiction (1994) by user 9",
                "  the user has no rating yet; from 2 ratings of the movie",
                "  4.00 mean of all +0.00 this user +0.50 this movie +0.00 taste  (version 000001)",
            ],
        ),
        (
            1,
            99,
            [
                "4.10 stars for movie 99 by user 1",
                "  the movie has no rating yet; from 2 ratings of the user",
                "  4.00 mean of all +0.10 this user +0.00 this movie +0.00 taste  (version 000001)",
            ],
        ),
        (
            9,
            99,
            [
                "4.00 stars for movie 99 by user 9",
                "  neither the user nor the movie has a rating yet",
                "  4.00 mean of all +0.00 this user +0.00 this movie +0.00 taste  (version 000001)",
            ],
        ),
    ],
)
def test_predict_says_how_it_came_about(
    user: int, movie: object, said: list[str], reelstream: Reelstream, published: Path
) -> None:
    assert reelstream("predict", user, movie, "--warehouse", published) == (0, "\n".join(said) + "\n", "")


def test_predict_as_json(reelstream: Reelstream, published: Path) -> None:
    prediction = reelstream("predict", 9, MARKUP, "--json", "--warehouse", published).json

    assert prediction == {
        "user_id": 9,
        "movie_id": MARKUP,
        "title": TITLES[MARKUP],
        "predicted_rating": 4.0,
        "mean": 4.0,
        "user_bias": 0.0,
        "movie_bias": 0.0,
        "taste": 0.0,
        "user_ratings": 0,
        "movie_ratings": 0,
        "source": "movie",
        "version": "000001",
        "rated": None,
    }


def test_a_title_that_looks_like_markup_is_shown_as_it_is(reelstream: Reelstream, published: Path) -> None:
    said = reelstream("predict", 9, MARKUP, "--warehouse", published).out

    assert said.startswith("4.00 stars for [red]Toy[/] :cat: Story 2 by user 9\n")
    answer = reelstream("similar", "[red]Toy[/] :cat: Story 2", "--warehouse", published)
    assert (answer.code, lines(answer.out)[0]) == (0, "Like [red]Toy[/] :cat: Story 2")


def test_similar(reelstream: Reelstream, published: Path) -> None:
    assert lines(reelstream("similar", "Pulp Fiction", "-n", 2, "--warehouse", published).out) == [
        "Like Pulp Fiction",
        "rank  movie  title                      similarity",
        "   1    400  [red]Toy[/] :cat: Story 2        0.75",
        "   2    500  —                                0.50",
    ]
    movies = reelstream("similar", PULP_FICTION, "-n", 1, "--json", "--warehouse", published).json
    assert movies == [{"rank": 1, "movie_id": MARKUP, "title": TITLES[MARKUP], "score": 0.75, "version": "000001"}]


def test_popular(reelstream: Reelstream, published: Path) -> None:
    assert lines(reelstream("popular", "-n", 2, "--warehouse", published).out) == [
        "Popular",
        "rank  movie  title                      stars  ratings",
        "   1    296  Pulp Fiction (1994)         4.20        2",
        "   2    400  [red]Toy[/] :cat: Story 2   4.00        1",
    ]
    [movie] = reelstream("popular", "-n", 1, "--json", "--warehouse", published).json
    assert set(movie) == {"rank", "movie_id", "title", "score", "predicted_rating", "n_ratings", "version"}


def test_status_where_nothing_runs(reelstream: Reelstream, published: Path) -> None:
    add(RatingsStore(published), (3, MARKUP, 1.0))

    said = lines(reelstream("status", "--warehouse", published).out)

    assert said[:4] == [
        f"warehouse  {published}",
        "broker     not running",
        "stream     never ran here",
        "ratings    4 accepted, 0 rejected, 2 micro-batches in 2 directories",
    ]
    assert said[4].startswith("version    000001, ")
    assert said[4].endswith(" s old, native, 3 ratings of 2 users and 5 movies; 1 since")
    assert said[5:] == [
        "On each user's newest ratings, held out",
        "              this version  biases only  popularity",
        "        RMSE         0.800        0.900           —",
        "         MAE         0.600        0.700           —",
        "          R²         0.400        0.300           —",
        "     nDCG@10         0.300            —       0.200",
        "precision@10         0.200            —       0.100",
        "   recall@10         0.100            —       0.050",
        "    coverage         0.500            —       0.010",
    ]


def test_status_of_an_empty_warehouse(reelstream: Reelstream, warehouse: Path) -> None:
    warehouse.mkdir()

    assert lines(reelstream("status", "--warehouse", warehouse).out)[-2:] == [
        "ratings    0 accepted, 0 rejected, 0 micro-batches in 0 directories",
        "version    none published yet",
    ]


def processes(warehouse: Path, *, pid: int, state: str = "running", error: str | None = None, **more: object) -> None:
    """What the stream and the trigger of `up` say of themselves."""
    seconds = {
        "queue_s": 0.04,
        "read_s": 0.2,
        "store_s": 0.01,
        "score_s": 0.002,
        "fold_in_s": 0.005,
        "publish_s": 0.007,
    }
    batch = {"accepted": 1200, "users_folded_in": 30, **seconds}
    stream: dict[str, Any] = {
        "state": state,
        "pid": pid,
        "lag_events": 1234,
        "events_per_s": 56789.0,
        "last_batch": batch,
        "error": error,
    }
    run_files.write(warehouse, "stream", {**stream, **more})
    trigger = {
        "state": "waiting",
        "pid": pid,
        "new_ratings": 1500,
        "refit_after_ratings": 20000,
        "refit_after_minutes": 10.0,
        "error": None,
    }
    run_files.write(warehouse, "trigger", trigger)


def test_status_where_all_runs(reelstream: Reelstream, published: Path) -> None:
    processes(published, pid=os.getpid())

    said = lines(reelstream("status", "--warehouse", published, "--bootstrap-servers", "kafka:9092").out)

    assert said[1:6] == [
        "broker     kafka:9092",
        "stream     running; lag 1,234 events; 56,789.0 events/s",
        "           last micro-batch: 1,200 ratings, 30 users folded in; queue 40, read and parse 200, store 10, score 2, "
        "fold-in 5, publish 7 ms",
        "ratings    3 accepted, 0 rejected, 1 micro-batches in 1 directories",
        "refits     waiting; 1,500 new ratings of 20,000, or 10 minutes",
    ]


AHEAD = "come from clocks that are about"
UNTIL_THEN = "ahead; until then they win over newer ones; correct those clocks"


@pytest.mark.parametrize(
    ("ahead", "ahead_s", "says"),
    [
        (600, 32_400.0, f"12% of the last 5,000 ratings {AHEAD} 9 h {UNTIL_THEN}"),
        (600, 600.0, f"12% of the last 5,000 ratings {AHEAD} 10 min {UNTIL_THEN}"),
        (2, 32_400.0, f"2 of the last 5,000 ratings {AHEAD} 9 h {UNTIL_THEN}"),
        (2, 600.0, None),
    ],
)
def test_status_warns_of_clocks_that_are_ahead(
    reelstream: Reelstream, published: Path, ahead: int, ahead_s: float, says: str | None
) -> None:
    processes(published, pid=os.getpid(), clocks_ahead={"ratings": 5000, "ahead": ahead, "ahead_s": ahead_s})

    told = lines(reelstream("status", "--warehouse", published).out)
    assert [line.strip() for line in told if AHEAD in line] == ([says] if says else [])
    assert reelstream("status", "--json", "--warehouse", published).json["warnings"] == ([says] if says else [])


def test_status_counts_records_whose_time_cannot_be_right(reelstream: Reelstream, published: Path) -> None:
    processes(published, pid=os.getpid(), implausible_times=3)

    told = lines(reelstream("status", "--warehouse", published).out)
    assert [line.strip() for line in told if "implausible" in line] == [
        "3 records with implausible times (before 1990, or more than a day ahead), left out of the time in the queue; "
        "correct the clock or the unit that their producer sends"
    ]


def test_status_after_a_crash_and_a_failed_refit(
    reelstream: Reelstream, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes(published, pid=2**22 + 1, error="[red]topic[/] was deleted")

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk [/dev/sda] is full")

    monkeypatch.setattr(RecommendationsStore, "write_tables", fail)
    with pytest.raises(OSError, match="disk"):
        refit(load(warehouse=published))

    said = lines(reelstream("status", "--warehouse", published).out)

    assert "stream     ended without a word; lag 1,234 events; 56,789.0 events/s" in said
    assert "           [red]topic[/] was deleted" in said
    assert "           the last refit failed: disk [/dev/sda] is full" in said
    assert not any(line.startswith("refits") for line in said)


def test_status_after_a_killed_refit(reelstream: Reelstream, published: Path) -> None:
    run_files.write(published, "refit", {"state": "running", "pid": 2**22 + 1})

    said = lines(reelstream("status", "--warehouse", published).out)

    assert "           the last refit was killed; the next one starts anew" in said


def test_status_as_json(reelstream: Reelstream, published: Path) -> None:
    processes(published, pid=os.getpid())

    value = reelstream("status", "--json", "--warehouse", published).json

    parts = {"warehouse", "broker", "ratings", "stream", "trigger", "refit", "serve"}
    parts |= {"warnings", "adopted_settings", "current", "versions"}
    assert set(value) == parts
    assert value["adopted_settings"] is False
    assert (value["broker"], value["refit"], value["serve"]) == (None, None, None)
    assert value["ratings"] == {
        "accepted": 3,
        "rejected": 0,
        "tombstones": 0,
        "batch": 1,
        "folders": 1,
        "offsets": {"ratings": {"0": 3}},
    }
    assert value["stream"]["alive"] is True
    current = value["current"]
    assert (current["version"], current["ratings_since"], current["folded_in_up_to_batch"]) == ("000001", 0, 1)
    assert (current["as_of"], current["metrics"]) == (AS_OF.isoformat(), METRICS)
    assert [version["version"] for version in value["versions"]] == ["000001"]


def test_rejects_are_shown_as_the_bytes_they_are(reelstream: Reelstream, warehouse: Path) -> None:
    RatingsStore(warehouse).append(ratings(), rejects(*HOSTILE, offset=5), {"ratings": {0: 9}})

    answer = reelstream("rejects", "--warehouse", warehouse)

    assert (answer.code, answer.err) == (0, "")
    said = [
        "4 rejected events.",
        "not_json  ratings/0/5  Expecting value",
        "    [red]x[/red]",
        "not_json  ratings/0/6  Expecting value",
        r"    \[blue]\x1b[31m\x00",
        "not_json  ratings/0/7  Expecting value",
        r"    \xff\xfe{",
        "not_json  ratings/0/8  Expecting value",
    ]
    assert answer.out.splitlines() == [*said, f"    {'é' * 75}…"]
    assert reelstream("rejects", "--full", "--warehouse", warehouse).out.splitlines() == [*said, f"    {'é' * 100}"]


def test_the_newest_rejects_as_json(reelstream: Reelstream, warehouse: Path) -> None:
    RatingsStore(warehouse).append(ratings(), rejects(*HOSTILE), {"ratings": {0: 4}})

    value = reelstream("rejects", "-n", 3, "--json", "--warehouse", warehouse).json

    assert value["rejected"] == 4
    assert [event["raw"] for event in value["events"]] == ["\\[blue]\x1b[31m\x00", r"\xff\xfe{", "é" * 100]
    assert set(value["events"][0]) == {"reason", "detail", "raw", "topic", "partition", "offset", "received_at"}
    assert reelstream("rejects", "-n", 0, "--warehouse", warehouse).out == "4 rejected events.\n"
