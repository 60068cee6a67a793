"""Top-N lists as table rows: the order from the ranking model, the predicted stars from the rating model.

In: factors of users and the movies they have rated. Out: rows of USERS, SIMILAR and POPULAR.
Next: `reelstream.batch.refit` publishes them; `reelstream.stream.fold_in` writes those of the users that just rated and
of new movies.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reelstream.als.arrays import F32, I32, I64, Csr, Mask, ages_of
from reelstream.als.factors import Factors
from reelstream.als.fold_in import FoldIn
from reelstream.als.list_scores import list_scores
from reelstream.als.top_n import popular, predict, similar_movies, top_n
from reelstream.store.movies import Titles
from reelstream.store.rating_rows import ages_in
from reelstream.store.schemas import POPULAR, SIMILAR, USERS

NO_MOVIES: I64 = np.empty(0, np.int64)
Pairs = tuple[I64, I64]
"""(row int64[L], movie_id int64[L]): movies of some users; row is the user's place among them."""
NO_PAIRS: Pairs = (NO_MOVIES, NO_MOVIES)

RatingArrays = tuple[I64, I64, F32, I32]
"""(row int64[L] ascending, movie_id int64[L], rating float32[L], ages int32[L]) of some users' ratings, one a (row, movie):
row is the user's place among them; ages: `reelstream.als.arrays.ages_of`."""


def rating_arrays(user_ids: np.ndarray, latest: pa.Table) -> RatingArrays:
    """Of the latest ratings in the columns of RATINGS, sorted by user; user_ids int64[R] ascending, all of them."""
    row = np.searchsorted(user_ids, latest["user_id"].to_numpy())
    return row, latest["movie_id"].to_numpy(), latest["rating"].to_numpy(), ages_in(latest)


def user_lists(
    user_ids: np.ndarray,
    vectors: tuple[np.ndarray, np.ndarray, np.ndarray],
    seen: Csr,
    factors: Factors,
    titles: Titles,
    *,
    n: int,
    source: str,
    version: str,
    as_of: datetime,
    hidden: I64 = NO_MOVIES,
    dismissed: Pairs = NO_PAIRS,
) -> pa.Table:
    """The best n unseen movies of each user, as rows of USERS sorted by user, then rank.

    user_ids int64[R]; vectors are the users' (bias float32[R], rating factors float32[R, Kr], ranking factors
    float32[R, K]); seen holds the positions in `factors.movie_ids` that each of the R users has rated.
    hidden: int64[H] ids of movies that are on no list; dismissed: what each of the R users has dismissed.
    """
    bias, rating, ranking = vectors
    by = list_scores(ranking, seen, factors)
    positions, scores = top_n(
        by.vectors,
        factors.ranking_movie,
        _with(seen, dismissed, factors),
        n,
        extra=by.extra,
        left_out=factors.movie_mask(hidden),
    )  # [R, n], [R, n]
    row, rank = np.nonzero(positions >= 0)  # [L], [L]
    position = positions[row, rank]
    movie_ids = factors.movie_ids[position]
    return _table(
        USERS,
        user_id=user_ids[row],
        rank=rank + 1,
        movie_id=movie_ids,
        title=titles.of(movie_ids),
        score=scores[row, rank],
        predicted_rating=predict(factors, bias[row], rating[row], position),
        source=source,
        version=version,
        as_of=as_of,
    )


def folded_lists(
    user_ids: np.ndarray,
    history: RatingArrays,
    fold_in: FoldIn,
    titles: Titles,
    *,
    n: int,
    version: str,
    as_of: datetime,
    hidden: I64 = NO_MOVIES,
    dismissed: Pairs = NO_PAIRS,
) -> pa.Table:
    """Fresh lists of users whose factors are solved from their ratings now, as rows of USERS with source "fold_in".

    user_ids int64[R] ascending; history has their ratings. Ratings of movies that the version does not know do not count;
    a user with no other, be it that all were taken back, has the popular list with source "popular". hidden, dismissed: see
    `user_lists`.
    """
    factors = fold_in.factors
    seen = known_ratings(history, factors, len(user_ids))
    rated = np.diff(seen.indptr) > 0
    folded = fold_in.solve(seen)
    lists = user_lists(
        user_ids,
        (folded.user_bias, folded.rating, folded.ranking),
        seen,
        factors,
        titles,
        n=n,
        source="fold_in",
        version=version,
        as_of=as_of,
        hidden=hidden,
        dismissed=dismissed,
    )
    if rated.all():
        return lists
    lists = lists.filter(pa.array(np.isin(lists["user_id"].to_numpy(), user_ids[rated])))
    unknown = np.flatnonzero(~rated)  # [U]
    row, movie_id = dismissed
    most = int(np.bincount(row[~rated[row]], minlength=1).max())
    listed = popular_list(factors, titles, n=n + most, version=version, as_of=as_of, hidden=hidden)
    each = listed.take(np.tile(np.arange(len(listed)), len(unknown)))
    each = each.append_column("user_id", pa.array(np.repeat(user_ids[unknown], len(listed))))
    each = each.append_column("source", pa.repeat("popular", len(each))).select(USERS.names).cast(USERS)
    if most:
        away = set(zip(user_ids[row].tolist(), movie_id.tolist(), strict=True))
        pairs = zip(each["user_id"].to_pylist(), each["movie_id"].to_pylist(), strict=True)
        each = renumbered_rows(each, np.array([pair not in away for pair in pairs], np.bool_))
        each = each.filter(pc.less_equal(each["rank"], n))
    return pa.concat_tables([lists, each]).sort_by([("user_id", "ascending"), ("rank", "ascending")])


