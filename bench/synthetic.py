"""Ratings that nobody gave, with the shape of MovieLens 25M: for sizes that have no data set of their own.

    python -m bench.synthetic 10000000 [--seed 1] [--threads 2] [--out ratings.csv]

In: how many, and a seed. Out: an Arrow table, or a ratings.csv. Next: `bench.refit --synthetic`.

The numbered steps of `generate`, the same numbers in the code:
1. users: one for each 154 ratings; each gives 20, and more by a log-normal with a median of 51
2. movies: one catalogue for all sizes, with weights (1 + rank / 500)^-2.4; a movie that nobody rates is not in the table
3. tastes: vectors p of users and q of movies, K numbers each, of which everything else follows
4. what a user rates: K shelves; a user goes to shelf g with odds exp(s p_g), and takes from it by weight · exp(t q_g)
5. how it is liked: μ + b_u + b_i + c p·q + noise, in half stars; some users give whole stars only
6. when: a user comes at some day in 25 years, and again a few times, and rates a movie each half minute or so
"""

from __future__ import annotations

import argparse
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

RATINGS_PER_USER, LEAST_PER_USER = 154, 20
CATALOGUE, LARGEST_ID = 59_047, 209_171
"""Movies of MovieLens 25M, and the largest of their ids."""
MOST_OF_CATALOGUE = 0.55
"""The largest share of the catalogue that one user rates."""
FROM_MS, UNTIL_MS = 789_652_000_000, 1_574_327_000_000
"""9 January 1995 and 21 November 2019."""

TASTES = 8
"""K: with USER_SHARPNESS s and MOVIE_SHARPNESS t it decides how far taste beats popularity."""
USER_SHARPNESS, MOVIE_SHARPNESS = 2.4, 1.8
MEAN, USER_SD, MOVIE_SD, TASTE_SD, NOISE_SD = 3.28, 0.46, 0.45, 0.54, 0.78
"""μ and the spread of b_u, b_i, c p·q and the noise, in stars."""
WHOLE_STARS = 0.37
"""Share of users who give whole stars only."""

Random = np.random.Generator
_BLOCK = 1024
"""Users that are drawn together, from a random stream of their own: so that threads do not change the outcome."""
_DENSE = 600
"""A user with more ratings than this is drawn in one pass over the catalogue."""


class _World(NamedTuple):
    """What the blocks of users draw from."""

    seed: int
    shelves: np.ndarray  # float64[K, M]: each row a distribution over the movies
    shelf_ends: np.ndarray  # float64[K, M]: the rows' running sums
    q: np.ndarray  # float64[M, K]
    movie_bias: np.ndarray  # float64[M], in stars


def generate(rows: int, seed: int = 1, threads: int | None = None) -> pa.Table:
    """A table of user_id int64, movie_id int64, rating float (float32) in half stars from 0.5 to 5 and rated_at int64 in
    milliseconds since 1970, sorted by user, then movie; no (user, movie) comes twice.

    rows: at least 20. The same rows and seed give the same table, whatever the number of threads.
    Raises ValueError for fewer rows.
    """
    if rows < LEAST_PER_USER:
        raise ValueError(f"{rows} rows are too few for one user; ask for {LEAST_PER_USER} or more.")
    random = np.random.default_rng([seed, 0])
    counts = _counts(rows, random)  # 1, [U]
    world, movie_ids = _world(seed, random)  # 2 and 3
    blocks = [(i, counts[i : i + _BLOCK]) for i in range(0, len(counts), _BLOCK)]
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        drawn = list(pool.map(lambda block: _block(world, *block), blocks))  # 4 to 6
    user, movie, rating, rated_at = (np.concatenate([block[i] for block in drawn]) for i in range(4))
    columns = {"user_id": user + 1, "movie_id": movie_ids[movie], "rating": rating, "rated_at": rated_at}
    return pa.table(columns)


def write_csv(table: pa.Table, path: Path) -> None:
    """As MovieLens has it: userId,movieId,rating,timestamp, the time in seconds."""
    seconds = table.set_column(3, "rated_at", pc.divide(table["rated_at"], 1000))
    with path.open("wb") as file:
        file.write(b"userId,movieId,rating,timestamp\n")  # Arrow would put the names in quotes
        pcsv.write_csv(seconds, file, pcsv.WriteOptions(include_header=False))


def shape(table: pa.Table) -> dict[str, Any]:
    """Figures to compare with those of MovieLens 25M: 162,541 users with 20 to 32,202 ratings, median 71; 59,047 movies
    with 1 to 81,491 ratings, median 6; mean rating 3.53, sd 1.06."""
    rating = table["rating"].to_numpy()
    users, movies = (np.unique(table[name].to_numpy(), return_counts=True)[1] for name in ("user_id", "movie_id"))
    return {
        "ratings": len(rating),
        "users": len(users),
        "ratings_per_user": _spread(users),
        "movies": len(movies),
        "ratings_per_movie": _spread(movies),
        "rating_mean": round(float(rating.mean(dtype=np.float64)), 3),
        "rating_sd": round(float(rating.std(dtype=np.float64)), 3),
        "half_star_share": round(float((rating % 1 == 0.5).mean()), 3),
    }


def _spread(counts: np.ndarray) -> dict[str, float]:
    middle = {"median": float(np.median(counts)), "mean": round(float(counts.mean()), 1)}
    return {"min": int(counts.min()), **middle, "max": int(counts.max())}


