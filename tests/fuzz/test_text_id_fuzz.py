"""Ratings with text ids that are read all at once come out as those that are read one by one, and so does all else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reelstream.settings import load
from reelstream.stream import text_id_ratings
from reelstream.stream.parse import PARSED, check
from reelstream.stream.value_form import ValueForm
from tests.fixtures.examples import examples
from tests.fuzz.events import NOW_MS, VALUES, generate

SCALE = {"rating_min": 0.5, "rating_max": 5.0}
GOOD = {"v": "1", "user_id": '"a@b.org"', "movie_id": '"tt0114709"', "rating": "4.5", "rated_at": "1147880044000"}
TEXTS = (
    *(
        '"u"',
        '"7"',
        '"007"',
        '"-1"',
        '"1.5"',
        '"true"',
        '"null"',
        '"NaN"',
        '"9223372036854775808"',
        '""',
        '" "',
        '" a"',
    ),
    *(
        '"a "',
        '"a b"',
        '"a/b"',
        '"a%2Fb"',
        '"{"',
        '"}"',
        '"[1]"',
        '"user_id"',
        '"a:b"',
        '"a,b"',
        '"\\u0041"',
        '"\\u00e9"',
    ),
    *('"\\u0022"', '"\\u005c"', '"\\u0000"', '"\\u0020"', '"a\\u00a0"', '"\\u2003a"', '"\\u200b"', '"\\ud83d\\ude00"'),
    *(
        '"\\ud800"',
        '"\\udc00\\ud800"',
        '"\\u004"',
        '"\\u00zz"',
        '"\\U0041"',
        '"\\n"',
        '"\\""',
        '"\\\\"',
        '"\\/"',
        '"é😀"',
    ),
    *(
        '"\x00"',
        '"\t"',
        '"\n"',
        '"\x1f"',
        '"\x7f"',
        '"\x80"',
        '"\x85"',
        '"\xa0"',
        '"\u2028"',
        '"\ud800"',
        '"\ufeff"',
        '"\uffff"',
    ),
    *(
        f'"{"a" * 150}"',
        f'"{"a" * 200}"',
        f'"{"a" * 201}"',
        f'"{"9" * 301}"',
        '"a"b"',
        "'a'",
        '"a',
        'a"',
        '"a" ',
        ' "a"',
    ),
    *("0", "7", "-0", "-1", "007", "1.0", "1e3", "9223372036854775807", "9223372036854775808", "9" * 25, "true", "{}"),
)
"""Ids as JSON, and what is none."""
STRAY = (
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xe0\x80\x80",
    b"\xf4\x90\x80\x80",
    b"\xf0\x80\x80\x80",
    b"\xc3",
    b"\xc2\x9f",
)
SHAPES: tuple[Callable[[dict[str, str]], str], ...] = (
    lambda fields: "{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}",
    lambda fields: " {\n" + " ,\t".join(f'"{name}" :\r {value}' for name, value in fields.items()) + "} \n",
    lambda fields: "{" + ",".join(f'"{name}":{fields[name]}' for name in sorted(fields)) + "}",
)


def hostile() -> list[bytes]:
    """Odd values in the place of each field, doubled fields, other names, and bytes that are not UTF-8."""
    found = []
    for shape in SHAPES:
        for name in ("user_id", "movie_id"):
            found += [shape({**GOOD, name: text}) for text in TEXTS]
        text = shape(GOOD)
        found += [text.rstrip(" \n}") + f',"{name}":{value}}}' for name, value in GOOD.items()]
        found += [text.replace(f'"{name}"', f'"{name.upper()}"') for name in GOOD]
        found += [text.replace(f'"{name}"', f'"\\u{ord(name[0]):04x}{name[1:]}"') for name in GOOD]
        found += [text + text, f"[{text}]", text[:-1], text.replace(":", ""), text.replace(",", ",,", 1), text + "\0"]
        found += ["\ufeff" + text, text.replace("{", "{{", 1), text.replace("}", ",}")]
    for name in (*GOOD, "action", "x", "__deleted"):
        found += [SHAPES[0]({**GOOD, name: value}) for value in VALUES]
    whole = SHAPES[0](GOOD).encode()
    stray = [whole.replace(at, at + one) for one in STRAY for at in (b"{", b"a@b", b"rating")]
    return [text.encode(errors="surrogatepass") for text in found] + stray


def generated() -> list[bytes]:
    """Of the generated events, those with an integer id get a text."""
    id_of = re.compile(rb'("(?:user|movie)_id"\s*:\s*)([0-9]{1,19})')
    return [id_of.sub(rb'\1"tt\2"', raw) for raw in generate(2_000)]


@contextmanager
def limits(*, fewest: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"FEWEST": fewest, "ORDERS": 24, "SAMPLE": 500}.items():
            patch.setattr(text_id_ratings, name, value)
        yield


def opened(raw: Sequence[bytes | None]) -> pa.Table:
    """Such as Spark leaves open."""
    n = len(raw)
    columns = {
        "raw": pa.array(raw, pa.binary()),
        "topic": pa.repeat("ratings", n),
        "partition": pa.array(np.zeros(n, np.int32)),
        "offset": pa.array(np.arange(n)),
        "received_at_ms": pa.repeat(NOW_MS, n),
    }
    return pa.table({name: columns.get(name, pa.nulls(n)) for name in PARSED.names}).cast(PARSED)


def differences(raw: Sequence[bytes | None], form: ValueForm | None = None) -> int:
    """Asserts that both ways give the same; how many events were read at once."""
    rows = opened(raw)
    with limits(fewest=10**9):
        expected = check(rows, **SCALE, form=form)
    with limits(fewest=1):
        at_once, _ = text_id_ratings.read(rows, *SCALE.values(), form)
        found = check(rows, **SCALE, form=form)
    if not found.equals(expected):
        pairs = zip(found.to_pylist(), expected.to_pylist(), strict=True)
        assert next((one, other) for one, other in pairs if one != other) is None
    return len(at_once)


@pytest.mark.parametrize("events", [hostile, generated])
def test_both_ways_read_the_same(events: Callable[[], list[bytes]]) -> None:
    assert differences([None, *events()]) > 100


def test_each_odd_event_alone_among_plain_ones() -> None:
    """Where plain ones tell the order of the fields, and the pattern has to refuse the odd one."""
    plain = [shape(GOOD).encode() for shape in SHAPES]
    for odd in hostile()[::29]:
        differences([*plain, odd])


def test_our_own_events_among_those_of_another_form() -> None:
    foreign = [b'{"x":"a","movie_id":"b","rating":3,"rated_at":1147880044000}', b'{"v":1,"x":"a"}']
    assert differences([*hostile(), *foreign], ValueForm(load(fields="user_id=x"))) > 100


ids = st.text(max_size=12) | st.integers(-2, 2**64) | st.sampled_from(["tt0114709", "a@b.org", "7"])
ratings = st.floats(0, 6) | st.integers(0, 6) | st.floats() | st.text(max_size=2)
moments = st.integers(631_152_000_000 - 5, NOW_MS + 86_400_005) | st.integers() | st.floats()
events = st.fixed_dictionaries(
    {"v": st.sampled_from([1, 1, 1, 2, 1.0]), "user_id": ids, "movie_id": ids, "rating": ratings, "rated_at": moments},
    optional={"action": st.sampled_from(["rate", "unrate", None, 1]), "x": ids | st.booleans() | st.none() | ratings},
)


@examples(60)
@given(st.lists(st.tuples(events.flatmap(lambda one: st.permutations(list(one.items()))), st.booleans()), max_size=4))
@example([([*{"v": 1, "user_id": "é", "movie_id": "b", "rating": -0.0, "rated_at": NOW_MS}.items()], False)])
def test_any_ratings_are_read_the_same(batch: list[tuple[list[tuple[str, object]], bool]]) -> None:
    texts = [json.dumps(dict(pairs), ensure_ascii=ascii_only) for pairs, ascii_only in batch]
    differences([text.encode(errors="surrogatepass") for text in texts])
