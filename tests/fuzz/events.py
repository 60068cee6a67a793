"""Raw events by the thousand: good ones of all actions, and what becomes of them on the way.

Each starts as a good event's (key, value) pairs of JSON text. A few mutations change pairs, then perhaps the text, then
perhaps the bytes. The same seed gives the same events.
"""

from __future__ import annotations

import random

from reelstream.events import MAX_EVENT_BYTES
from reelstream.times import SINCE_MS

SEED = 20_261_124
NOW_MS = 1_795_532_400_000
"""When the events are received."""

Pairs = list[tuple[str, str]]

KEYS = ("v", "action", "user_id", "movie_id", "rating", "rated_at")
# fmt: off
ODD_KEYS = (
    *('"User_Id"', '"user_id "', '"\\u0075ser_id"', '"rat\\u0069ng"', "'rating'", "user_id", '"user\\_id"', '"v\\u0000"'),
    *('""', '"_corrupt"', '"x"', '"é"', '"\\ud800"', '"😀"', "1", "null", '"a"b"', '"{"', '"}"', '"\\"', '"ac\\u0074ion"'),
)
NUMBERS = (
    *("0", "-0", "-1", "1", "2", "5", "9223372036854775807", "9223372036854775808", "-9223372036854775808"),
    *("-9223372036854775809", "18446744073709551617", "9" * 25, "9" * 310, "9" * 1001, "9" * 4301, "-" + "9" * 5000),
    *("0" * 30 + "1", "01", "-01", "00", "+1", "1.", ".5", "-.5", "1.0", "1.50", "-0.0", "1e0", "1E+2", "1e-2", "5e-1"),
    *("1e999", "-1e999", "1e-999", "1e", "1e+", "1.e1", "0e0", "5.0000000000000001", "5.000000000000001", "0.5"),
    *("0.49999999999999999", "0.4999999999999999", "3." + "0" * 1200, "3." + "3" * 1200, "0x10", "1_000", "1 2", "--1"),
    *("- 1", "-", "1.5.2", "1,5", "١", "５", "1f", "1L", "1n", "1e5000", "1" + "0" * 990 + "e-990"),
    *(str(NOW_MS + 86_400_000), str(NOW_MS + 86_400_001), str(NOW_MS * 1000), "4294967297"),
    *(str(SINCE_MS), str(SINCE_MS - 1), str(NOW_MS // 1000)),
)
WORDS = (
    *("NaN", "Infinity", "-Infinity", "+Infinity", "INF", "+INF", "-INF", "nan", "inf", "-NaN", "+NaN", "Nan", "Infinit"),
    *("null", "true", "false", "nul", "None", "True", "undefined", "", "nullx", "truefalse", "NaN1", "NaN.5", "-Infinityx"),
)
STRINGS = (
    *('""', '"1"', '"5"', '"3.5"', '"NaN"', '"Infinity"', '"-INF"', '"null"', '" 1"', "'1'", '"rate"', '"unrate"'),
    *('"hide"', '"show"', '"dismiss"', '"undismiss"'),
    *('"forget"', '"Rate"', '"r\\u0061te"', '"rate "', '"forget\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', '"\\u00zz"'),
    *('"\\x"', '"\\/\\b\\f"', '"\t"', '"\n"', '"\x7f"', '"\u2028"', '"\0"', '"\\u0000"', '"é😀"', '"unclosed', 'x"', '"\\'),
    *('"2026-01-01"', '"' + "[" * 600 + '"', '"' + "a" * 3000 + '"', "“1”", '"\\ud83d\\ude00"', '"\\u+0041"', '"\\u 041"'),
)
NESTED = (
    *("{}", "[]", "[1]", "[[[]]]", '{"a":1}', '{"user_id":7}', '{"a":{"b":[1,{"c":null}]}}', '[{"v":2}]', "[1,]", "{,}"),
    *('{"a":1,"a":2}', "[NaN]", '{"a":Infinity}', "[1 2]", "[", "]", "{", "}", "[}", "{]", '{"a"}', "[01]", '{"a":1,}'),
    *('["a","b"]', "[,]", "[null]", "['a']", "{1:2}", '{"a":"}"}', "[INF]", "[+INF]", "[-INF]", '["\t"]'),
)
VALUES = NUMBERS + WORDS + STRINGS + NESTED
DEPTHS = (5, 90, 240, 480, 499, 500, 501, 700, 900, 998, 1000, 1002, 2000, 4900)
SPACES = ("", "", " ", "\n", "\t", "\r\n", "   ", "\x0b", "\x0c", "\xa0", "\u2003", "\ufeff", "\0", "\x1e", "\x85")
AROUND = (
    *(",", "}", "]", ")", "[", "{", "],[", "],[1", "] x", "],[{}]", "]]", "}}", "},{", "},{}", "{}", "null", "0", '"x"', "x"),
    *("//c", "/*c*/", "#c", ";", ":1", '},"event":{"v":1', '} "', "'", '"', "\\", "-", "NaN", ")]}'", "\n{}", "\x1e", "\r\r"),
)
# fmt: on
PLAIN_SPACES = ("", "", "", " ", "\n", "\t ", "\r\n")


def generate(count: int, seed: int = SEED) -> list[bytes]:
    """`count` raw events; about a third keep the contract."""
    rng = random.Random(seed)
    return [_one(rng) for _ in range(count)]


def shown(events: list[bytes], at: int) -> str:
    """What to print of an event, to try it again."""
    return f"event {at} of generate({len(events)}, seed={SEED}): {events[at]!r}"


def _one(rng: random.Random) -> bytes:
    pairs = good_pairs(rng)
    for _ in range(rng.choice((0, 0, 0, 1, 1, 1, 2, 3))):
        pairs = rng.choice(PAIR_MUTATIONS)(rng, pairs)
    text = _text(rng, pairs)
    if rng.random() < 0.2:
        text = rng.choice(TEXT_MUTATIONS)(rng, text)
    raw = text.encode(errors="surrogatepass")
    for _ in range(rng.choice((0, 0, 0, 0, 0, 0, 1, 2))):
        raw = rng.choice(BYTE_MUTATIONS)(rng, raw)
    return raw


def good_pairs(rng: random.Random) -> Pairs:
    """The fields of a good event, in any order."""
    others = ("unrate", "unrate", "forget", "dismiss", "undismiss", "hide", "show")
    action = rng.choice((*("",) * 6, "rate", "rate", *others))
    pairs = [
        ("v", "1"),
        ("rated_at", str(rng.choice((SINCE_MS, rng.randrange(SINCE_MS, NOW_MS), NOW_MS)))),
    ]
    if action:
        pairs.append(("action", f'"{action}"'))
    if action not in ("hide", "show"):
        pairs.append(("user_id", _id(rng)))
    if action != "forget":
        pairs.append(("movie_id", _id(rng)))
    if action in ("", "rate"):
        pairs.append(
            ("rating", rng.choice((str(rng.randint(1, 5)), str(rng.randint(1, 10) / 2), repr(rng.uniform(0.5, 5)))))
        )
    if rng.random() < 0.5:
        rng.shuffle(pairs)
    return [(f'"{key}"', value) for key, value in pairs]


def _id(rng: random.Random) -> str:
    return str(rng.choice((rng.randint(1, 300), rng.randint(1, 10**6), rng.randint(1, 2**63 - 1))))


def _text(rng: random.Random, pairs: Pairs) -> str:
    if rng.random() < 0.7:
        return "{" + ",".join(f"{key}:{value}" for key, value in pairs) + "}"
    spaces = SPACES if rng.random() < 0.2 else PLAIN_SPACES

    def spaced(text: str) -> str:
        return rng.choice(spaces) + text + rng.choice(spaces)

    return spaced("{" + ",".join(f"{spaced(key)}:{spaced(value)}" for key, value in pairs) + spaced("}"))


def _drop(rng: random.Random, pairs: Pairs) -> Pairs:
    dropped = rng.randrange(len(pairs)) if pairs else 0
    return pairs[:dropped] + pairs[dropped + 1 :]


def _retype(rng: random.Random, pairs: Pairs) -> Pairs:
    changed = rng.randrange(len(pairs)) if pairs else 0
    values = rng.choice((VALUES, NUMBERS))
    return [(key, rng.choice(values) if place == changed else value) for place, (key, value) in enumerate(pairs)]


def _rename(rng: random.Random, pairs: Pairs) -> Pairs:
    changed = rng.randrange(len(pairs)) if pairs else 0
    return [(rng.choice(ODD_KEYS) if place == changed else key, value) for place, (key, value) in enumerate(pairs)]


def _insert(rng: random.Random, pairs: Pairs, pair: tuple[str, str]) -> Pairs:
    place = rng.randint(0, len(pairs))
    return [*pairs[:place], pair, *pairs[place:]]


def _again(rng: random.Random, pairs: Pairs) -> Pairs:
    """A key twice, of two values."""
    return _insert(rng, pairs, (f'"{rng.choice(KEYS)}"', rng.choice((*VALUES, *NUMBERS, *(v for _, v in pairs), "1"))))


def _more(rng: random.Random, pairs: Pairs) -> Pairs:
    return _insert(rng, pairs, (rng.choice((*ODD_KEYS, *['"x"'] * 20)), rng.choice(VALUES)))


def _deep(rng: random.Random, pairs: Pairs) -> Pairs:
    depth = rng.choice(DEPTHS)
    opens, closes = rng.choice((("[", "]"), ("[", "]"), ('{"a":', "}")))
    key = rng.choice(('"x"', '"x"', '"rating"'))
    return _insert(
        rng, pairs, (key, opens * depth + rng.choice(("", "1", '"[{"')) + closes * (depth - (rng.random() < 0.1)))
    )


def _pad(rng: random.Random, pairs: Pairs) -> Pairs:
    """Just short enough, or a little too long."""
    length = (
        MAX_EVENT_BYTES + rng.choice((-1, 0, 1, 1000)) - len(_text(random.Random(1), pairs).encode(errors="replace"))
    )
    return [*pairs, ('"x"', '"' + rng.choice(("a", "é")) * max(0, length - len(',"x":""')) + '"')]


USUAL = (_drop, _drop, _retype, _retype, _retype, _retype, _retype, _rename, _again, _again, _more, _more, _more)
PAIR_MUTATIONS = (*USUAL * 4, _deep, _pad)


def _before(rng: random.Random, text: str) -> str:
    return rng.choice(SPACES + AROUND) + text


def _after(rng: random.Random, text: str) -> str:
    return text + rng.choice(SPACES + AROUND) + rng.choice(("", "", text, rng.choice(AROUND)))


def _swap_mark(rng: random.Random, text: str) -> str:
    old, new = rng.choice(
        (('"', "'"), (",", ";"), (":", "="), (",", ",,"), ("}", ",}"), ("{", "{,"), (":", "::"), ('"', ""))
    )
    return text.replace(old, new, rng.choice((1, -1)))


def _wrap(rng: random.Random, text: str) -> str:
    return rng.choice(("[{}]", '"{}"', '{{"event":{}}}', "({})", "{}{}", "[{},{}]", "/**/{}", "{}//", "{} {}")).format(
        text, text
    )


def _replace_text(rng: random.Random, text: str) -> str:
    return rng.choice(
        ("", " ", "\n", "null", "true", "5", '""', "[]", "{}", "[[]]", "hello", text[: len(text) // 2], *AROUND)
    )


TEXT_MUTATIONS = (_before, _after, _after, _swap_mark, _wrap, _replace_text)


def _flip(rng: random.Random, raw: bytes) -> bytes:
    place = rng.randrange(len(raw)) if raw else 0
    return raw[:place] + bytes([raw[place] ^ 1 << rng.randrange(8)]) + raw[place + 1 :] if raw else b"\xff"


def _cut(rng: random.Random, raw: bytes) -> bytes:
    return raw[: rng.randint(0, len(raw))]


def _cut_out(rng: random.Random, raw: bytes) -> bytes:
    start = rng.randint(0, len(raw))
    return raw[:start] + raw[start + rng.randint(1, 8) :]


def _double(rng: random.Random, raw: bytes) -> bytes:
    start = rng.randint(0, len(raw))
    end = start + rng.choice((1, 2, 5, 20))
    return raw[:end] + raw[start:end] + raw[end:]


def _add_byte(rng: random.Random, raw: bytes) -> bytes:
    place = rng.randint(0, len(raw))
    odd = (
        b"\0",
        b"\xff",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\xf4\x90\x80\x80",
        b"\xe2\x82",
        b"\\",
        b'"',
        b"\n",
    )
    return raw[:place] + rng.choice((*odd, bytes([rng.randrange(256)]))) + raw[place:]


def _recode(rng: random.Random, raw: bytes) -> bytes:
    text = raw.decode(errors="replace")
    return text.encode(rng.choice(("utf-16", "utf-16-le", "utf-8-sig", "utf-7", "utf-32", "latin-1")), errors="replace")


def _noise(rng: random.Random, raw: bytes) -> bytes:
    return rng.randbytes(rng.choice((1, 5, 60)))


BYTE_MUTATIONS = (_flip, _flip, _cut, _cut_out, _double, _double, _add_byte, _add_byte, _recode, _noise)
