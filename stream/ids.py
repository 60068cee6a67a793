"""The ids of a micro-batch: whether the warehouse's are text, and which of these are new.

In: rows of CHECKED, and the store. Out: the same with more reasons, and rows of IDS. Next: `reelstream.stream.ingest` has the
store take them in with the ratings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reelstream.events import SHOWN_CHARACTERS
from reelstream.store.id_texts import MOVIE, USER, IdTexts
from reelstream.store.schemas import IDS

_TEXT = {USER: "user_text", MOVIE: "movie_text"}


class NewIds(NamedTuple):
    rows: pa.Table
    """Of CHECKED: "wrong_type" for a text where ids are integers, "bad_id" for one whose number another text has."""
    is_text: Mapping[str, bool]
    """What the rows decide: ids are text where no rating has an integer."""
    ids: pa.Table
    """Of IDS: texts that are new."""


def new_ids(rows: pa.Table, decided: Mapping[str, bool], known: IdTexts) -> NewIds:
    """decided: what the store says of text ids; known: its texts."""
    is_text = dict(decided)
    ids = [IDS.empty_table()]
    for of, column in _TEXT.items():
        good = pc.is_null(rows["reason"])
        texts = rows[column]
        if of not in is_text:
            rated = pc.and_(pc.invert(rows["forget"]), pc.is_null(rows["action"]))
            given = texts.filter(pc.and_(good, rated))
            if len(given):
                is_text[of] = given.null_count == 0
        if of not in is_text or (not is_text[of] and texts.null_count == len(texts)):
            continue
        if not is_text[of]:
            rows = _rejected(
                rows, pc.is_valid(texts), "wrong_type", of, texts, "is a text; ids of this warehouse are integers"
            )
            continue
        own = pc.coalesce(texts, rows[of].cast(pa.string()))
        ids.append(_new(of, rows[of], own, pc.and_(good, pc.invert(rows["forget"])), known))
        stands_for = known.plus(ids[-1]).texts(of, pc.fill_null(rows[of], 0).to_numpy())
        rows = _rejected(
            rows, pc.not_equal(stands_for, own.combine_chunks()), "bad_id", of, own, "has the number of another text"
        )
    made = {of: value for of, value in is_text.items() if of not in decided}
    return NewIds(rows, made, pa.concat_tables(ids))


def _new(of: str, numbers: pa.ChunkedArray, own: pa.ChunkedArray, good: pa.ChunkedArray, known: IdTexts) -> pa.Table:
    """Rows of IDS: the texts that are no integers and that are not known, each number once."""
    wanted = pc.and_(good, pc.not_equal(own, numbers.cast(pa.string())))
    numbers, own = numbers.filter(wanted).to_numpy(), own.filter(wanted)
    numbers, first = np.unique(numbers, return_index=True)
    new = ~known.known(of, numbers)
    texts = own.take(pa.array(first[new]))
    return pa.table({"of": pa.repeat(of, len(texts)), "number": numbers[new], "text": texts}).cast(IDS)


def _rejected(
    rows: pa.Table, wrong: pa.ChunkedArray, reason: str, of: str, texts: pa.ChunkedArray, why: str
) -> pa.Table:
    """Of those that are good so far."""
    wrong = pc.and_(pc.fill_null(wrong, False), pc.is_null(rows["reason"]))
    detail = pc.binary_join_element_wise(of, pc.utf8_slice_codeunits(texts, 0, SHOWN_CHARACTERS), why, " ")
    for name, value in {"reason": reason, "detail": detail}.items():
        rows = rows.set_column(rows.schema.get_field_index(name), name, pc.if_else(wrong, value, rows[name]))
    return rows
