"""Transitions against their definition; learned event by event against built at once."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelstream.als import reference, transition_rows
from reelstream.als.arrays import Csr, ages_of, row_starts
from reelstream.als.factors import RatingMatrix
from reelstream.als.transition_rule import (
    ARRIVING_POWER,
    DAMPING,
    FADE,
    LEAVING_POWER,
    SUCCESSORS,
    UNIT,
    WINDOW,
)
from reelstream.als.transitions import Transitions
from tests.fixtures.examples import examples

Sequences = list[list[int]]
"""A user's movies each, what was rated last at the end."""

sequences = st.lists(st.lists(st.integers(1, 30), unique=True, max_size=25), min_size=1, max_size=6)


def rows(users: Sequences) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(row, movie_id, ages), by user and movie."""
    found = [(user, movie, len(seen) - 1 - at) for user, seen in enumerate(users) for at, movie in enumerate(seen)]
    row, movie_id, ages = np.array(sorted(found), np.int64).reshape(-1, 3).T
    return row, movie_id, ages.astype(np.int32)


def matrix(users: Sequences) -> RatingMatrix:
    row, movie_id, ages = rows(users)
    return RatingMatrix.from_triples(row, movie_id, np.ones(len(row), np.float32), ages)


def built(users: Sequences) -> Transitions:
    if not any(users):
        return Transitions.nothing()
    ratings = matrix(users)
    return Transitions.of(ratings.movie_ids, ratings.by_user, ratings.by_movie)


def defined(users: Sequences) -> dict[tuple[int, int], Fraction]:
    """T by (movie, successor)."""
    T: dict[tuple[int, int], Fraction] = defaultdict(Fraction)
    for seen in users:
        for at, movie in enumerate(seen):
            for d, successor in enumerate(seen[at + 1 : at + 1 + WINDOW], 1):
                T[movie, successor] += Fraction(1, d)
    return dict(T)


def entries(transitions: Transitions) -> dict[tuple[int, int], Fraction]:
    ids = transitions.movie_ids
    return {
        (int(ids[a]), int(ids[b])): Fraction(int(count), UNIT)
        for a in range(len(ids))
        for b, count in zip(*transitions.row(a), strict=True)
    }


def sums(transitions: Transitions) -> dict[int, tuple[int, int]]:
    columns = (transitions.movie_ids, transitions.leaving, transitions.arriving)
    return {
        movie: (leaving, arriving)
        for movie, leaving, arriving in zip(*(column.tolist() for column in columns), strict=True)
        if leaving or arriving
    }


@examples(60)
@given(sequences)
def test_it_is_as_defined(users: Sequences) -> None:
    found, T = built(users), defined(users)

    assert entries(found) == T
    for a, movie in enumerate(found.movie_ids.tolist()):
        assert found.leaving[a] == UNIT * sum(T[pair] for pair in T if pair[0] == movie)
        assert found.arriving[a] == UNIT * sum(T[pair] for pair in T if pair[1] == movie)


@examples(60)
@given(before=sequences, changes=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 30), st.booleans()), max_size=40))
def test_learned_event_by_event_it_is_what_is_built_at_once(
    before: Sequences, changes: list[tuple[int, int, bool]]
) -> None:
    """A rating that is new, one that is changed, which makes it the newest, and one that is taken back."""
    found, users = built(before), [list(seen) for seen in before]
    for user, movie, taken_back in changes:
        seen = users[user % len(users)]
        was = rows([seen])
        if movie in seen:
            seen.remove(movie)
        if not taken_back:
            seen.append(movie)
        found.learn(was, rows([seen]), 1)

    assert entries(found) == defined(users)
    assert sums(found) == sums(built(users))


@examples(30)
@given(before=sequences, after=sequences)
def test_several_users_at_once_and_any_change_of_order_are_learned(before: Sequences, after: Sequences) -> None:
    n = max(len(before), len(after))
    found = built(before)

    found.learn(rows(before), rows(after), n)

    assert entries(found) == defined(after)


@examples(60)
@given(users=sequences, late=st.lists(st.integers(1, 40), unique=True, max_size=8))
def test_what_comes_next_is_as_defined_and_the_kernel_agrees_with_its_reference(
    users: Sequences, late: list[int]
) -> None:
    """late: movies that the positions do not have, or the transitions do not."""
    if not any(users):
        return
    transitions, T = built(users), defined(users)
    positions = np.array(sorted({movie for seen in users for movie in seen} ^ set(late)), np.int64)
    row, movie_id, ages = rows(users)
    at = np.searchsorted(positions, movie_id)
    known = np.isin(movie_id, positions)
    histories = Csr.from_rows(row[known], at[known], np.ones(known.sum(), np.float32), len(users), ages[known])

    found = transitions.next_scores(histories, positions)

    leaving, arriving = ({m: sums_of[i] / UNIT for m, sums_of in sums(transitions).items()} for i in (0, 1))
    for user, seen in enumerate(users):
        t: dict[int, float] = defaultdict(float)
        for k, movie in enumerate(reversed(seen[-WINDOW:])):
            for pair, count in T.items():
                if pair[0] == movie and movie in positions and pair[1] in positions and pair[1] not in seen:
                    damped = (leaving[movie] + DAMPING) ** LEAVING_POWER * (
                        arriving[pair[1]] + DAMPING
                    ) ** ARRIVING_POWER
                    t[pair[1]] += FADE**k * float(count) / damped
        expected = {movie: score / max(t.values()) for movie, score in t.items()}
        columns, values = found.row(user)
        assert dict(zip(positions[columns].tolist(), values.tolist(), strict=True)) == pytest.approx(expected, rel=1e-5)
    by_numpy = reference.next_scores(histories, transitions.arrays(positions))
    np.testing.assert_array_equal(by_numpy.indptr, found.indptr)
    np.testing.assert_array_equal(by_numpy.indices, found.indices)
    np.testing.assert_allclose(by_numpy.values, found.values, rtol=1e-6)


def test_only_the_most_frequent_successors_are_kept() -> None:
    """Movie 0 is followed by each other once, and by the last ones twice."""
    others = range(1, SUCCESSORS + 101)
    users = [[0, movie] for movie in others] + [[0, movie] for movie in list(others)[-50:]]

    found = built(users)

    kept = {successor for movie, successor in entries(found) if movie == 0}
    assert len(kept) == SUCCESSORS
    assert kept == {*range(1, 151), *range(251, 301)}, "of equal ones the first"
    assert found.leaving[0] == UNIT * (SUCCESSORS + 150), "what is not kept counts in the sum"


def test_a_full_row_takes_a_new_successor_in_the_place_of_the_least() -> None:
    users = [[0, movie] for movie in range(1, SUCCESSORS + 1) for _ in range(1 + (movie > 1))]
    found = built(users)
    for new in (1000, 1001):
        found.learn(rows([[0]]), rows([[0, new]]), 1)

    kept = {successor: count for (movie, successor), count in entries(found).items() if movie == 0}
    assert len(kept) == SUCCESSORS
    assert kept[1001] == 1
    assert 1 not in kept
    assert 1000 not in kept, "it came once, and was the least"
    assert sums(found)[0][0] == UNIT * (len(users) + 2)


def test_it_is_the_same_for_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transition_rows, "_WORTH", 0)
    rng = np.random.default_rng(0)
    ratings = matrix([rng.permutation(300)[:60].tolist() for _ in range(200)])

    one, *others = (
        Transitions.of(ratings.movie_ids, ratings.by_user, ratings.by_movie, threads=threads) for threads in (1, 2, 5)
    )

    for other in others:
        for name in ("starts", "lengths", "successors", "counts", "leaving", "arriving"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_the_order_is_that_of_the_times_and_of_equal_times_that_of_arrival() -> None:
    row, rated_at = np.array([0, 0, 0, 1, 1]), np.array([30, 10, 20, 5, 5])

    assert ages_of(row, rated_at).tolist() == [0, 2, 1, 1, 0]
    assert ages_of(row, rated_at, (np.array([0, 0, 0, 1, 0]), np.arange(5))).tolist() == [0, 2, 1, 0, 1]
    assert row_starts([3, 2]).tolist() == [0, 3, 5]
