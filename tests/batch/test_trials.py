"""What a tune tries, without Spark."""

from __future__ import annotations

import re
from dataclasses import fields, replace

import numpy as np
import pytest

from reelstream.als.factors import ModelSettings
from reelstream.batch.evaluation.search_space import DEFAULT_GRID, DEFAULT_RANGES, SETTINGS, WHOLE, Range, parse
from reelstream.batch.evaluation.trials import TRIALS, Trial, trials
from reelstream.errors import UsageError
from tests.batch.small import SMALL
from tests.test_docs import section


def make(
    *words: str,
    base: ModelSettings = SMALL,
    data: str = "d",
    split: str = "s",
    n_random: int | None = None,
    seed: int = 42,
) -> list[Trial]:
    return trials(parse(words), base, data=data, split=split, n_random=n_random, seed=seed)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("", "'' is no setting to tune; take one of rating_rank, "),
        ("=", "'' is no setting to tune"),
        ("rank=3", "'rank' is no setting to tune"),
        ("rating_min=1", "'rating_min' is no setting to tune"),
        ("seed=1", "'seed' is no setting to tune"),
        ("rating_rank", "rating_rank has no value; give a list, rating_rank=VALUE,VALUE, or a range"),
        ("rating_rank=", "rating_rank has no value"),
        ("rating_rank=many", "rating_rank takes whole numbers, not 'many'."),
        ("rating_rank=3.5", "rating_rank takes whole numbers, not '3.5'."),
        ("rating_rank=1e30", "rating_rank takes whole numbers, not '1e30'."),
        ("rating_rank=3,,4", "rating_rank takes whole numbers, not ''."),
        ("rating_rank=3=4", "rating_rank takes whole numbers, not '3=4'."),
        ("ranking_alpha0=nan", "ranking_alpha0 takes numbers, not 'nan'."),
        ("ranking_alpha0=1e999", "ranking_alpha0 takes numbers, not '1e999'."),
        ("ranking_alpha0=..", "ranking_alpha0 takes numbers, not ''."),
        ("ranking_alpha0=1..2..3", "ranking_alpha0 takes numbers, not '2..3'."),
        ("ranking_alpha0=1..0.1", "ranking_alpha0=1..0.1 is no range; the lower end comes first."),
    ],
)
def test_a_setting_that_does_not_fit_is_refused_by_name(word: str, says: str) -> None:
    with pytest.raises(UsageError, match=re.escape(says)):
        parse([word])


def test_words_are_lists_and_ranges() -> None:
    assert parse(["rating_rank=31, 63,31", " ranking_alpha0 = 0.1..1 ", "ranking_power=2"]) == {
        "rating_rank": (31, 63),
        "ranking_alpha0": Range(0.1, 1.0),
        "ranking_power": (2.0,),
    }
    with pytest.raises(UsageError, match="rating_rank is given twice"):
        parse(["rating_rank=31", "rating_rank=63"])


def test_a_grid_is_a_sum_over_the_models_and_has_the_settings_in_use_first() -> None:
    found = make("rating_rank=5,7", "rating_prior_count=1,2,3", "ranking_power=0,1")

    assert [trial.model for trial in found] == ["rating"] * 7 + ["ranking"] * 3
    assert len({trial.id for trial in found}) == 10
    first = ModelSettings(**found[0].settings)
    assert all(getattr(first, name) == getattr(SMALL, name) for name in SETTINGS["rating"])
    assert first.ranking_rank == SMALL.ranking_rank, "the rating model is fitted beside the ranking model in use"
    assert {(t.settings["rating_rank"], t.settings["rating_prior_count"]) for t in found[1:7]} == {
        (rank, n) for rank in (5, 7) for n in (1, 2, 3)
    }
    assert [trial.model for trial in make("rating_rank=3")] == ["rating"], "the settings in use come once"


def test_the_default_grid_and_ranges_are_around_the_shipped_defaults() -> None:
    grid, shipped = parse(DEFAULT_GRID), ModelSettings()
    assert len(make(*DEFAULT_GRID, base=shipped)) == 18
    assert all(getattr(shipped, name) in values for name, values in grid.items())
    for name, values in parse(DEFAULT_RANGES).items():
        assert min(values) <= getattr(shipped, name) <= max(values)
    assert len(make(*DEFAULT_RANGES, base=shipped, n_random=10)) == 22


def test_a_grid_refuses_ranges_and_too_many_trials() -> None:
    with pytest.raises(UsageError, match=r"rating_prior_count is a range; .* --random N"):
        make("rating_prior_count=1..2")
    hundred_and_one = ",".join(map(str, range(101)))
    with pytest.raises(UsageError, match="more than 10,000 trials"):
        make(f"rating_rank={hundred_and_one}", f"rating_prior_count={hundred_and_one}")


def test_random_trials_lie_in_their_ranges_and_more_of_them_begin_with_the_same_ones() -> None:
    words = ("rating_regularization=0.001..1", "rating_rank=5..7", "ranking_power=1..2")
    found = make(*words, n_random=200)

    assert [trial.id for trial in make(*words, n_random=20)[:21]] == [trial.id for trial in found[:21]]
    assert make(*words, n_random=20, seed=7)[1].id != found[1].id
    rating = [trial.settings for trial in found if trial.model == "rating"][1:]
    strengths = np.array([settings["rating_regularization"] for settings in rating])
    assert 0.001 <= strengths.min() < strengths.max() <= 1
    assert 0.2 < (strengths < 0.01).mean() < 0.5, "a third of them in each power of ten"
    assert {settings["rating_rank"] for settings in rating} == {5, 6, 7}
    assert all(1 <= trial.settings["ranking_power"] <= 2 for trial in found if trial.model == "ranking")


def test_the_id_of_a_trial_depends_on_what_its_figures_depend_on_and_nothing_else() -> None:
    [one, *_] = make("rating_rank=3")

    assert make("ranking_power=1", base=replace(SMALL, rating_rank=9))[0].id == make("ranking_power=1")[0].id
    for other in (
        make("rating_rank=3", base=replace(SMALL, ranking_rank=9)),
        make("rating_rank=3", data="e"),
        make("rating_rank=3", split="t"),
        make("rating_rank=3", base=replace(SMALL, rating_rank=9)),
        make("rating_rank=3", base=replace(SMALL, seed=9)),
        make("rating_rank=3", base=replace(SMALL, rating_max=4.0)),
    ):
        assert other[0].id != one.id


def test_every_setting_of_the_models_can_be_searched_and_has_its_type() -> None:
    searched = {*SETTINGS["rating"], *SETTINGS["ranking"]}
    shared = {"tolerance", "seed", "rating_min", "rating_max", "liked_from"}
    assert searched | shared == {field.name for field in fields(ModelSettings)}
    assert {name for name in WHOLE if not isinstance(getattr(ModelSettings(), name), int)} == set()


def test_every_column_of_the_table_is_described() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| (\S.*) \|$", section("docs/tables.md", "trials"), re.MULTILINE)
    assert [(column, kind) for column, kind, _ in rows] == [(field.name, str(field.type)) for field in TRIALS]
