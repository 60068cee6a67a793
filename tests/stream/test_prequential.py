"""Scores of a micro-batch against their definition, written out rating by rating."""

from __future__ import annotations

from dataclasses import asdict, replace
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
from reelstream.stream.recent_popularity import HALF_LIFE, RecentPopularity
from tests.fixtures.rating_data import movielens, tastes
from tests.fixtures.rows import ratings

Row = tuple[int, int, float]
MODEL = ModelSettings(rating_rank=5, ranking_rank=6, rating_prior_count=2, ranking_regularization=0.006)
NEW_USER, NEW_MOVIE = 5000, 6000
NONE = Scores()
NOBODY = RecentPopularity(np.empty(0, np.int64))


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
    recent = RecentPopularity(np.array([movie for _, movie, _ in before], np.int64))
    return score((user, movie, stars), History(ratings(*before)).of(np.unique(user)), version(), recent)


def by_hand(batch: list[Row], before: list[Row]) -> Scores:
    """The definition: one rating after the other, each from all that its user rated before it."""
    factors = version().factors
    ids = factors.movie_ids.tolist()
    newest: dict[tuple[int, int], float] = {}
    for user, movie, stars in batch:
        newest.pop((user, movie), None)
        newest[user, movie] = stars
    lately = dict.fromkeys(ids, 0.0)
    for at, (_, movie, _) in enumerate(before):
        lately[movie] = lately.get(movie, 0.0) + 2.0 ** ((at - len(before)) / HALF_LIFE)
    by_popularity = sorted(range(len(ids)), key=lambda m: (-factors.movie_sums[m], factors.movie_counts[m], m))
    ratings = liked = done = 0
    squared_error = squares = bias_only_squared_error = 0.0
    gains: list[tuple[float, float, float]] = []
    for number, ((user, movie), stars) in enumerate(newest.items()):
        history = {m: s for u, m, s in before if u == user}
        by_late = sorted(range(len(ids)), key=lambda m: (-lately[ids[m]], m))
        if not np.isnan(stars):
            lately[movie] = lately.get(movie, 0.0) + 2.0 ** (done / HALF_LIFE)
            done += 1
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
        squares += (min(max(predicted, 0.5), 5.0) - stars) ** 4
        bias_only_squared_error += (min(max(biases, 0.5), 5.0) - stars) ** 2

        if stars >= 4:
            order = factors.ranking_movie @ folded.ranking[0]
            best = sorted(set(range(len(ids))) - set(seen), key=lambda m: (-order[m], m))[:10]
            most_popular = [m for m in by_popularity if m not in seen][:10]
            liked += 1
            late = [m for m in by_late if m not in seen][:10]
            gains.append(tuple(gain(at, among) for among in (best if seen else most_popular, most_popular, late)))
    ours, popular, recent = zip(*gains, strict=True) if gains else ((), (), ())
    return Scores(
        ratings=ratings,
        squared_error=squared_error,
        squared_error_squares=squares,
        bias_only_squared_error=bias_only_squared_error,
        liked=liked,
        hits=sum(one > 0 for one in ours),
        gain=sum(ours),
        gain_squares=sum(one**2 for one in ours),
        popular_hits=sum(one > 0 for one in popular),
        popular_gain=sum(popular),
        recent_hits=sum(one > 0 for one in recent),
        recent_gain=sum(recent),
    )


def gain(movie: int | None, best: list[int]) -> float:
    return 1 / np.log2(best.index(movie) + 2) if movie in best else 0.0


def close(scores: Scores) -> Scores:
    """To compare with: whole numbers as they are, sums of other numbers nearly."""
    sums = asdict(scores).items()
    return Scores(**{name: value if isinstance(value, int) else pytest.approx(value, rel=1e-4) for name, value in sums})


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
    assert (
        score((nobody, nobody, nobody.astype(np.float32)), (nobody, nobody, np.float32([])), version(), NOBODY) == NONE
    )
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
    assert scores.figures()["rmse"] == pytest.approx(abs(factors.mean + factors.movie_bias[best] - 4), abs=1e-5)
    unknown = scored([(NEW_USER, NEW_MOVIE, 4.0)], stored())
    assert (
        unknown.figures()["rmse"]
        == unknown.figures()["bias_only_rmse"]
        == pytest.approx(abs(factors.mean - 4), abs=1e-6)
    )
    assert (unknown.liked, unknown.hits) == (1, 0)


def test_scores_add_up_and_what_is_not_defined_is_none() -> None:
    some = Scores(ratings=2, squared_error=1.0, bias_only_squared_error=4.0, liked=1, hits=1, gain=1.0)
    more = Scores(ratings=2, squared_error=7.0, bias_only_squared_error=12.0, liked=3, hits=1, gain=0.5, popular_hits=1)

    assert some + more - some == more
    both = (some + more).figures()
    assert (both["rmse"], both["bias_only_rmse"]) == (2**0.5, 2.0)
    assert (both["hit_rate"], both["popular_hit_rate"], both["ndcg_at_10"]) == (0.5, 0.25, 0.375)
    assert {*NONE.figures().values()} == {None}


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng, held = np.random.default_rng(2), np.zeros(3)
    for _ in range(400):
        errors, hits = rng.exponential(1.0, 300), rng.random(300) < 0.1
        gains = hits / np.log2(rng.integers(2, 12, 300))
        sums = {"ratings": 300, "squared_error": errors.sum(), "squared_error_squares": (errors**2).sum()}
        ranked = {"liked": 300, "hits": int(hits.sum()), "gain": gains.sum(), "gain_squares": (gains**2).sum()}
        found = Scores(**sums, **ranked).figures()
        truth = {"rmse": 1.0, "hit_rate": 0.1, "ndcg_at_10": 0.1 * np.mean(1 / np.log2(np.arange(2, 12)))}
        held += [found[f"{name}_low"] <= true <= found[f"{name}_high"] for name, true in truth.items()]  # type: ignore[operator]
    assert (held / 400 > 0.91).all()
    assert (held / 400 < 0.99).all()


@pytest.mark.parametrize(("liked_from", "liked"), [(None, 2), (4.5, 1), (3.0, 3)])
def test_a_movie_is_liked_from_the_stars_on_of_the_setting(liked_from: float | None, liked: int) -> None:
    factors = version().factors
    fold_in = FoldIn(replace(factors, settings=replace(factors.settings, liked_from=liked_from)))
    rated = (np.full(3, NEW_USER), factors.movie_ids[:3], np.array([3.0, 4.0, 5.0], np.float32))
    assert score(rated, History(ratings()).of(np.array([NEW_USER])), fold_in, NOBODY).liked == liked


def test_real_ratings_both_models_beat_their_baselines() -> None:
    user, movie, stars = movielens()
    train, test = split_random(len(stars), 0.2, 42)
    fold_in = FoldIn(fit(RatingMatrix.from_triples(user[train], movie[train], stars[train]), ModelSettings()))
    history = History(ratings(*zip(*(column[train].tolist() for column in (user, movie, stars)), strict=True)))
    rows = test[:6000]

    found = NONE
    for part in np.array_split(rows, 4):
        batch = (user[part], movie[part], stars[part])
        found += score(batch, history.of(np.unique(user[part])), fold_in, NOBODY)

    assert found.ratings == 6000
    figures = found.figures()
    assert (figures["rmse"] or np.nan) < (figures["bias_only_rmse"] or np.nan) - 0.01
    assert (figures["hit_rate"] or np.nan) > 1.5 * (figures["popular_hit_rate"] or np.nan)
