"""`reelstream.batch.evaluation.evaluate`: what is split, what is measured beside what, and the page that shows it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from reelstream.als.factors import ModelSettings, RatingMatrix
from reelstream.batch.evaluation import evaluate as evaluating
from reelstream.batch.evaluation import page as module
from reelstream.batch.evaluation import plots
from reelstream.batch.evaluation.evaluate import Evaluation, RatingColumns, evaluate, split, unseen
from reelstream.batch.refit import refit
from reelstream.batch.tuning.search import Found
from reelstream.errors import UsageError
from reelstream.settings import Settings, load
from reelstream.store.adopted import adopt
from tests.fixtures.camps import add, camps, fill

K = 10


@pytest.fixture
def settings(warehouse: Path) -> Settings:
    return load(warehouse=warehouse)


def rows(*rows: tuple[int, int, float, int]) -> RatingColumns:
    user, movie, rating, at = (np.array(column) for column in zip(*rows, strict=True))
    return RatingColumns(user, movie, rating.astype(np.float32), at)


def columns(ratings: RatingColumns) -> list[tuple[int, int, float, int]]:
    return list(
        zip(
            *(c.tolist() for c in (ratings.user_id, ratings.movie_id, ratings.rating, ratings.rated_at_ms)), strict=True
        )
    )


def of_camps() -> RatingColumns:
    user, movie, rating = camps()
    return RatingColumns(user, movie, rating, np.arange(len(user)))


def evaluated(settings: Settings, **more: float) -> Evaluation:
    return evaluate(*split(of_camps(), "random", 0.2, 42), settings, **more)  # type: ignore[arg-type]


def test_the_latest_rating_counts_and_the_order_of_rows_does_not() -> None:
    given = [(7, 30, 1.0, 5), (2, 40, 2.0, 9), (7, 30, 3.0, 8), (7, 30, 4.0, 6), (2, 10, 5.0, 1)]
    latest = [(2, 10, 5.0, 1), (2, 40, 2.0, 9), (7, 30, 3.0, 8)]
    assert columns(rows(*given).latest()) == latest
    assert columns(rows(*reversed(given)).latest()) == latest
    assert columns(rows((1, 1, 2.0, 3), (1, 1, 4.0, 3)).latest()) == [(1, 1, 4.0, 3)]


@pytest.mark.parametrize(
    ("how", "test"), [("time", [(2, 2, 4.0, 7), (2, 3, 4.0, 8)]), ("user-time", [(1, 3, 4.0, 3), (2, 3, 4.0, 8)])]
)
def test_a_split_by_time_holds_out_the_newest(how: str, test: list[tuple[int, int, float, int]]) -> None:
    given = rows(*((user, movie, 4.0, 5 * user - 5 + movie) for user in (1, 2) for movie in (1, 2, 3)))
    train, held_out = split(given, how, 0.34, 42)
    assert columns(held_out) == test
    assert sorted(columns(train) + columns(held_out)) == columns(given)


def test_a_random_split_goes_by_its_seed() -> None:
    parts = [split(of_camps(), "random", 0.25, seed)[1] for seed in (1, 1, 2)]
    assert columns(parts[0]) == columns(parts[1]) != columns(parts[2])
    assert len(parts[0]) == round(len(of_camps()) / 4)


def test_a_split_that_can_not_be_is_refused() -> None:
    same_time = rows((1, 1, 3.0, 5), (1, 2, 3.0, 5), (2, 1, 3.0, 5))
    with pytest.raises(UsageError, match="choose one of random, time, user-time"):
        split(same_time, "newest", 0.2, 42)
    with pytest.raises(UsageError, match="--split time needs a timestamp column"):
        split(same_time, "time", 0.5, 42)
    with pytest.raises(UsageError, match="3 ratings leave 3 to train and 0 to test"):
        split(same_time, "random", 0.1, 42)
    with pytest.raises(UsageError, match="between 0 and 1"):
        split(same_time, "random", 1.5, 42)


def test_what_was_trained_on_is_not_tested_on() -> None:
    train = rows((1, 1, 3.0, 5), (2, 5, 3.0, 5))
    assert columns(unseen(train, rows((1, 1, 4.0, 9), (1, 5, 4.0, 9), (2, 1, 1.0, 9)))) == [
        (1, 5, 4.0, 9),
        (2, 1, 1.0, 9),
    ]
    with pytest.raises(UsageError, match="every test rating is one of the training ratings"):
        unseen(train, rows((2, 5, 4.0, 9)))


def test_figures_stand_beside_the_baselines(settings: Settings) -> None:
    figures = evaluated(settings).figures
    biases, popular = figures["baselines"]["bias_only"], figures["baselines"]["popularity"]
    assert figures["rmse"] < biases["rmse"]
    for name in ("ndcg_at_10", "precision_at_10", "recall_at_10", "map_at_10", "mrr_at_10", "auc"):
        assert figures[name] > 1.1 * popular[name], name
    assert set(figures) >= {*biases, *popular, "fit_seconds", "top_n_seconds", "cold_rows"}
    assert (figures["train_rows"] + figures["test_rows"], figures["train_users"]) == (len(of_camps()), 60)
    assert figures["baselines"]["last_version"] is None
    assert not settings.warehouse.exists()


def test_a_version_that_saw_the_test_rows_is_better_and_says_so(settings: Settings) -> None:
    fill(settings.warehouse, camps())
    version = refit(settings)
    figures = evaluated(settings).figures
    last = figures["baselines"]["last_version"]
    assert (last["version"], last["cold_rows"]) == (version.name, figures["cold_rows"])
    assert "may have learned from these test rows" in last["note"]
    assert last["rmse"] < figures["rmse"]
    assert set(last) >= set(figures["baselines"]["popularity"]) | set(figures["baselines"]["bias_only"])


def test_a_movie_that_the_version_does_not_know_is_cold_for_it(settings: Settings) -> None:
    ratings = of_camps()
    known = ratings.movie_id % 4 > 0
    fill(settings.warehouse, (ratings.user_id[known], ratings.movie_id[known], ratings.rating[known]))
    refit(settings)
    train, test = split(ratings, "random", 0.2, 42)
    figures = evaluate(train, test, settings).figures
    last = figures["baselines"]["last_version"]
    assert figures["cold_rows"] == 0
    assert last["cold_rows"] == (test.movie_id % 4 == 0).sum()
    assert last["coverage"] <= 0.75 < figures["coverage"]


def test_a_version_of_other_movies_is_no_baseline(settings: Settings) -> None:
    add(fill(settings.warehouse, camps(n_users=2, n_movies=2, density=1)), (1, 5, 4.0))
    refit(settings)
    train, test = split(of_camps(), "random", 0.2, 42)
    other = [
        RatingColumns(part.user_id, part.movie_id + 10**6, part.rating, part.rated_at_ms) for part in (train, test)
    ]
    assert evaluate(*other, settings).figures["baselines"]["last_version"] is None


def test_adopted_settings_are_measured(settings: Settings) -> None:
    adopt(settings.warehouse, ModelSettings(rating_rank=0), {})
    figures = evaluated(settings).figures
    assert figures["model_settings"]["rating_rank"] == 0
    assert figures["rmse"] == pytest.approx(figures["baselines"]["bias_only"]["rmse"], abs=0.03)


def test_the_mllib_engine_is_measured_the_same_way(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = ModelSettings(ranking_rank=8, rating_iterations=1, ranking_iterations=2)
    monkeypatch.setattr("reelstream.batch.evaluation.evaluate.adopted", lambda *_, **__: few)
    settings = load(warehouse=tmp_path / "none", engine="mllib")
    figures = evaluated(settings).figures
    assert figures["engine"] == "mllib"
    assert figures["ndcg_at_10"] > 1.1 * figures["baselines"]["popularity"]["ndcg_at_10"]
    assert not settings.warehouse.exists()


def test_tests_of_strangers_are_refused(settings: Settings) -> None:
    train, test = split(of_camps(), "random", 0.2, 42)
    strangers = RatingColumns(test.user_id + 10**6, test.movie_id, test.rating, test.rated_at_ms)
    with pytest.raises(UsageError, match="are these ratings of the same people and movies"):
        evaluate(train, strangers, settings)
    with pytest.raises(UsageError, match="relevant from 6 stars on; the scale ends at 5"):
        evaluate(train, test, settings, relevant_from=6)


class Tags(HTMLParser):
    """Fails on a page whose elements do not close in order."""

    VOID = ("meta", "link", "br", "img")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page_of(evaluation: Evaluation, directory: Path) -> tuple[str, Tags]:
    path = module.write(
        directory, evaluation, ["<b> & co."], ("", "this model"), [("RMSE", "0.9"), ("AUC", None), ("<i>", "<u>'\"")]
    )
    assert path == directory / "index.html"
    page = path.read_text("utf-8")
    return page, Tags(page)


def test_the_page_stands_alone(settings: Settings, tmp_path: Path) -> None:
    page, tags = page_of(evaluated(settings), tmp_path / "a" / "report")
    assert (tags.seen["svg"], tags.seen["figcaption"], tags.seen["script"]) == (4, 4, 0)
    assert "http" not in page
    assert not re.search(r"url\((?!#)|@import|src=", page)
    links = {value for name, value in tags.attributes if name.endswith("href")}
    ids = [value for name, value in tags.attributes if name == "id"]
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert set(re.findall(r"url\(#(\w+)\)", page)) <= set(ids)
    assert len(ids) == len(set(ids))
    labels = [value for name, value in tags.attributes if name == "aria-label"]
    assert len(labels) == 4
    assert all(len(label) > 40 for label in labels)
    assert "<p>&lt;b&gt; &amp; co.</p>" in page
    assert '<th scope="row">AUC</th><td>–</td>' in page
    assert '<th scope="row">&lt;i&gt;</th><td>&lt;u&gt;&#39;&#34;</td>' in page


def test_the_same_evaluation_gives_the_same_page(settings: Settings, tmp_path: Path) -> None:
    evaluation = evaluated(settings)
    assert page_of(evaluation, tmp_path / "1")[0] == page_of(evaluation, tmp_path / "2")[0]


def test_a_page_without_lists_says_why(settings: Settings, tmp_path: Path) -> None:
    train, test = split(of_camps(), "random", 0.2, 42)
    disliked = test.rows(np.flatnonzero(test.rating < 4))
    evaluation = evaluate(train, disliked, settings)
    page, tags = page_of(evaluation, tmp_path)
    assert (evaluation.figures["ranked_users"], evaluation.figures["auc"]) == (0, None)
    assert (tags.seen["svg"], tags.seen["figcaption"]) == (2, 4)
    assert "no user in training has a relevant movie among the test ratings" in page


def test_readings_say_what_the_arrays_hold(settings: Settings) -> None:
    evaluation = evaluated(settings)
    lists, counts = evaluation.measured.lists, evaluation.held_out.train.by_movie.counts()
    first = np.argsort(-counts, kind="stable")[: len(counts) // 10]
    said = plots.popularity_bias(evaluation).reading
    assert f"has {counts[first].sum() / counts.sum():.1%} of the ratings" in said
    assert f"and {np.isin(lists, first).mean():.1%} of the places on lists" in said
    predicted, rating = evaluation.measured.predicted, evaluation.held_out.rating
    quarters = [np.floor(predicted * 4) == quarter for quarter in np.unique(np.floor(predicted * 4))]
    off = [(abs(predicted[q].mean() - rating[q].mean()), q.sum()) for q in quarters if q.sum() >= plots.FEW]
    gap = sum(apart * n for apart, n in off) / sum(n for _, n in off)
    assert f"On average they were {gap:.2f} stars apart" in plots.calibration(evaluation).reading


def test_the_settings_are_searched_on_the_training_part_alone(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched = []

    def search(matrix: RatingMatrix, base: ModelSettings, **options: Any) -> Found:
        searched.append((matrix.by_user.counts().sum(), options["rule"].relevant_from))
        return Found(replace(base, ranking_rank=7), [{"of": "ranking model"}])

    monkeypatch.setattr(evaluating, "search", search)
    train, test = split(of_camps(), "random", 0.2, 42)
    tuned = settings.model_copy(update={"self_tuning": True})
    figures = evaluate(train, test, tuned, relevant_from=4.5).figures
    assert searched == [(len(train), 4.5)]
    assert figures["model_settings"]["ranking_rank"] == 7
    assert figures["tuning"]["tried"] == [{"of": "ranking model"}]

    adopt(settings.warehouse, ModelSettings(ranking_rank=5), {})
    assert evaluate(train, test, tuned).figures["model_settings"]["ranking_rank"] == 5
    assert evaluate(train, test, settings).figures["tuning"]["tried"] == []
    assert len(searched) == 1
