"""What counts as a transition from a movie to another, and how much.

In: nothing. Out: constants. Next: `transitions` is made of them, by its kernels or by their reference.

T[a→b] is the sum of 1 / d over all users that rated b as the d-th movie after a, d ≤ WINDOW. What a user with the newest
ratings a₀, a₁, … (a₀ the last) watches next is scored by
    t(b) = Σ FADE^k · T[aₖ→b] / (T[aₖ→·] + DAMPING)^LEAVING_POWER / (T[·→b] + DAMPING)^ARRIVING_POWER,  k < WINDOW
an item-based neighbourhood of what follows, damped for what always follows (as in Ludewig, Jannach, "Evaluation of
Session-based Recommendation Algorithms", UMUAI 2018, whose sequential rules weigh by 1 / d).
"""

from __future__ import annotations

import numpy as np

from reelstream.als.arrays import F64, I32, I64, Csr

WINDOW = 10
"""Ratings after a rating that count as its successors, and newest ratings of a user that say what comes next."""
UNIT = 2520
"""The least number that all of 1 to WINDOW divide: T is kept in whole numbers of 1 / UNIT, so that sums are the same in
whatever order they are made."""
SUCCESSORS = 200
"""Successors that are kept of a movie, at the most: those with the largest T."""
FADE = 0.8
DAMPING = 10.0
LEAVING_POWER = 0.5
ARRIVING_POWER = 0.2


TransitionArrays = tuple[I64, I32, I32, I64, I64, I64, I64, I64]
"""What scores are computed from, see `reelstream.als.transitions.Transitions.arrays`."""


def leaving_weight(leaving: I64) -> F64:
    """What an entry of a row is multiplied by for the row's sum; both in 1 / UNIT."""
    weight: F64 = (leaving / UNIT + DAMPING) ** -LEAVING_POWER / UNIT
    return weight


def arriving_weight(arriving: I64) -> F64:
    """What it is multiplied by for the sum of all that arrive there, in 1 / UNIT."""
    weight: F64 = (arriving / UNIT + DAMPING) ** -ARRIVING_POWER
    return weight


def ages_of_row(history: Csr) -> I32:
    """The ages of a history that has them; without, no rating is a newest one."""
    return np.full(len(history.indices), WINDOW, np.int32) if history.ages is None else history.ages
