"""Scores of a micro-batch against their definition, written out rating by rating."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from reelstream.als.arrays import Csr
from reelstream.als.factors import ModelSettings, RatingMatrix
from reelstream.als.fit import fit
from reelstream.als.fold_in import FoldIn
from reelstream.als.metrics import BIAS_DAMPING
from reelstream.als.splits import split_random
from reelstream.store.rating_rows import in_order, latest
from reelstream.stream import prequential as module
from reelstream.stream.history import History
from reelstream.stream.prequential import Scores, score
from tests.fixtures.rating_data import movielens, tastes
from tests.fixtures.rows import ratings

Row = tuple[int, int, float]
MODEL = ModelSettings(rating_rank=5, ranking_rank=6, rating_prior_count=2, ranking_regularization=0.006)
NEW_USER, NEW_MOVIE = 5000, 6000
NONE = Scores()


@cache
def version() -> FoldIn:
    return FoldIn(fit(RatingMatrix.from_triples(*known()), MODEL))


def known() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the version was fitted on."""
    user, movie, stars = tastes()
    return user[:900], movie[:900], stars[:900]


def stored(*more: Row) -> list[Row]:
    return [*zip(*(column.tolist() for column in known()), strict=True), *more]


def scored(batch: list[Row], before: list[Row]) -> Scores:
    newest = in_order(latest(ratings(*batch), taken_back=True))
    user, movie, stars = (newest[name].to_numpy() for name in ("user_id", "movie_id", "rating"))
    return score((user, movie, stars), History(ratings(*before)).of(np.unique(user)), version())


def by_hand(batch: list[Row], before: list[Row]) -> Scores:
    """The definition: one rating after the other, each from all that its user rated before it."""
    factors = version().factors
    ids = factors.movie_ids.tolist()
    newest: dict[tuple[int, int], float] = {}
    for user, movie, stars in batch:
        newest.pop((user, movie), None)
        newest[user, movie] = stars
    by_popularity = sorted(range(len(ids)), key=lambda m: (-factors.movie_sums[m], factors.movie_counts[m], m))
    ratings = liked = hits = popular_hits = 0
    squared_error = bias_only_squared_error = 0.0
    for number, ((user, movie), stars) in enumerate(newest.items()):
        history = {m: s for u, m, s in before if u == user}
        if np.isnan(stars) or movie in history:
            continue
        for (u, m), s in [*newest.items()][:number]:
            if u == user:
                history.pop(m, None)
                history |= {} if np.isnan(s) else {m: s}
        seen = {ids.index(m): s for m, s in history.items() if m in ids}
        at = ids.index(movie) if movie in ids else None
        row = Csr(
            np.array([0, len(seen)]),
            np.array([*seen], np.int32),
            np.array([*seen.values()], np.float32),
            np.arange(len(seen), dtype=np.int32)[::-1],
        )
        folded = version().solve(row)

        predicted = factors.mean + folded.user_bias[0]
        if at is not None:
            predicted += factors.movie_bias[at] + folded.rating[0] @ factors.rating_movie[at]
        bias = {
            m: (factors.movie_sums[m] - factors.movie_counts[m] * factors.mean)
            / (factors.movie_counts[m] + BIAS_DAMPING)
            for m in {*seen, at} - {None}
        }
        left = [s - factors.mean - bias[m] for m, s in seen.items()]
        biases = factors.mean + sum(left) / (len(left) + BIAS_DAMPING) + (bias[at] if at is not None else 0)
        ratings += 1
        squared_error += (min(max(predicted, 0.5), 5.0) - stars) ** 2
        bias_only_squared_error += (min(max(biases, 0.5), 5.0) - stars) ** 2

        if stars >= 4:
            order = factors.ranking_movie @ folded.ranking[0]
            best = sorted(set(range(len(ids))) - set(seen), key=lambda m: (-order[m], m))[:10]
            most_popular = [m for m in by_popularity if m not in seen][:10]
            liked += 1
            hits += at in (best if seen else most_popular)
            popular_hits += at in most_popular
    return Scores(ratings, squared_error, bias_only_squared_error, liked, hits, popular_hits)


def close(scores: Scores) -> Scores:
    """To compare with: whole numbers as they are, sums of errors nearly."""
    return Scores(
        scores.ratings,
        pytest.approx(scores.squared_error, rel=1e-4),
        pytest.approx(scores.bias_only_squared_error, rel=1e-4),
        scores.liked,
        scores.hits,
        scores.popular_hits,
    )


def random_batch(seed: int) -> list[Row]:
    """Known and new users and movies, re-ratings, doubles, and ratings taken back."""
    rng = np.random.default_rng(seed)
    user, movie, stars = tastes()
    at = rng.integers(700, len(user), 60)  # a part of them is in the history
    batch = list(zip(user[at].tolist(), movie[at].tolist(), stars[at].tolist(), strict=True))
    batch += [(NEW_USER + i % 4, int(m), float(rng.integers(1, 6))) for i, m in enumerate(rng.choice(movie, 20))]
    batch += [(int(u), NEW_MOVIE + i % 3, 4.5) for i, u in enumerate(rng.choice(user, 6))]
    batch += [(user, movie, np.nan) for user, movie, _ in batch[::15]]
    batch += [(user, movie, 5.0) for user, movie, _ in batch[1::10]]
    return batch


