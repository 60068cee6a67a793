from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from reelstream.cli import options
from reelstream.cli.status_quality import print_quality
from reelstream.store import pointer
from reelstream.store.quality import QualityStore
from reelstream.store.schemas import QUALITY
from reelstream.stream import quality as module
from reelstream.stream.prequential import Scores
from reelstream.stream.quality import Quality

START = datetime(2026, 1, 1, tzinfo=UTC)
SCORES = Scores(ratings=4, squared_error=4.0, bias_only_squared_error=16.0, liked=2, hits=1, popular_hits=0)
UNDEFINED = Scores().figures()


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def rows(warehouse: Path) -> list[dict[str, Any]]:
    return QualityStore(warehouse).read().to_pylist()


def counts(warehouse: Path) -> list[tuple[str, int]]:
    return [(row["version"], row["ratings"]) for row in rows(warehouse)]


def test_a_row_is_written_a_minute_after_its_first_rating(warehouse: Path) -> None:
    quality = Quality(warehouse)
    quality.add(SCORES, "000001", at(0))
    quality.add(SCORES, "000001", at(30))
    for second in range(60):
        quality.flush(at(second))
    assert not (warehouse / "quality").exists()

    quality.flush(at(60))

    row = {"started_at": at(0), "ended_at": at(30), "version": "000001", "ratings": 8, "squared_error": 8.0}
    row |= {"bias_only_squared_error": 32.0, "liked": 4, "hits": 2, "popular_hits": 0}
    row |= {"rmse": 1.0, "bias_only_rmse": 2.0, "hit_rate": 0.5, "popular_hit_rate": 0.0}
    found = rows(warehouse)
    assert [row | found[0]] == found
    assert {*found[0]} == {*QUALITY.names}
    row = found[0]
    quality.flush(at(120))
    assert rows(warehouse) == [row]
    quality.add(SCORES, "000001", at(125))
    quality.flush(at(184))
    assert rows(warehouse) == [row]
    quality.flush(at(185))
    assert counts(warehouse) == [("000001", 8), ("000001", 4)]


def test_each_version_has_rows_of_its_own(warehouse: Path) -> None:
    quality = Quality(warehouse)
    quality.add(SCORES, "000001", at(0))
    quality.add(SCORES + SCORES, "000002", at(1))

    quality.flush(at(2))
    assert counts(warehouse) == [("000001", 4)]
    quality.flush()  # by the clock, which is far from there
    assert counts(warehouse) == [("000001", 4), ("000002", 8)]
    quality.close()
    assert len(rows(warehouse)) == 2


def test_a_micro_batch_without_a_scored_rating_makes_no_row(warehouse: Path) -> None:
    quality = Quality(warehouse)
    quality.add(Scores(), "000001", at(0))
    quality.close()

    assert not (warehouse / "quality").exists()
    nothing = {"ratings": 0, "liked": 0, **UNDEFINED}
    assert quality.summary() == {"total": nothing, "sliding": {**nothing, "since": None}}


def test_a_figure_that_is_not_defined_is_null(warehouse: Path) -> None:
    quality = Quality(warehouse)
    quality.add(Scores(ratings=1, squared_error=4.0, bias_only_squared_error=1.0), "000001", at(0))
    quality.close()

    assert [(row["rmse"], row["hit_rate"], row["popular_hit_rate"]) for row in rows(warehouse)] == [(2.0, None, None)]


def test_a_clock_set_back_does_not_stop_the_rows(warehouse: Path) -> None:
    quality = Quality(warehouse)
    quality.add(SCORES, "000001", at(0))
    quality.add(SCORES, "000001", at(-3600))

    quality.flush(at(-3599))

    assert [(row["started_at"], row["ended_at"], row["ratings"]) for row in rows(warehouse)] == [(at(0), at(0), 8)]


