"""Why: what a score is made of, how many stars to expect, which ratings surprise. Pure functions of a snapshot and ratings.

In: a `Snapshot` and ratings. Out: rows of the snapshot's version. Next: `reelstream.api.recommender` and
`reelstream.serve` give them out.
"""

from __future__ import annotations

import numpy as np

from reelstream.als.explain import expected_without, score_parts
from reelstream.api.ranking import history_of
from reelstream.api.results import Because, Prediction, Reason, Rows, Surprise
from reelstream.api.snapshot import Snapshot
from reelstream.api.user_ratings import StarsByMovie

_SOURCES = {(True, True): "model", (False, True): "movie", (True, False): "user", (False, False): "mean"}
"""By (a rating of the user is known, one of the movie is)."""


def because(now: Snapshot, ratings: StarsByMovie, movie_id: int) -> Because:
    """Which of the ratings give the movie its score. Raises Unknown if the version does not know the movie."""
    history, position = history_of(now, ratings), now.known_position(movie_id)
    found = score_parts(now.factors, history, position, now.fold_in.movies_gram)
    parts = found.taste + found.next  # [L]
    score = float(parts.sum())
    ids, stars = now.factors.movie_ids[history.indices].tolist(), history.values.tolist()
    shown = now.shown(now.factors.movie_ids[history.indices])  # [L]
    reasons = Rows(
        Reason(
            ids[i],
            now.title(ids[i]),
            stars[i],
            float(parts[i]),
            float(parts[i]) / score if score else 0.0,
            float(found.next[i]),
        )
        for i in np.argsort(-parts, kind="stable").tolist()
        if shown[i]
    )
    part = float(parts[~shown].sum())
    hidden = (part, part / score if score else 0.0, int(np.count_nonzero(~shown)))
    title, next_part = now.title(movie_id), float(found.next.sum())
    return Because(int(movie_id), title, score, next_part, now.version.name, reasons, *hidden)


def surprises(now: Snapshot, ratings: StarsByMovie, n: int) -> Rows[Surprise]:
    """The n ratings that are furthest from what all the others let expect."""
    history = history_of(now, ratings)
    drawn_to = now.fold_in.drawn_to(now.fold_in.ranking(history, now.factors.settings))
    expected = expected_without(now.factors, history, drawn_to)  # [L]
    off = history.values - expected  # [L]
    order = np.argsort(-np.abs(off), kind="stable")  # [L]
    ids, stars = now.factors.movie_ids[history.indices].tolist(), history.values.tolist()
    return Rows(
        Surprise(ids[i], now.title(ids[i]), stars[i], float(expected[i]), float(off[i]), now.version.name)
        for i in order[now.shown(now.factors.movie_ids[history.indices[order]])][: max(n, 0)].tolist()
    )


def predict(now: Snapshot, ratings: StarsByMovie, movie_id: int, user_id: int | None = None) -> Prediction:
    """The stars to expect, and what they are made of. user_id: whose ratings they are, to be said."""
    at, factors = now.position(movie_id), now.factors
    history = history_of(now, ratings)
    folded, known = now.fold_in.solve(history), len(history.indices) > 0
    user_bias = float(folded.user_bias[0]) if known else 0.0
    movie_bias = 0.0 if at is None else float(factors.movie_bias[at])
    taste = float(folded.rating[0] @ factors.rating_movie[at]) if known and at is not None else 0.0
    stars, scale = factors.mean + user_bias + movie_bias + taste, factors.settings
    return Prediction(
        user_id=user_id,
        movie_id=int(movie_id),
        title=now.title(movie_id),
        predicted_rating=min(max(stars, scale.rating_min), scale.rating_max),
        mean=factors.mean,
        user_bias=user_bias,
        movie_bias=movie_bias,
        taste=taste,
        user_ratings=len(ratings),
        movie_ratings=0 if at is None else int(factors.movie_counts[at]),
        source=_SOURCES[known, at is not None],
        version=now.version.name,
        rated=ratings.get(movie_id),
    )