def _counts(rows: int, random: Random) -> np.ndarray:
    """Ratings of each user, int64[U], `rows` in all."""
    n_users = max(1, round(rows / RATINGS_PER_USER))
    most = int(MOST_OF_CATALOGUE * CATALOGUE) - LEAST_PER_USER
    more = np.exp(np.log(51) + 1.39 * random.standard_normal(n_users))  # [U]
    left = rows - LEAST_PER_USER * n_users
    if not left:
        return np.full(n_users, LEAST_PER_USER)
    for _ in range(20):
        more = np.minimum(more * (left / more.sum()), most)
    ends = np.rint(np.cumsum(more) * (left / more.sum())).astype(np.int64)  # [U]
    return np.asarray(np.diff(ends, prepend=0) + LEAST_PER_USER)


def _world(seed: int, random: Random) -> tuple[_World, np.ndarray]:
    """(what to draw from, movie ids int64[M])."""
    rank = random.permutation(CATALOGUE)  # [M]
    weight = (1 + rank / 500) ** -2.4  # [M]
    q = random.standard_normal((CATALOGUE, TASTES))  # [M, K]
    shelves = (weight[:, None] * np.exp(MOVIE_SHARPNESS * q)).T  # [K, M]
    shelves /= shelves.sum(axis=1, keepdims=True)
    movie_bias = MOVIE_SD * random.standard_normal(CATALOGUE) + 0.09 * np.log(weight) + 0.3  # [M]
    movie_ids = np.sort(random.choice(LARGEST_ID, CATALOGUE, replace=False)) + 1
    return _World(seed, shelves, np.cumsum(shelves, axis=1), q, movie_bias), movie_ids


def _block(world: _World, first: int, counts: np.ndarray) -> tuple[np.ndarray, ...]:
    """The ratings of the users first, first + 1, …: (user, movie position, rating, rated_at), sorted by user, movie."""
    random = np.random.default_rng([world.seed, 1, first])
    p = random.standard_normal((len(counts), TASTES))  # [B, K]
    odds = np.exp(USER_SHARPNESS * p)
    odds /= odds.sum(axis=1, keepdims=True)
    user, movie = np.divmod(_pairs(world, odds, counts, random), CATALOGUE)  # 4, [L], [L]
    return user + first, movie, _stars(world, p, user, movie, random), _times(counts, random)  # 5 and 6


def _pairs(world: _World, odds: np.ndarray, counts: np.ndarray, random: Random) -> np.ndarray:
    """user · CATALOGUE + movie, int64[L] ascending: counts[u] different movies of each user."""
    ends = np.cumsum(odds, axis=1)  # [B, K]
    drawn = []
    for u in np.flatnonzero(counts > _DENSE):
        arrival = random.standard_exponential(CATALOGUE) / np.einsum("k,km->m", odds[u], world.shelves)  # [M]
        drawn.append(u * CATALOGUE + np.argpartition(arrival, counts[u])[: counts[u]])
    light = np.where(counts > _DENSE, 0, counts)  # [B]
    missing, pairs = light, np.zeros(0, np.int64)
    while missing.any():
        user = np.repeat(np.arange(len(counts)), missing)  # [l]
        shelf = (random.random(len(user))[:, None] >= ends[user, :-1]).sum(axis=1)  # [l]
        at = random.random(len(user))
        movie = np.empty_like(user)
        for g in range(TASTES):
            here = shelf == g
            movie[here] = np.searchsorted(world.shelf_ends[g], at[here], side="right")
        pairs = np.unique(np.concatenate([pairs, user * CATALOGUE + np.minimum(movie, CATALOGUE - 1)]))
        missing = light - np.bincount(pairs // CATALOGUE, minlength=len(counts))
    return np.sort(np.concatenate([*drawn, pairs]))


def _stars(world: _World, p: np.ndarray, user: np.ndarray, movie: np.ndarray, random: Random) -> np.ndarray:
    """float32[L], in half stars."""
    user_bias = USER_SD * random.standard_normal(len(p))  # [B]
    step = np.where(random.random(len(p)) < WHOLE_STARS, 1.0, 0.5)[user]  # [L]
    taste = TASTE_SD * (p[user] * world.q[movie]).sum(axis=1) / np.sqrt(TASTES)  # [L]
    stars = MEAN + user_bias[user] + world.movie_bias[movie] + taste
    stars += NOISE_SD * random.standard_normal(len(user))
    return np.asarray(np.clip(np.rint(stars / step) * step, step, 5.0), np.float32)


def _times(counts: np.ndarray, random: Random) -> np.ndarray:
    """Milliseconds, whole seconds, int64[L]: each user's ratings lie in a few sessions, most of them early."""
    n_sessions = 1 + (random.random(len(counts)) * counts / 60).astype(np.int64)  # [B]
    of = np.repeat(np.arange(len(counts)), n_sessions)  # [S]
    come = random.random(len(counts))[of]  # [S]
    first = np.cumsum(n_sessions) - n_sessions  # [B]
    again = random.random(len(of)) ** 4
    again[first] = 0
    begins_s = (FROM_MS + (come + (1 - come) * again) * (UNTIL_MS - FROM_MS)) // 1000  # [S]
    user = np.repeat(np.arange(len(counts)), counts)  # [L]
    session = first[user] + (random.random(len(user)) * n_sessions[user]).astype(np.int64)  # [L]
    lasts_s = 30 * counts / n_sessions  # [B]
    seconds = begins_s[session] + random.random(len(user)) * lasts_s[user]  # [L]
    return np.asarray(seconds.astype(np.int64) * 1000)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, help="without: the number of CPUs")
    parser.add_argument("--out", type=Path, help="a ratings.csv to write")
    asked, began = parser.parse_args(), time.perf_counter()
    table = generate(asked.rows, asked.seed, asked.threads)
    figures = {"seed": asked.seed, "generated_s": round(time.perf_counter() - began, 1)}
    if asked.out:
        write_csv(table, asked.out)
    print(json.dumps({**shape(table), **figures}, indent=2))
