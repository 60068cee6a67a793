"""Movies that were folded into the current version since its refit, kept beside it.

In: the version's factors with the new movies in them, and their similar movies. Out:
`models/version=…/new_movies.parquet` in the columns of `movies.parquet`, and
`recommendations/version=…/similar/new.parquet` in those of SIMILAR. Next: the stream goes on from them when it starts
again; `reelstream.api.recommender` reads them.

Each file is replaced whole, in one step, and needs no other: a reader sees the old one or the new one. The factors come
first, so a movie that has similar movies can be predicted too.
"""

from __future__ import annotations

import contextlib

import pyarrow as pa

from reelstream.als.arrays import I64
from reelstream.als.factor_rows import MOVIES, rows_at, with_rows
from reelstream.als.factors import Factors
from reelstream.failpoint import failpoint
from reelstream.store import id_texts, models, pointer
from reelstream.store.recommendations import Version
from reelstream.store.schemas import LIST_ROWS, SIMILAR

FACTORS = "new_movies.parquet"
_SIMILAR = "similar/new.parquet"


def save(version: Version, factors: Factors, new_ids: I64, similar: pa.Table) -> None:
    """Replaces what was kept. new_ids: int64[R] ascending, movies of `factors`; similar: their rows of SIMILAR.

    The caller holds the stream's lock.
    """
    new = rows_at(factors, MOVIES, factors.movie_index(new_ids))
    pointer.write_table(models.movies_table(new), version.model_path / FACTORS)
    failpoint("movies-folded")
    texts = id_texts.of_warehouse(version.path.parent.parent).now()
    pointer.write_table(texts.stored(similar.cast(SIMILAR)), version.path / _SIMILAR, row_group_rows=LIST_ROWS)
    failpoint("similar-folded")


def load_factors(version: Version, base: Factors) -> Factors:
    """The factors of the version, `base`, with the movies folded in since; `base` itself where there are none."""
    new = {}
    with contextlib.suppress(FileNotFoundError):
        new = models.movie_arrays(pointer.read_table(version.model_path / FACTORS))
    return with_rows(base, MOVIES, new) if len(new.get("movie_ids", ())) else base


def read_similar(version: Version, movie_id: int | None = None) -> pa.Table:
    """Rows of SIMILAR for that new movie, or for all of them; none where there is no such movie."""
    with contextlib.suppress(FileNotFoundError):
        return pointer.read_table(version.path / _SIMILAR, where=None if movie_id is None else ("movie_id", [movie_id]))
    return SIMILAR.empty_table()