def renumbered_rows(table: pa.Table, kept: Mask, *, of: str | None = "user_id") -> pa.Table:
    """The rows of lists where kept bool[R] is true, each list with ranks from 1 on. of: the column that tells whose a list
    is; its rows stand together, in order. None: it is one list."""
    if kept.all():
        return table
    table = table.filter(pa.array(kept))
    owner = table[of].to_numpy() if of else np.zeros(len(table), np.int64)  # [R]
    begins = np.flatnonzero(np.diff(owner, prepend=owner[:1] - 1) != 0)  # [lists]
    rank = np.arange(len(owner)) - np.repeat(begins, np.diff(begins, append=len(owner))) + 1
    at = table.schema.get_field_index("rank")
    return table.set_column(at, table.schema.field(at), pa.array(rank.astype(np.int32)))


def _with(seen: Csr, dismissed: Pairs, factors: Factors) -> Csr:
    """What each row may not have: what it has rated, and what it has dismissed. Values and ages do not count."""
    row, movie_id = dismissed
    position = factors.movie_index(movie_id)
    row, position = row[position >= 0], position[position >= 0]
    if not len(row):
        return seen
    rows = np.concatenate([np.repeat(np.arange(seen.n_rows), seen.counts()), row])
    order = np.argsort(rows, kind="stable")
    indices = np.concatenate([seen.indices, position])[order]
    return Csr.from_rows(rows[order], indices, np.zeros(len(indices), np.float32), seen.n_rows)


def known_ratings(history: RatingArrays, factors: Factors, n_rows: int) -> Csr:
    """Ratings as a Csr of n_rows rows over the positions in `factors.movie_ids`; only these count for the ages."""
    row, movie_id, rating, ages = history
    position = factors.movie_index(movie_id)  # [L], -1 where the version does not know the movie
    known = position >= 0
    if not known.all():
        row, position, rating = row[known], position[known], rating[known]
        ages = ages_of(row, -ages[known].astype(np.int64))
    return Csr.from_rows(row, position, rating, n_rows, ages)


def similar_lists(factors: Factors, titles: Titles, *, n: int, version: str, hidden: I64 = NO_MOVIES) -> pa.Table:
    """The n movies nearest to each movie by the cosine of their ranking factors, as rows of SIMILAR; without those with
    the ids `hidden`."""
    return similar_of(factors, factors.movie_ids, titles, n=n, version=version, hidden=hidden)


def similar_of(
    factors: Factors, of: np.ndarray, titles: Titles, *, n: int, version: str, hidden: I64 = NO_MOVIES
) -> pa.Table:
    """The same for some movies: int64[R] ids, each in the factors. Costs R × M, not M × M."""
    positions, scores = similar_movies(
        factors.ranking_movie, n, of=factors.movie_index(of), left_out=factors.movie_mask(hidden)
    )  # [R, n], [R, n]
    row, rank = np.nonzero(positions >= 0)
    movie_ids = factors.movie_ids[positions[row, rank]]
    return _table(
        SIMILAR,
        movie_id=of[row],
        rank=rank + 1,
        similar_movie_id=movie_ids,
        title=titles.of(movie_ids),
        score=scores[row, rank],
        version=version,
    )


def popular_list(
    factors: Factors, titles: Titles, *, n: int, version: str, as_of: datetime, hidden: I64 = NO_MOVIES
) -> pa.Table:
    """The n most popular movies that are not `hidden`, as rows of POPULAR: the list of a user with no rating."""
    positions, scores = popular(factors, n, left_out=factors.movie_mask(hidden))  # [n], [n]
    movie_ids = factors.movie_ids[positions]
    nobody = np.zeros((len(positions), factors.rating_user.shape[1]), np.float32)
    return _table(
        POPULAR,
        rank=np.arange(len(positions)) + 1,
        movie_id=movie_ids,
        title=titles.of(movie_ids),
        score=scores,
        predicted_rating=predict(factors, np.zeros(len(positions), np.float32), nobody, positions),
        n_ratings=factors.movie_counts[positions],
        version=version,
        as_of=as_of,
    )


def _table(schema: pa.Schema, **columns: object) -> pa.Table:
    rows = max(len(column) for column in columns.values() if isinstance(column, np.ndarray))
    arrays = [
        pa.array(column).cast(field.type)
        if isinstance(column, np.ndarray)
        else column.cast(field.type)
        if isinstance(column, pa.Array)
        else pa.repeat(pa.scalar(column, field.type), rows)
        for field, column in ((schema.field(name), column) for name, column in columns.items())
    ]
    return pa.Table.from_arrays(arrays, schema=schema)
