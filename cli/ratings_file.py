"""A file of ratings as arrays, for the commands that need all of it at once.

In: a path. Out: `RatingsFile`, its bad rows counted. Next: `reelstream.batch.evaluation.evaluate` splits and measures.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from reelstream.batch.evaluation.evaluate import RatingColumns
from reelstream.errors import UsageError
from reelstream.producer.bad_rows import BadRows
from reelstream.producer.file_form import Overrides, detect
from reelstream.producer.file_scale import scale_of
from reelstream.producer.packed_file import ratings_file, size_of
from reelstream.producer.ratings_csv import BadRow, read_blocks
from reelstream.settings import Settings

_TYPES = {"user_id": np.int64, "movie_id": np.int64, "rating": np.float32, "rated_at_ms": np.int64}


@dataclass(frozen=True, slots=True)
class RatingsFile:
    """`ratings`: the latest of each (user, movie), sorted by these. `duplicates`: how many others there were.
    `first_bad` has the first of `bad_rows` bad rows. `assumed`: sentences, as in `reelstream.producer.file_form.Form`."""

    ratings: RatingColumns
    duplicates: int
    bad_rows: int
    first_bad: list[BadRow]
    assumed: tuple[str, ...]


def with_scale(settings: Settings, path: Path, overrides: Overrides | None = None) -> tuple[Settings, str]:
    """The settings with the scale of the file set, see `reelstream.producer.file_scale`; and a sentence that says which."""
    scale, says = scale_of(settings, path, detect(path, overrides))
    return settings.model_copy(update=asdict(scale)), says


def read(
    path: Path, settings: Settings, progress: Callable[[int, int], None], overrides: Overrides | None = None
) -> RatingsFile:
    """Reads by the rules of `reelstream.producer.ratings_csv`; about 100 bytes of memory a row at the peak.

    progress: called with (bytes read, bytes in all).
    Raises UsageError if there is no such file, it has no form that is known, or most of its rows are bad.
    """
    path = ratings_file(path)
    form, bad = detect(path, overrides), BadRows(path)
    scale = settings.scale
    parts: dict[str, list[np.ndarray]] = {name: [] for name in _TYPES}
    for block in read_blocks(
        path,
        rating_min=scale.rating_min,
        rating_max=scale.rating_max,
        now_ms=time.time_ns() // 1_000_000,
        on_bad=bad.add,
        form=form,
    ):
        for name, dtype in _TYPES.items():
            parts[name].append(block.rows[name].astype(dtype))
        progress(block.bytes_read, size_of(path)[0])
    n_rows = sum(map(len, parts["rating"]))
    bad.refuse_if_most(n_rows, form)
    if not n_rows:
        first = f"; line {bad.first[0].line_number}: {bad.first[0].reason}" if bad.first else ""
        raise UsageError(f"{path} has no good rating{first}. Give a ratings.csv with ratings below its header.")
    ratings = RatingColumns(*(np.concatenate(parts.pop(name)) for name in _TYPES)).latest()
    return RatingsFile(ratings, n_rows - len(ratings), bad.count, bad.first, form.assumed)
