"""A small published version with numbers that a test can write down, without a fit."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from reelstream.als.factors import Factors, ModelSettings
from reelstream.store import models
from reelstream.store.movies import MoviesStore
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from reelstream.store.schemas import MOVIES, POPULAR, SIMILAR, USERS
from tests.batch.camps import add

AS_OF = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MATRIX, PULP_FICTION, TOY_STORY, MARKUP, UNTITLED = 10, 296, 300, 400, 500
TITLES = {
    MATRIX: "Matrix, The (1999)",
    PULP_FICTION: "Pulp Fiction (1994)",
    TOY_STORY: "Toy Story (1995)",
    MARKUP: "[red]Toy[/] :cat: Story 2",
}
METRICS = {
    **{"rmse": 0.8, "mae": 0.6, "r2": 0.4, "ndcg_at_10": 0.3, "precision_at_10": 0.2, "recall_at_10": 0.1},
    "coverage": 0.5,
    "baselines": {
        "bias_only": {"rmse": 0.9, "mae": 0.7, "r2": 0.3},
        "popularity": {"ndcg_at_10": 0.2, "precision_at_10": 0.1, "recall_at_10": 0.05, "coverage": 0.01},
    },
}


def publish(warehouse: Path) -> None:
    """Users 1 and 2 have rated, five films are known, four have a title. User 1 has a list of three."""
    store = RatingsStore(warehouse)
    add(store, (1, PULP_FICTION, 5.0), (1, MATRIX, 4.0), (2, PULP_FICTION, 3.0))
    titles = {"movie_id": list(TITLES), "title": list(TITLES.values()), "genres": [None] * len(TITLES)}
    MoviesStore(warehouse).load(pa.table(titles).cast(MOVIES))
    published = RecommendationsStore(warehouse)
    name, path, model_path = published.new_version()
    published.write_tables(
        path,
        users=_rows(
            USERS,
            *(
                (1, rank, movie, TITLES.get(movie), score, stars, "refit", name, AS_OF)
                for rank, movie, score, stars in (
                    (1, TOY_STORY, 0.9, 4.5),
                    (2, MARKUP, 0.5, 4.25),
                    (3, UNTITLED, 0.1, 2),
                )
            ),
        ),
        similar=_rows(
            SIMILAR,
            (PULP_FICTION, 1, MARKUP, TITLES[MARKUP], 0.75, name),
            (PULP_FICTION, 2, UNTITLED, None, 0.5, name),
        ),
        popular=_rows(
            POPULAR,
            (1, PULP_FICTION, TITLES[PULP_FICTION], 8.0, 4.2, 2, name, AS_OF),
            (2, MARKUP, TITLES[MARKUP], 4.0, 4.0, 1, name, AS_OF),
        ),
    )
    info = {"engine": "native", "ratings": 3, "users": 2, "movies": 5, "metrics": METRICS, "seconds": {"all": 1.5}}
    models.save(model_path, _factors(), info)
    published.publish(name, as_of=AS_OF, batch=1, accepted=3, info=info, keep=3)


def _factors() -> Factors:
    """The mean is 4 stars; Pulp Fiction has half a star more."""
    movie_ids = np.array([MATRIX, PULP_FICTION, TOY_STORY, MARKUP, UNTITLED])
    ones = np.ones((5, 2), np.float32)
    return Factors(
        user_ids=np.array([1, 2]),
        movie_ids=movie_ids,
        mean=4.0,
        user_bias=np.zeros(2, np.float32),
        movie_bias=np.array([0, 0.5, 0, 0, 0], np.float32),
        rating_user=ones[:2],
        rating_movie=ones,
        ranking_user=ones[:2],
        ranking_movie=ones,
        movie_counts=np.array([1, 2, 0, 0, 0]),
        movie_sums=np.array([4.0, 8.0, 0, 0, 0]),
        settings=ModelSettings(rating_rank=2, ranking_rank=2),
    )


def _rows(schema: pa.Schema, *rows: tuple[object, ...]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)