@pytest.mark.parametrize("seed", range(6))
def test_is_as_defined(seed: int) -> None:
    batch, before = random_batch(seed), stored((NEW_USER + 1, NEW_MOVIE, 3.0), (NEW_USER + 2, 3, 5.0))

    found = scored(batch, before)

    assert found == close(by_hand(batch, before))
    assert 20 < found.ratings < len(set(batch))
    assert 0 < found.hits < found.liked < found.ratings
    assert 0 < found.popular_hits < found.liked


def test_a_micro_batch_is_scored_as_its_ratings_are_one_by_one() -> None:
    user = int(known()[0][0])
    rated = {movie for u, movie, _ in stored() if u == user}
    movies = [movie for movie in np.unique(known()[1]).tolist() if movie not in rated][:12]
    batch = [(user, movie, 3.0 + at % 3) for at, movie in enumerate(movies)]
    batch += [(NEW_USER, movie, 4.5) for movie in movies[:6]]

    one_by_one = sum((scored([one], stored(*batch[:at])) for at, one in enumerate(batch)), NONE)

    assert scored(batch, stored()) == close(one_by_one)
    assert scored(batch, stored()) != close(sum((scored([one], stored()) for one in batch), NONE))


def test_of_a_large_micro_batch_so_many_ratings_are_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, before = random_batch(1), stored()
    whole = scored(batch, before)
    monkeypatch.setattr(module, "SCORED_AT_MOST", whole.ratings // 3)

    assert scored(batch, before).ratings == whole.ratings // 3


def test_a_movie_rated_before_and_a_rating_taken_back_are_not_scored() -> None:
    user, movie, _ = stored()[0]

    assert scored([(user, movie, 5.0)], stored()) == NONE
    nobody = np.zeros(0, np.int64)
    assert score((nobody, nobody, nobody.astype(np.float32)), (nobody, nobody, np.float32([])), version()) == NONE
    assert scored([(user, NEW_MOVIE, 5.0)], stored((user, NEW_MOVIE, 1.0))) == NONE
    assert scored([(user, movie, np.nan), (NEW_USER, movie, np.nan)], stored()) == NONE


def test_users_of_ratings_that_are_not_scored_still_have_their_place_in_the_history() -> None:
    first, second = sorted({user for user, _, _ in stored()})[:2]
    batch = [(first, NEW_MOVIE, np.nan), (second, NEW_MOVIE, 4.0)]

    assert scored(batch, stored()) == scored(batch[1:], stored())


def test_a_new_user_gets_the_popular_list_and_the_bias_of_the_movie() -> None:
    factors = version().factors
    best = int(np.argmax(factors.movie_sums))

    scores = scored([(NEW_USER, int(factors.movie_ids[best]), 4.0)], stored())

    assert (scores.liked, scores.hits, scores.popular_hits) == (1, 1, 1)
    assert scores.rmse == pytest.approx(abs(factors.mean + factors.movie_bias[best] - 4), abs=1e-5)
    unknown = scored([(NEW_USER, NEW_MOVIE, 4.0)], stored())
    assert unknown.rmse == unknown.bias_only_rmse == pytest.approx(abs(factors.mean - 4), abs=1e-6)
    assert (unknown.liked, unknown.hits) == (1, 0)


def test_scores_add_up_and_what_is_not_defined_is_none() -> None:
    some, more = Scores(2, 1.0, 4.0, 1, 1, 0), Scores(2, 7.0, 12.0, 3, 1, 1)

    assert some + more - some == more
    assert ((some + more).rmse, (some + more).bias_only_rmse) == (2**0.5, 2.0)
    assert ((some + more).hit_rate, (some + more).popular_hit_rate) == (0.5, 0.25)
    assert (NONE.rmse, NONE.bias_only_rmse, NONE.hit_rate, NONE.popular_hit_rate) == (None,) * 4


@pytest.mark.parametrize(("liked_from", "liked"), [(None, 2), (4.5, 1), (3.0, 3)])
def test_a_movie_is_liked_from_the_stars_on_of_the_setting(liked_from: float | None, liked: int) -> None:
    factors = version().factors
    fold_in = FoldIn(replace(factors, settings=replace(factors.settings, liked_from=liked_from)))
    rated = (np.full(3, NEW_USER), factors.movie_ids[:3], np.array([3.0, 4.0, 5.0], np.float32))
    assert score(rated, History(ratings()).of(np.array([NEW_USER])), fold_in).liked == liked


def test_real_ratings_both_models_beat_their_baselines() -> None:
    user, movie, stars = movielens()
    train, test = split_random(len(stars), 0.2, 42)
    fold_in = FoldIn(fit(RatingMatrix.from_triples(user[train], movie[train], stars[train]), ModelSettings()))
    history = History(ratings(*zip(*(column[train].tolist() for column in (user, movie, stars)), strict=True)))
    rows = test[:6000]

    found = NONE
    for part in np.array_split(rows, 4):
        batch = (user[part], movie[part], stars[part])
        found += score(batch, history.of(np.unique(user[part])), fold_in)

    assert found.ratings == 6000
    assert (found.rmse or np.nan) < (found.bias_only_rmse or np.nan) - 0.01
    assert (found.hit_rate or np.nan) > 1.5 * (found.popular_hit_rate or np.nan)
