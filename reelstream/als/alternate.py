"""The loop that both models are fitted by: users' and movies' half-steps in turn, until the objective is flat.

In: a model's half-steps as Systems, and the movies' first vectors. Out: both sides' vectors. Next: `fit` makes Factors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from reelstream.als.arrays import F32, F64, Csr
from reelstream.als.factors import RatingMatrix

StepProgress = Callable[[str, int, int], None]
"""Called with (what is done now, steps or iterations done, and how many there are)."""


class HalfStep(Protocol):
    """`kernel.half_step` or `reference.half_step`."""

    def __call__(
        self,
        rows: Csr,
        other: F32,
        weights: F32,
        targets: F32,
        regularization: F32,
        *,
        alpha0: float = 0.0,
        bias_regularization: F32 | None = None,
        least: F64 | None = None,
        near: F32 | None = None,
        threads: int | None = None,
    ) -> F32: ...


@dataclass(frozen=True, slots=True)
class System:
    """What a half-step is given beside its rows; see `reference.half_step`."""

    other: F32
    weights: F32
    targets: F32
    regularization: F32
    bias_regularization: F32 | None = None
    alpha0: float = 0.0


@dataclass(frozen=True, slots=True)
class Alternation:
    matrix: RatingMatrix
    tolerance: float
    threads: int | None
    half_step: HalfStep
    progress: StepProgress | None

    def alternate(
        self,
        name: str,
        passes: tuple[int, int],
        system: Callable[[Csr, F32], System],
        movie: F32,
        user: F32 | None,
    ) -> tuple[F32, F32]:
        """(users' vectors, movies' vectors) after the last half-step, the movies'.

        passes: how many at the least and at the most; between these it ends once the objective is flat. movie: where to
        start; user: what the first half-step may go on from.
        """
        least, most = passes
        by_user, by_movie = self.matrix.by_user, self.matrix.by_movie
        fall = np.inf
        for done in range(1, most + 1):
            to_user = system(by_user, movie)
            user, before = self._solve(by_user, to_user, user)
            to_movie = system(by_movie, user)
            before += _penalty(to_movie, movie)
            movie, after = self._solve(by_movie, to_movie, movie)
            after += _penalty(to_user, user)
            if self.progress:
                self.progress(name, done, most)
            fall, fall_before = before - after, fall
            if done >= least and self._is_flat(fall, fall_before, after):
                break
        assert user is not None  # there is at least one pass
        return user, movie

    def users(self, system: System) -> F32:
        """The users' vectors by a half-step that is solved to the end."""
        return self._solve(self.matrix.by_user, system)[0]

    def _is_flat(self, fall: float, last: float, objective: float) -> bool:
        """True once what all further passes would still take from the objective is below the tolerance.

        fall and last: what this and the last pass's movies' half-step took from it. Were each fall the same share of the
        one before, the further ones would add up to fall² / (last - fall) (Aitken, "On Bernoulli's Numerical Solution of
        Algebraic Equations", 1926). Falls that grow, as they do at first, have no such sum.
        """
        if not self.tolerance or not fall < last < np.inf:
            return False
        return fall * max(fall, 0) <= self.tolerance * objective * (last - fall)

    def _solve(self, rows: Csr, system: System, near: F32 | None = None) -> tuple[F32, float]:
        """The rows' vectors, and the least that the half-step's sum can be."""
        least = np.zeros(rows.n_rows)
        solved = self.half_step(
            rows,
            system.other,
            system.weights,
            system.targets,
            system.regularization,
            alpha0=system.alpha0,
            bias_regularization=system.bias_regularization,
            least=least,
            near=near,
            threads=self.threads,
        )
        return solved, float(least.sum())


def _penalty(system: System, solved: F32) -> float:
    """What the rows' own vectors add to the objective: the part of it that the other side's half-step does not see."""
    squares = np.einsum("rk,rk->r", solved, solved)  # [R]
    if system.bias_regularization is None:
        return float(system.regularization.astype(np.float64) @ squares)
    bias = np.square(solved[:, -1], dtype=np.float64)  # [R]
    return float(system.regularization @ (squares - bias) + system.bias_regularization @ bias)