def test_sliding_is_the_fewest_newest_batches_with_enough_ratings(
    warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLIDING_RATINGS", 10)
    quality = Quality(warehouse)
    kept = []
    for number, ratings in enumerate((3, 4, 2, 25, 1, 6, 3, 1)):
        quality.add(Scores(ratings=ratings, squared_error=0.1 * number), "000001", at(number))
        kept.append(quality.summary()["sliding"]["ratings"])

    assert kept == [3, 7, 9, 25, 26, 32, 10, 10]
    summary = json.loads(json.dumps(quality.summary()))
    assert summary["sliding"]["since"] == at(5).isoformat()
    assert summary["sliding"]["rmse"] == pytest.approx(((0.5 + 0.6 + 0.7) / 10) ** 0.5)
    assert (summary["total"]["ratings"], summary["total"]["rmse"]) == (45, pytest.approx((2.8 / 45) ** 0.5))


def test_totals_and_the_sliding_figures_survive_a_restart(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLIDING_RATINGS", 10)
    quality = Quality(warehouse)
    for minute in range(5):
        quality.add(SCORES, "000001", at(60 * minute))
        quality.flush(at(60 * minute + 60))
    before = quality.summary()
    quality.add(SCORES, "000001", at(300))  # then a crash: in no row yet

    again = Quality(warehouse)

    assert again.summary() == before
    assert (before["total"]["ratings"], before["sliding"]["ratings"]) == (20, 12)
    assert before["sliding"]["since"] == at(120).isoformat()
    again.add(SCORES, "000002", at(400))
    again.close()
    whole = SCORES + SCORES + SCORES + SCORES + SCORES + SCORES
    assert Quality(warehouse).summary()["total"] == {"ratings": 24, "liked": 12, **whole.figures()}
    assert (whole.figures()["rmse"], whole.figures()["hit_rate"]) == (1.0, 0.5)


def test_rows_of_an_older_reelstream_stay_for_themselves(warehouse: Path) -> None:
    """Such a row has no sums for some figures: it can be read, and merged, and does not count in totals."""
    quality = Quality(warehouse)
    quality.add(SCORES, "000001", at(0))
    quality.close()
    [file] = (warehouse / "quality").glob("*.parquet")
    old = pq.read_table(file).drop_columns(["gain", "gain_squares", "recent_hits", "ndcg_at_10", "hit_rate_low"])
    pointer.write_table(old, file)

    again = Quality(warehouse)

    assert again.summary()["total"]["ratings"] == 0
    assert [(row["ratings"], row["gain"], row["rmse"]) for row in rows(warehouse)] == [(4, None, 1.0)]
    for minute in range(1, 6):
        again.add(SCORES, "000002", at(60 * minute))
        again.flush(at(60 * minute + 60))
    assert Quality(warehouse).summary()["total"]["ratings"] == 20
    assert [row["gain"] for row in rows(warehouse)] == [None, *[0.0] * 5]


def test_what_cannot_be_written_is_written_later_and_once(warehouse: Path) -> None:
    quality = Quality(warehouse)
    quality.add(SCORES, "000001", at(0))
    warehouse.mkdir()
    in_the_way = warehouse / "quality"
    in_the_way.touch()
    with pytest.raises(OSError, match="quality"):
        quality.flush(at(60))
    quality.add(SCORES, "000001", at(61))
    in_the_way.unlink()

    quality.flush(at(62))
    quality.close()

    assert counts(warehouse) == [("000001", 4), ("000001", 4)]


def test_any_thread_may_add_while_another_writes(warehouse: Path) -> None:
    quality = Quality(warehouse)
    done = threading.Event()

    def add(thread: int) -> None:
        for number in range(300):
            quality.add(SCORES, f"{(number + thread) // 40:06d}", at(number))

    def flush() -> None:
        while not done.is_set():
            quality.flush(at(1000))

    writer = threading.Thread(target=flush)
    adders = [threading.Thread(target=add, args=(thread,)) for thread in range(4)]
    writer.start()
    for thread in adders:
        thread.start()
    for thread in adders:
        thread.join()
    done.set()
    writer.join()
    quality.close()

    assert quality.summary()["total"]["ratings"] == 4 * 300 * 4
    assert sum(row["ratings"] for row in rows(warehouse)) == 4 * 300 * 4


def test_status_shows_both_models_beside_their_baselines(
    warehouse: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(options.out, "_width", 80)
    monkeypatch.setattr(module, "SLIDING_RATINGS", 1)
    quality = Quality(warehouse)
    print_quality(quality.summary())
    errors = {"squared_error": 1500.0, "squared_error_squares": 3000.0, "bias_only_squared_error": 6000.0}
    lists = {"liked": 1000, "hits": 250, "gain": 130.0, "gain_squares": 80.0, "popular_hits": 100, "popular_gain": 50.0}
    quality.add(Scores(ratings=1500, **errors, **lists, recent_hits=120, recent_gain=60.0), "000001", at(0))
    quality.add(Scores(ratings=1, squared_error=0.25, bias_only_squared_error=1.0), "000001", at(1))

    print_quality(quality.summary())

    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "No live rating was scored yet: that takes a published version, and a movie new to its user.",
        "Live quality",
        "                                    total  the newest",
        "             ratings                1,501           1",
        "                RMSE  1.000 (0.974–1.025)       0.500",
        "         biases only                2.000       1.000",
        "         hit rate@10  0.250 (0.224–0.278)           —",
        "          popularity                0.100           —",
        "  popularity of late                0.120           —",
        "             nDCG@10  0.130 (0.114–0.146)           —",
        "          popularity                0.050           —",
        "  popularity of late                0.060           —",
        "Each rating was scored before it was learned from; intervals are of 95 %.",
    ]
