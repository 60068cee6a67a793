"""Removes everything of the users who asked to be forgotten, from every file that holds it.

In: `forgetting` of the ratings store. Out: the same files without these users, each replaced in one step. Next: the
report of `reelstream forget`.

A crash on the way changes nothing: the request stays in `ratings/CURRENT` until all is removed, and what is removed
already is found removed. Ratings that such a user has given since stay. What others' models learned from the user cannot
be taken out of them; the next refit is without.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from reelstream.failpoint import failpoint
from reelstream.store import forgotten, id_texts, models, pointer
from reelstream.store.dismissed import DismissedStore
from reelstream.store.forgotten import Removed
from reelstream.store.ratings import RatingsStore
from reelstream.store.ratings_state import RatingsState
from reelstream.store.recommendations import RecommendationsStore
from reelstream.store.schemas import LIST_ROWS
from reelstream.store.updates import Updates

MODEL_ROWS = 128_000
"""Rows of a row group, as the files had them."""


def forget(store: RatingsStore) -> dict[int, Removed]:
    """Does what `forgetting` asks for; returns what was removed, by user. The caller holds `run/stream.lock`.

    `store` is the very one that takes micro-batches in meanwhile: its lock keeps the two from moving the pointer at once.
    """
    state = store.state()
    asked = state.forgetting
    if not asked:
        return {}
    published = RecommendationsStore(store.path.parent)
    ratings = _from_ratings(store, state)
    rejects = _from_rejects(store, state)
    store.sweep(grace_s=0)
    _from_dismissed(DismissedStore(store.path.parent), asked)
    lists: Counter[int] = Counter()
    models: Counter[int] = Counter()
    for path in published.path.glob("version=*"):
        with suppress(FileNotFoundError):  # a refit has removed the version meanwhile
            lists += _from_lists(path, asked)
    for path in published.models_path.glob("version=*"):
        models += _from_model(path, asked)
    removed = {user: Removed(ratings[user], rejects[user], models[user], lists[user]) for user in asked}
    store.forget_texts(asked)
    store.finish_forgetting(removed, asked)
    return removed


def from_version(path: Path, model_path: Path, users: Collection[int]) -> None:
    """Removes users from the tables and the models of one version."""
    if not users:
        return
    _from_lists(path, users)
    _from_model(model_path, users)


def _from_ratings(store: RatingsStore, state: RatingsState) -> Counter[int]:
    removed: Counter[int] = Counter()
    for directory in state.directories:
        path = store.path / directory.name / "part-0.parquet"
        covered = pointer.read_table(path, where=("user_id", state.forgetting))
        covered = covered.filter(forgotten.is_forgotten(covered, state.forgetting))
        if covered.num_rows:
            removed += Counter(covered["user_id"].to_pylist())
            kept = forgotten.without(pointer.read_table(path), state.forgetting)
            pointer.write_table(store.ids.now().stored(kept), path)
            failpoint("ratings-rewritten")
    return removed


def _from_rejects(store: RatingsStore, state: RatingsState) -> Counter[int]:
    removed: Counter[int] = Counter()
    texts = store.ids.now()
    written = {str(texts.own(id_texts.USER, user)): user for user in state.forgetting}
    for directory in state.rejects:
        path = store.rejects_path / directory.name / "part-0.parquet"
        table = pointer.read_table(path)
        names = [_names_of(raw, written) for raw in table["raw"].to_pylist()]
        if any(names):
            removed += Counter(user for found in names for user in found)
            pointer.write_table(table.filter(pa.array([not found for found in names])), path)
            failpoint("rejects-rewritten")
    return removed


def _names_of(raw: bytes | None, users: Mapping[str, int]) -> set[int]:
    """Which of the users, number by id, the bytes of a rejected event name, well-formed or not."""
    found = re.findall(rb'user_id"?\s*:\s*(?:"?\s*0*(\d+)|"((?:[^"\\\\]|\\\\.)*)")', raw or b"")
    named = {digits.decode() or _unescaped(text) for digits, text in found}
    return {users[own] for own in named & set(users)}


def _unescaped(text: bytes) -> str:
    try:
        found: str = json.loads(b'"' + text + b'"')
    except ValueError:
        return ""
    return found


def _from_dismissed(dismissed: DismissedStore, asked: Mapping[int, int]) -> None:
    dismissed.sweep(grace_s=0)
    for path in dismissed.files():
        covered = pointer.read_table(path, where=("user_id", asked))
        if pc.any(forgotten.is_forgotten(covered, asked)).as_py():
            _rewrite(dismissed.as_stored(forgotten.without(pointer.read_table(path), asked)), path)


def _from_lists(version_path: Path, users: Collection[int]) -> Counter[int]:
    Updates(version_path).sweep(grace_s=0)  # else hundreds of files that nobody needs are rewritten
    files = [version_path / "users" / "part-0.parquet", *version_path.glob("updates/*.parquet")]
    removed: Counter[int] = Counter()
    for path in files:
        removed += _from_file(path, users, LIST_ROWS)
    return removed


def _from_model(model_path: Path, users: Collection[int]) -> Counter[int]:
    removed: Counter[int] = Counter()
    for path in (model_path / models.USERS, model_path / models.MEASURED / models.USERS):
        removed += _from_file(path, users, MODEL_ROWS)
    return removed


def _from_file(path: Path, users: Collection[int], row_group_rows: int) -> Counter[int]:
    with suppress(FileNotFoundError):  # never there, or its version was removed
        removed = pointer.read_table(path, columns=["user_id"], where=("user_id", users))
        if removed.num_rows:
            rows = pointer.read_table(path, as_stored=True)
            number = "user_number" if "user_number" in rows.column_names else "user_id"
            others = rows.filter(pc.invert(pc.is_in(rows[number], pa.array(list(users), pa.int64()))))
            _rewrite(others, path, row_group_rows)
            return Counter(removed["user_id"].to_pylist())
    return Counter()


def _rewrite(table: pa.Table, path: Path, row_group_rows: int = MODEL_ROWS) -> None:
    pointer.write_table(table, path, row_group_rows=row_group_rows)
    failpoint("file-rewritten")
