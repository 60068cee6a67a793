"""Plain ratings with text ids, read all at once: some seven times as fast as one by one.

In: the values that Spark left open. Out: the fields of such ratings, just as `reelstream.events.from_json` reads them, and
none of any other event. Next: `reelstream.stream.parse` reads the others one by one.

A producer writes its fields in the same order, so there is one regular expression for each order that values have. It lets
through only what leaves no doubt: flat objects of at most MAX_DIGITS bytes, with each field once, in its usual type and without
an exponent. Each distinct id is decoded, checked and hashed once.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reelstream.als.arrays import I64, Mask
from reelstream.errors import BadRating
from reelstream.events import EVENT_VERSION, FIELDS, MAX_DIGITS
from reelstream.ids import Id, check_id, number_of
from reelstream.stream.value_form import ValueForm
from reelstream.times import MAX_AHEAD_MS, SINCE_MS, UNTIL_MS

PLAIN = pa.schema(
    [
        ("user_id", pa.int64()),
        ("movie_id", pa.int64()),
        ("user_text", pa.string()),
        ("movie_text", pa.string()),
        ("rating", pa.float32()),
        ("rated_at_ms", pa.int64()),
    ]
)
"""A text is null where the id is an integer."""

Order = tuple[str, ...]
"""The names of an object's fields, in order."""

ORDERS = 4
"""How many are looked for in a micro-batch."""
FEWEST = 128
"""Values that are worth it."""
SAMPLE = 32
"""Values that tell what the most frequent order is."""

_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_CHARACTER = r"[ !#-\[\]-~\x{a0}-\x{d7ff}\x{e000}-\x{ffff}\x{10000}-\x{10ffff}]"  # a class that stray bytes are not in
_STRING = rf'"(?:{_CHARACTER}|\\u[0-9a-fA-F]{{4}})*"'
_SPACE = r"[ \t\r\n]*"
_ID = f"{_STRING}|0|[1-9][0-9]{{0,18}}"
_VALUES = {
    "v": str(EVENT_VERSION),
    "action": '(?:"rate"|null)',
    "user_id": f"(?P<user_id>{_ID})",
    "movie_id": f"(?P<movie_id>{_ID})",
    "rating": r"(?P<rating>(?:-?[1-9][0-9]{0,8}|0)(?:\.[0-9]{1,18})?|-0\.[0-9]{1,18})",
    "rated_at": "(?P<rated_at>[1-9][0-9]{11,12})",
}
_ANY = rf"(?:{_STRING}|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null)"


class _Ids(NamedTuple):
    """Of each of R rows."""

    numbers: I64  # int64[R]
    texts: pa.Array  # string[R], null for an integer
    good: Mask  # bool[R]: whether it is an id


def read(rows: pa.Table, rating_min: float, rating_max: float, form: ValueForm | None) -> tuple[I64, pa.Table]:
    """(places int64[L] of such ratings among the rows, L rows of PLAIN). Fewer than FEWEST are not looked for: they are read as
    fast one by one.

    rows: `raw` and `received_at_ms` among others.
    """
    short = pc.fill_null(pc.less_equal(pc.binary_length(rows["raw"]), MAX_DIGITS), False)
    left = np.flatnonzero(short.to_numpy())
    places, parts = [np.empty(0, np.int64)], [PLAIN.empty_table()]
    for _ in range(ORDERS):
        if len(left) < FEWEST:
            break
        values = rows["raw"].take(pa.array(left)).combine_chunks()
        order = _most_frequent(values.take(pa.array(np.arange(0, len(left), max(1, len(left) // SAMPLE)))), form)
        if order is None:
            break
        found = pc.extract_regex(values.view(pa.string()), _pattern(order))
        matched = found.is_valid().to_numpy(zero_copy_only=False)
        fields, good = _fields(found.filter(pa.array(matched)))
        at = left[matched]
        good &= _kept(fields, rows["received_at_ms"].take(pa.array(at)).to_numpy(), rating_min, rating_max)
        places.append(at[good])
        parts.append(fields.filter(pa.array(good)).cast(PLAIN))
        left = left[~matched]
    return np.concatenate(places), pa.concat_tables(parts)


def _most_frequent(sample: pa.Array, form: ValueForm | None) -> Order | None:
    orders = Counter(
        order for order in map(_order, sample.to_pylist()) if order and (form is None or form.is_own(order))
    )
    return orders.most_common(1)[0][0] if orders else None


def _order(raw: bytes) -> Order | None:
    """Of a value that may be such a rating."""
    try:
        pairs = json.loads(raw.decode(), object_pairs_hook=tuple)
    except ValueError:
        return None
    names = tuple(name for name, _ in pairs) if isinstance(pairs, tuple) else ()
    unique = set(names)
    plain = len(unique) == len(names) and unique.issuperset(FIELDS["rate"]) and all(map(_NAME.fullmatch, names))
    return names if plain else None


def _pattern(order: Order) -> str:
    pairs = (f'{_SPACE}"{re.escape(name)}"{_SPACE}:{_SPACE}{_VALUES.get(name, _ANY)}{_SPACE}' for name in order)
    return rf"^{_SPACE}\{{{','.join(pairs)}\}}{_SPACE}$"


def _fields(found: pa.StructArray) -> tuple[pa.Table, Mask]:
    """(the fields that the pattern has found, which of the rows have two ids, one of them a text)."""
    user, movie = (_ids(name, found.field(name)) for name in ("user_id", "movie_id"))
    fields = {
        "user_id": user.numbers,
        "movie_id": movie.numbers,
        "user_text": user.texts,
        "movie_text": movie.texts,
        "rating": found.field("rating").cast(pa.float64()),
        "rated_at_ms": found.field("rated_at").cast(pa.int64()),
    }
    has_text = pc.or_(user.texts.is_valid(), movie.texts.is_valid()).to_numpy(zero_copy_only=False)
    return pa.table(fields), user.good & movie.good & has_text


def _ids(name: str, written: pa.Array) -> _Ids:
    """written: string[R], as in JSON: a number, or a text in quotes."""
    encoded = written.dictionary_encode()
    at = encoded.indices.to_numpy()
    own = [_id(name, one) for one in json.loads(f"[{','.join(encoded.dictionary.to_pylist())}]")]
    numbers = np.array([0 if one is None else number_of(one) for one in own], np.int64)
    texts = pa.array([one if isinstance(one, str) else None for one in own], pa.string())
    good = np.array([one is not None for one in own], np.bool_)
    return _Ids(numbers[at], texts.take(encoded.indices), good[at])


def _id(name: str, own: Id) -> Id | None:
    """None for what is no id."""
    try:
        check_id(name, own)
    except BadRating:
        return None
    return own


def _kept(fields: pa.Table, received_at_ms: I64, rating_min: float, rating_max: float) -> Mask:
    """Which of the rows are within the scale and have a plausible time."""
    stars, at = fields["rating"].to_numpy(), fields["rated_at_ms"].to_numpy()
    latest = np.minimum(received_at_ms + MAX_AHEAD_MS, UNTIL_MS)
    kept: Mask = (rating_min <= stars) & (stars <= rating_max) & (at >= SINCE_MS) & (at <= latest)
    return kept
