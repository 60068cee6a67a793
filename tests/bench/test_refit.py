"""The bench of a whole refit on few ratings, and what its options are taken for."""

from __future__ import annotations

import pyarrow as pa
import pytest

from bench.pipeline import temporary_settings
from bench.refit import growth, parser
from bench.synthetic import generate
from bench.whole_refit import measured, store
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore


def test_refits_are_timed_by_step_in_a_process_of_their_own() -> None:
    table = generate(5000)
    with temporary_settings() as settings:
        store(settings, table)
        stored = RatingsStore(settings.warehouse).read(columns=["user_id", "movie_id", "rating", "rated_at"])

        figures = measured(settings, rounds=2)

        version = RecommendationsStore(settings.warehouse).current()
    assert stored.set_column(3, "rated_at", stored["rated_at"].cast(pa.int64())).equals(table)
    assert version.info["ratings"] == 5000
    assert len(figures["rounds"]) == 2
    for seconds in (*figures["rounds"], figures["again"]):
        assert sum(seconds.values()) - seconds["all"] <= seconds["all"]
        assert {"read ratings", "fit all ratings", "top-N tables"} < set(seconds)
    assert figures["peak_mb"]["process"] > 50
    assert set(figures["quality"]) == {"rmse", "ndcg_at_10", "bias_only_rmse", "popularity_ndcg_at_10"}
    assert 0.5 < figures["quality"]["rmse"] < 1.2


def test_growth_is_from_each_size_to_the_next() -> None:
    assert growth([{"refit_s": {"median": s}} for s in (2.0, 18.0, 180.0)]) == [9, 10]
    assert growth([{"contestants": {}}, {"contestants": {}}]) == []


def test_options() -> None:
    asked = parser().parse_args(["--synthetic", "1000", "2000", "--peers", "mllib,cmfrec", "--equal", "64,10"])

    assert (asked.synthetic, asked.peers, asked.equal) == ([1000, 2000], ["mllib", "cmfrec"], (64, 10))


@pytest.mark.parametrize(
    "wrong", [["--peers", "mllib,none"], ["--equal", "64"], ["--ratings", "a", "--synthetic", "9"]]
)
def test_wrong_options_are_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        parser().parse_args(wrong)

    assert refused.value.code == 2
    assert wrong[0] in capsys.readouterr().err
