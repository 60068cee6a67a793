"""Ranking metrics against small examples by hand, and against their definitions on random lists."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelstream.als import auc as auc_module
from reelstream.als.auc import auc
from reelstream.als.list_metrics import accuracy, ndcg, variety
from reelstream.als.list_scores import ListScores
from tests.als import brute_force
from tests.fixtures.rating_data import csr, dense

N_MOVIES = 9
NAMES = {
    "ndcg": brute_force.ndcg,
    "precision": brute_force.precision,
    "recall": brute_force.recall,
    "map": brute_force.average_precision,
    "mrr": brute_force.reciprocal_rank,
}


def padded(lists: list[list[int]], k: int) -> np.ndarray:
    return np.array([[*one, *[-1] * k][:k] for one in lists], np.int32)


def test_each_place_counts() -> None:
    positions = padded([[5, 1, 3], [2, 0]], 3)
    figures = accuracy(positions, csr([[1, 3, 6, 8], [2]]), 10)
    first = (1 / np.log2(3) + 1 / np.log2(4)) / (1 + 1 / np.log2(3) + 1 / np.log2(4))
    assert figures["ndcg_at_3"] == pytest.approx((first + 1) / 2)
    assert ndcg(positions, csr([[1, 3, 6, 8], [2]]), 10) == pytest.approx([first, 1])
    assert figures["precision_at_3"] == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert figures["recall_at_3"] == pytest.approx((2 / 4 + 1) / 2)
    assert figures["map_at_3"] == pytest.approx(((1 / 2 + 2 / 3) / 3 + 1) / 2)
    assert figures["mrr_at_3"] == pytest.approx((1 / 2 + 1) / 2)


def test_variety_by_hand() -> None:
    vectors = np.array([[1, 0], [0, 2], [3, 3], [0, 0], [1, 1]], np.float32)
    figures = variety(padded([[0, 1, 2], [2, 3], [4]], 3), np.array([8, 4, 2, 1, 1]), 8, vectors)
    assert figures["coverage"] == 1
    assert figures["novelty"] == pytest.approx((0 + 1 + 2 + 2 + 3 + 3) / 6)
    # Cosines 0, √½, √½ in the first list, 0 with the movie without factors in the second; the third has no pair.
    assert figures["diversity"] == pytest.approx((1 - 2 * np.sqrt(0.5) / 3 + 1) / 2)


def test_lists_without_movies_have_no_variety() -> None:
    empty = variety(padded([[], []], 3), np.array([1, 1]), 2, np.ones((2, 1), np.float32))
    assert empty == {"coverage": None, "novelty": None, "diversity": None}
    alone = variety(padded([[0], [0]], 3), np.array([1, 1]), 2, np.ones((2, 1), np.float32))
    assert alone == {"coverage": 0.5, "novelty": 1, "diversity": None}


@st.composite
def lists_and_relevant(draw: st.DrawFn) -> tuple[list[list[int]], list[list[int]], int]:
    movies = st.integers(0, N_MOVIES - 1)
    k = draw(st.integers(1, 6))
    one = st.tuples(st.lists(movies, max_size=k, unique=True), st.lists(movies, min_size=1, unique=True).map(sorted))
    users = draw(st.lists(one, min_size=1, max_size=5))
    return [listed for listed, _ in users], [relevant for _, relevant in users], k


@given(lists_and_relevant())
def test_accuracy_is_as_defined(users: tuple[list[list[int]], list[list[int]], int]) -> None:
    lists, relevant, k = users
    figures = accuracy(padded(lists, k), csr(relevant), N_MOVIES)
    for name, of_one in NAMES.items():
        expected = np.mean([of_one(one, set(r), k) for one, r in zip(lists, relevant, strict=True)])
        assert figures[f"{name}_at_{k}"] == pytest.approx(expected), name


@given(lists_and_relevant(), st.integers(0, 2**32 - 1))
def test_diversity_is_the_mean_over_pairs(users: tuple[list[list[int]], list[list[int]], int], seed: int) -> None:
    lists, _, k = users
    vectors = np.random.default_rng(seed).normal(size=(N_MOVIES, 3)).astype(np.float32)
    vectors[0] = 0
    units = [v / np.linalg.norm(v) if v.any() else v for v in vectors]
    cosines = [[units[a] @ units[b] for a in one for b in one if a < b] for one in lists]
    expected = [1 - np.mean(of_one) for of_one in cosines if of_one]
    found = variety(padded(lists, k), np.ones(N_MOVIES, np.int64), 1, vectors)["diversity"]
    assert found == (pytest.approx(np.mean(expected), abs=1e-5) if expected else None)


@given(
    st.lists(
        st.tuples(*[st.lists(st.integers(0, N_MOVIES - 1), unique=True) for _ in range(2)]), min_size=1, max_size=6
    ),
    st.integers(0, 2**32 - 1),
    st.booleans(),
    st.booleans(),
)
def test_auc_is_the_share_of_pairs_in_order(
    users: list[tuple[list[int], list[int]]], seed: int, hide: bool, with_extra: bool
) -> None:
    """Scores are small whole numbers, so that ties are many."""
    rng = np.random.default_rng(seed)
    user, movie = rng.integers(-1, 2, (len(users), 2)), rng.integers(-1, 2, (N_MOVIES, 2))
    relevant = [sorted(set(liked) - set(seen)) for liked, seen in users]
    listable = rng.random(N_MOVIES) < 0.7 if hide else None
    extra = csr([np.flatnonzero(rng.random(N_MOVIES) < 0.3).tolist() for _ in users]) if with_extra else None
    by = ListScores(user.astype(np.float32), np.ones(len(users), np.float32), extra)
    found = auc(by, movie.astype(np.float32), csr(relevant), csr([seen for _, seen in users]), listable)
    scores = (user @ movie.T).astype(float)
    if extra is not None:
        scores += dense(extra, N_MOVIES)
    if listable is not None:
        scores[:, ~listable] = -np.inf
    for i, (_, seen) in enumerate(users):
        expected = brute_force.auc(scores[i].tolist(), set(relevant[i]), set(seen))
        assert np.isnan(found[i]) if expected is None else found[i] == pytest.approx(expected)


def test_auc_does_not_depend_on_blocks_and_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    user, movie = rng.integers(-3, 4, (60, 4)).astype(np.float32), rng.integers(-3, 4, (200, 4)).astype(np.float32)
    by = ListScores(user, np.ones(60, np.float32), csr([[7, 9]] * 60))
    drawn = [np.sort(rng.choice(200, 30, replace=False)) for _ in range(60)]
    relevant, seen = csr([s[::2].tolist() for s in drawn]), csr([s[1::2].tolist() for s in drawn])
    whole = auc(by, movie, relevant, seen)
    monkeypatch.setattr(auc_module, "_BLOCK_BYTES", 4 * 200 * 7)
    monkeypatch.setattr(auc_module, "_WORTH", 0)
    assert np.array_equal(auc(by, movie, relevant, seen), whole)
