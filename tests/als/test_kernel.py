from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelstream.als import compiled, kernel, reference
from reelstream.als.arrays import Csr, row_starts
from reelstream.errors import UsageError
from tests.fixtures.examples import examples


def problem(n_rows: int, n_columns: int, n_factors: int, density: float, seed: int) -> tuple:
    """(rows, other, weights, targets, regularization) of a random half-step."""
    rng = np.random.default_rng(seed)
    mask = rng.random((n_rows, n_columns)) < density
    counts = mask.sum(axis=1)
    indptr = row_starts(counts)
    indices = np.nonzero(mask)[1].astype(np.int32)
    values = np.ones(len(indices), np.float32)
    other = rng.normal(0, 0.4, (n_columns, n_factors)).astype(np.float32)
    weights = rng.choice(np.array([0, 0.25, 1, 3], np.float32), len(indices))
    targets = rng.normal(size=len(indices)).astype(np.float32)
    regularization = rng.uniform(0.5, 3, n_rows).astype(np.float32)
    return Csr(indptr, indices, values), other, weights, targets, regularization


@examples(60)
@given(
    n_rows=st.integers(1, 12),
    n_columns=st.integers(1, 90),
    n_factors=st.integers(1, 37),
    density=st.floats(0, 1),
    alpha0=st.sampled_from([0.0, 0.3, 1.0]),
    has_bias=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_kernel_agrees_with_reference(
    n_rows: int, n_columns: int, n_factors: int, density: float, alpha0: float, has_bias: bool, seed: int
) -> None:
    system = problem(n_rows, n_columns, n_factors, density, seed)
    more: dict = {"alpha0": alpha0}
    if has_bias:
        more = {"bias_regularization": np.full(n_rows, 0.7, np.float32)}
        system[1][:, -1] = 1
    np.testing.assert_allclose(
        kernel.half_step(*system, **more), reference.half_step(*system, **more), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("n_entries", [254, 255, 256, 257, 600])
def test_long_rows_are_solved_in_chunks(n_entries: int) -> None:
    system = problem(2, n_entries, 20, 1.0, n_entries)
    np.testing.assert_allclose(kernel.half_step(*system), reference.half_step(*system), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("alpha0", [0.0, 0.5])
def test_number_of_threads_does_not_change_a_bit(alpha0: float) -> None:
    system = problem(400, 3000, 48, 0.03, 1)
    one = kernel.half_step(*system, alpha0=alpha0, threads=1)
    for threads in (2, 3, 8):
        np.testing.assert_array_equal(kernel.half_step(*system, alpha0=alpha0, threads=threads), one)


def test_a_row_is_the_same_alone_or_among_others() -> None:
    rows, other, weights, targets, regularization = problem(40, 100, 16, 0.3, 2)
    together = kernel.half_step(rows, other, weights, targets, regularization, alpha0=1.0)
    for i in range(40):
        entries = slice(rows.indptr[i], rows.indptr[i + 1])
        alone = kernel.half_step(
            rows.select(np.array([i])), other, weights[entries], targets[entries], regularization[[i]], alpha0=1.0
        )
        np.testing.assert_array_equal(alone[0], together[i])


def test_two_python_threads_may_run_it_at_once() -> None:
    system = problem(300, 2000, 48, 0.05, 3)
    expected = kernel.half_step(*system, alpha0=1.0)
    results: list[np.ndarray] = []

    def work() -> None:
        for _ in range(5):
            results.append(kernel.half_step(*system, alpha0=1.0, threads=2))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 15
    for result in results:
        np.testing.assert_array_equal(result, expected)


def test_read_only_and_strided_arrays_are_taken() -> None:
    system = problem(10, 30, 8, 0.4, 4)
    expected = kernel.half_step(*system)
    rows, other, *rest = system
    for array in (rows.indptr, rows.indices, other, *rest):
        array.flags.writeable = False
    np.testing.assert_array_equal(kernel.half_step(rows, np.asfortranarray(other), *rest), expected)


def test_row_without_entries_is_zero() -> None:
    rows = Csr(np.array([0, 0, 1]), np.array([1], np.int32), np.ones(1, np.float32))
    other = np.ones((2, 3), np.float32)
    one = np.ones(1, np.float32)
    out = kernel.half_step(rows, other, one, one, np.ones(2, np.float32), alpha0=1.0)
    assert out[0].tolist() == [0, 0, 0]
    assert (out[1] != 0).all()


def test_index_outside_the_columns_is_named() -> None:
    for index in (-1, 2):
        rows = Csr(np.array([0, 1]), np.array([index], np.int32), np.ones(1, np.float32))
        one = np.ones(1, np.float32)
        with pytest.raises(UsageError, match="outside the 2 columns"):
            kernel.half_step(rows, np.ones((2, 3), np.float32), one, one, one)


def test_bias_with_alpha0_is_refused() -> None:
    system = problem(2, 5, 4, 0.5, 5)
    with pytest.raises(UsageError, match="not both"):
        kernel.half_step(*system, alpha0=1.0, bias_regularization=system[-1])


@pytest.mark.parametrize(("n", "n_columns"), [(1, 4), (7, 3), (24, 5), (24, 24), (64, 500)])
def test_eigen_turns_a_gram_matrix_diagonal(n: int, n_columns: int) -> None:
    V = np.random.default_rng(n).normal(size=(n_columns, n)) * np.geomspace(1, 1e-3, n)
    G = V.T @ V
    eigenvalues, Qt = compiled.eigen(G.copy())
    np.testing.assert_allclose(Qt @ Qt.T, np.eye(n), atol=1e-10)
    np.testing.assert_allclose(Qt @ G @ Qt.T, np.diag(eigenvalues), atol=1e-7 * eigenvalues.max())
    np.testing.assert_allclose(np.sort(eigenvalues), np.linalg.eigvalsh(G), atol=1e-7 * eigenvalues.max())


def test_eigen_of_equal_and_of_no_numbers() -> None:
    eigenvalues, Qt = compiled.eigen(np.full((6, 6), 2.0))
    np.testing.assert_allclose(np.sort(eigenvalues), [0, 0, 0, 0, 0, 12], atol=1e-10)
    np.testing.assert_allclose(Qt @ Qt.T, np.eye(6), atol=1e-12)
    assert compiled.eigen(np.zeros((3, 3)))[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("alpha0", [0.0, 0.5])
@pytest.mark.parametrize("density", [0.02, 0.5, 1.0])
def test_steps_from_a_near_start_come_to_the_solution(alpha0: float, density: float) -> None:
    system = problem(30, 400, 24, density, 6)
    solution, least = np.zeros((30, 24), np.float32), np.zeros(30)
    solution = kernel.half_step(*system, alpha0=alpha0, least=least)
    near = solution + np.random.default_rng(0).normal(0, 1, solution.shape).astype(np.float32)
    before = np.full(30, np.inf)
    for _ in range(30):
        value = np.zeros(30)
        near = kernel.half_step(*system, alpha0=alpha0, near=near, least=value)
        assert (value <= before * (1 + 1e-5)).all()
        before = value
    np.testing.assert_allclose(near, solution, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(value, least, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("alpha0", [0.0, 0.5])
def test_steps_tell_the_sum_at_where_they_end(alpha0: float) -> None:
    rows, other, weights, targets, regularization = problem(8, 200, 20, 0.5, 7)
    value = np.zeros(8)
    near = np.random.default_rng(1).normal(0, 0.5, (8, 20)).astype(np.float32)
    kept = near.copy()
    x = kernel.half_step(rows, other, weights, targets, regularization, alpha0=alpha0, near=near, least=value)
    np.testing.assert_array_equal(near, kept)
    for i in range(8):
        entries = slice(rows.indptr[i], rows.indptr[i + 1])
        error = targets[entries] - other[rows.indices[entries]] @ x[i]
        expected = (
            weights[entries] @ error**2 + regularization[i] * (x[i] @ x[i]) + alpha0 * ((other @ x[i]) ** 2).sum()
        )
        assert value[i] == pytest.approx(expected, rel=1e-4)


def test_steps_are_the_same_for_any_number_of_threads_and_for_a_row_alone() -> None:
    rows, other, weights, targets, regularization = problem(60, 900, 33, 0.4, 8)
    near = np.random.default_rng(2).normal(0, 0.5, (60, 33)).astype(np.float32)
    one = kernel.half_step(rows, other, weights, targets, regularization, alpha0=0.5, near=near, threads=1)
    many = kernel.half_step(rows, other, weights, targets, regularization, alpha0=0.5, near=near, threads=5)
    np.testing.assert_array_equal(one, many)
    entries = slice(rows.indptr[7], rows.indptr[8])
    system = (rows.select(np.array([7])), other, weights[entries], targets[entries], regularization[[7]])
    np.testing.assert_array_equal(kernel.half_step(*system, alpha0=0.5, near=near[[7]])[0], one[7])


@pytest.mark.parametrize("n_factors", [1, 2, 3, 17])
@pytest.mark.parametrize("alpha0", [0.0, 0.5])
@pytest.mark.parametrize("scale", [1e-12, 1, 1e6])
def test_steps_beyond_the_solution_stay_there(n_factors: int, alpha0: float, scale: float) -> None:
    rows, other, weights, targets, regularization = problem(40, 200, n_factors, 0.4, 9)
    system = (rows, other, weights, targets * np.float32(scale), regularization)
    solution = kernel.half_step(*system, alpha0=alpha0)
    near = np.zeros_like(solution)
    for _ in range(12):
        near = kernel.half_step(*system, alpha0=alpha0, near=near)
        assert np.isfinite(near).all()
    np.testing.assert_allclose(near, solution, rtol=1e-3, atol=1e-4 * scale)
