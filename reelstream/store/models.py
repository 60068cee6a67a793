"""The model of a version on disk: `models/version=…/users.parquet`, `movies.parquet`, `rating_prior.parquet`,
`transitions.parquet` and `model.json`.

A version is current when `recommendations/CURRENT` names it: models and tables move together, by one pointer.
"""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from reelstream.als.arrays import index_of, row_starts
from reelstream.als.factors import Factors, ModelSettings
from reelstream.als.transitions import Transitions
from reelstream.failpoint import failpoint
from reelstream.store import pointer
from reelstream.store.rating_rows import Offsets, offsets_of_json

USERS = "users.parquet"
TRANSITIONS = "transitions.parquet"
RATING_PRIOR = "rating_prior.parquet"
MEASURED = "measured"
"""Directory within a version's: the fit that its metrics are of, from which the next refit goes on."""

_OF_FACTORS = ("mean", "rating_prior", "transitions", "settings")


def save(path: Path, factors: Factors, info: dict[str, Any], *, measured: Factors | None = None) -> None:
    """Writes the factors and `info` (engine, metrics, seconds) into the new directory `path`."""
    if measured is not None:
        save(path / MEASURED, replace(measured, transitions=None), {})  # the next refit counts them anew
    users = {
        "user_id": factors.user_ids,
        "bias": factors.user_bias,
        "rating_factors": _vectors(factors.rating_user),
        "ranking_factors": _vectors(factors.ranking_user),
    }
    pointer.write_table(pa.table(users), path / USERS)
    pointer.write_table(movies_table(factors), path / "movies.parquet")
    if factors.transitions is not None:
        pointer.write_table(_transitions_table(factors.transitions), path / TRANSITIONS)
    if factors.rating_prior is not None:
        pointer.write_table(pa.table({"rating_factors": _vectors(factors.rating_prior)}), path / RATING_PRIOR)
    model = {
        "mean": factors.mean,
        "rating_prior": factors.rating_prior is not None,
        "transitions": factors.transitions is not None,
        "settings": factors.settings.to_dict(),
        **info,
    }
    pointer.move(path / "model.json", model)
    failpoint("model-written")


def load(path: Path) -> Factors:
    """Raises FileNotFoundError where the version was removed."""
    users = pointer.read_table(path / USERS)
    movies = pointer.read_table(path / "movies.parquet")
    model = info(path)
    return Factors(
        user_ids=users["user_id"].to_numpy(),
        mean=model["mean"],
        user_bias=users["bias"].to_numpy(),
        rating_user=_matrix(users["rating_factors"]),
        ranking_user=_matrix(users["ranking_factors"]),
        settings=ModelSettings.from_dict(model["settings"]),
        rating_prior=_matrix(pointer.read_table(path / RATING_PRIOR)["rating_factors"])
        if model.get("rating_prior")
        else None,
        transitions=_load_transitions(path / TRANSITIONS) if model.get("transitions") else None,
        **movie_arrays(movies),
    )


def movies_table(factors: Factors) -> pa.Table:
    """The movie side as rows of `movies.parquet`, by ascending movie_id."""
    columns = {
        "movie_id": factors.movie_ids,
        "bias": factors.movie_bias,
        "rating_factors": _vectors(factors.rating_movie),
        "ranking_factors": _vectors(factors.ranking_movie),
        "n_ratings": factors.movie_counts,
        "sum_ratings": factors.movie_sums,
    }
    return pa.table(columns)


def movie_arrays(movies: pa.Table) -> dict[str, Any]:
    """The inverse: those arrays, by the names that Factors has for them."""
    return {
        "movie_ids": movies["movie_id"].to_numpy(),
        "movie_bias": movies["bias"].to_numpy(),
        "rating_movie": _matrix(movies["rating_factors"]),
        "ranking_movie": _matrix(movies["ranking_factors"]),
        "movie_counts": movies["n_ratings"].to_numpy(),
        "movie_sums": movies["sum_ratings"].to_numpy(),
    }


def load_measured(path: Path) -> Factors | None:
    """What `save` was given as measured; None where there was nothing."""
    try:
        return load(path / MEASURED)
    except FileNotFoundError:
        return None


def info(path: Path) -> dict[str, Any]:
    """What `save` was given as info, with the model's mean and settings."""
    value = pointer.read(path / "model.json", unmarked=1)
    if value is None:
        raise FileNotFoundError(errno.ENOENT, "no model", str(path / "model.json"))
    return {name: item for name, item in value.items() if name != "format"}


def refit_info(path: Path) -> dict[str, Any]:
    """What `save` was given as info, and nothing else. Raises FileNotFoundError where the version was removed."""
    return {name: item for name, item in info(path).items() if name not in _OF_FACTORS}


def _transitions_table(transitions: Transitions) -> pa.Table:
    """A row a movie, by ascending movie_id."""
    starts = row_starts(transitions.lengths)  # [T + 1]
    row = np.repeat(np.arange(len(transitions.lengths)), transitions.lengths)  # [entries]
    entry = np.arange(starts[-1]) + (transitions.starts - starts[:-1])[row]
    successors = transitions.movie_ids[transitions.successors[entry]]
    order = np.lexsort((successors, row))
    offsets, successors, counts = pa.array(starts.astype(np.int32)), successors[order], transitions.counts[entry][order]
    columns = {
        "movie_id": transitions.movie_ids,
        "next_movie_ids": pa.ListArray.from_arrays(offsets, pa.array(successors)),
        "counts": pa.ListArray.from_arrays(offsets, pa.array(counts)),
        "leaving": transitions.leaving,
        "arriving": transitions.arriving,
    }
    return pa.table(columns).sort_by("movie_id")


def _load_transitions(path: Path) -> Transitions:
    table = pointer.read_table(path)
    movie_ids = table["movie_id"].to_numpy()
    lists = table["next_movie_ids"].combine_chunks()
    lengths = lists.value_lengths().to_numpy().astype(np.int32)
    successors = index_of(movie_ids, lists.flatten().to_numpy()).astype(np.int32)
    counts = table["counts"].combine_chunks().flatten().to_numpy()
    leaving, arriving = (table[name].to_numpy().copy() for name in ("leaving", "arriving"))
    return Transitions(movie_ids, row_starts(lengths)[:-1], lengths, successors, counts.copy(), leaving, arriving)


def offsets(path: Path) -> Offsets:
    """Up to which events the ratings were read that a model was fitted on; none where an older reelstream wrote it."""
    return offsets_of_json(info(path).get("offsets", {}))


def _vectors(matrix: np.ndarray) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(matrix, dtype=np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])


def _matrix(column: pa.ChunkedArray) -> np.ndarray:
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    flat = array.flatten().to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(flat.reshape(len(array), column.type.list_size), dtype=np.float32)
