"""Answers with the owners' ids in place of numbers; see `reelstream.ids`.

In: rows or plain values, which have numbers. Out: the same, with text where ids are text. Next:
`reelstream.api.recommender` and `reelstream.serve` give them out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar, cast

from reelstream.store.id_texts import MOVIE, NOT_TEXT, USER, IdTexts

T = TypeVar("T")


def with_own_ids(answer: T, ids: IdTexts) -> T:
    """answer: rows of `reelstream.api.results`, a list of them, or plain values with fields of the same names."""
    return answer if ids.is_text == NOT_TEXT or not ids.is_text else cast(T, _own(answer, ids))


def _own(answer: Any, ids: IdTexts) -> Any:
    if isinstance(answer, dict):
        return {name: _field(name, value, ids) for name, value in answer.items()}
    if isinstance(answer, (list, tuple)):
        return type(answer)(_own(one, ids) for one in answer)
    if hasattr(answer, "__dataclass_fields__"):
        fields = {name: getattr(answer, name) for name in answer.__dataclass_fields__}
        changed = {name: own for name, value in fields.items() if (own := _field(name, value, ids)) is not value}
        return replace(answer, **changed)
    return answer


def _field(name: str, value: Any, ids: IdTexts) -> Any:
    change = _FIELDS.get(name)
    if change is not None and value is not None and not isinstance(value, str):
        return change(value, ids)
    return _own(value, ids) if isinstance(value, (dict, list, tuple)) else value


_FIELDS: dict[str, Callable[[Any, IdTexts], Any]] = {
    "user_id": lambda number, ids: ids.own(USER, number),
    "movie_id": lambda number, ids: ids.own(MOVIE, number),
    "user_ids": lambda numbers, ids: [ids.own(USER, number) for number in numbers],
    "predicted_ratings": lambda stars, ids: {ids.own(USER, int(user)): value for user, value in stars.items()},
}
