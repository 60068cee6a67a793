"""The lists of all users take memory for themselves, not for users × movies."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from reelstream.als.top_n import top_n
from tests.fixtures.rating_data import csr

MEASURE = """
import json, resource, sys
import numpy as np
from reelstream.als.arrays import Csr
from reelstream.als.top_n import top_n

def peak_mb():
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6

n_users, n_movies, n_seen = 12_000, 60_000, 20
rng = np.random.default_rng(0)
users, movies = (rng.normal(size=(n, 8)).astype(np.float32) for n in (n_users, n_movies))
indices = rng.integers(0, n_movies, n_users * n_seen).astype(np.int32)
seen = Csr(np.arange(n_users + 1) * n_seen, indices, np.ones(len(indices), np.float32))
top_n(users[:1], movies, seen.select(np.arange(1)), 20)  # the compiled code is loaded before the measurement
before = peak_mb()
positions, scores = top_n(users, movies, seen, 20, threads=2)
print(json.dumps({"grown_mb": peak_mb() - before, "out_mb": (positions.nbytes + scores.nbytes) / 1e6,
                  "dense_mb": 4 * n_users * n_movies / 1e6}))
"""


def test_memory_does_not_grow_with_users_times_movies() -> None:
    done = subprocess.run([sys.executable, "-c", MEASURE], check=True, capture_output=True, text=True)
    mb = json.loads(done.stdout)
    assert mb["dense_mb"] > 2500  # what all scores at once would take
    assert mb["grown_mb"] < mb["out_mb"] + 100


@pytest.mark.parametrize("n_movies", [127, 1000])
def test_equal_scores_come_by_position_for_any_number_of_threads(n_movies: int) -> None:
    """Enough users for blocks of their own, and a few different movies, each of them many times."""
    rng = np.random.default_rng(n_movies)
    users = rng.normal(size=(2100, 8)).astype(np.float32)
    kinds = rng.normal(size=(7, 8)).astype(np.float32)
    kind = rng.integers(0, 7, n_movies)
    seen = csr([rng.permutation(n_movies)[: rng.integers(0, 30)].tolist() for _ in range(2100)])

    positions, scores = top_n(users, kinds[kind], seen, 25, threads=1)

    for threads in (2, 5):
        again = top_n(users, kinds[kind], seen, 25, threads=threads)
        np.testing.assert_array_equal(again[0], positions)
        np.testing.assert_array_equal(again[1], scores)
    equal = scores[:, 1:] == scores[:, :-1]
    assert equal.mean() > 0.5
    assert (np.diff(scores, axis=1) <= 0).all()
    assert (np.diff(positions, axis=1)[equal] > 0).all()
    for row in range(0, 2100, 100):
        hidden = set(seen.row(row)[0].tolist())
        best = kind[positions[row, 0]]
        first = [movie for movie in range(n_movies) if kind[movie] == best and movie not in hidden][:25]
        assert positions[row, : len(first)].tolist() == first
