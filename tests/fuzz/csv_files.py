"""Files that are a ratings.csv, nearly one, or none: good rows, odd numbers, broken rows, stray bytes.

The same seed gives the same files.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from reelstream.times import SINCE_MS
from tests.fuzz.events import NOW_MS

SEED = 20_261_124

# fmt: off
GOOD_HEADERS = (
    *("userId,movieId,rating,timestamp", "user_id,movie_id,rating,rated_at", "timestamp,rating,movieId,userId"),
    *('"userId","movieId","rating","timestamp"', " USERID , movieID,Rating, TimeStamp ", "rating,user_id,x,movie_id"),
    *("userId,movieId,rating", "x,userId,title,movieId,rating,timestamp,", "é,userId,movieId,rating,rated_at"),
)
BAD_HEADERS = (
    *("userId,rating,timestamp", "userId,user_id,movieId,rating", '"userId,movieId,rating', "x" * 20_000),
    *("userId,movieId,rating\rx", "{", "PK\x03\x04", "usérId,movieId,rating", '"userId"x,movieId,rating'),
)
OTHER_HEADERS = (
    *("", "1,296,5.0,1147880044", "userId;movieId;rating;timestamp", "userId\tmovieId\trating", "userId::movieId::rating"),
    *("userId,movieId,rating,timestamp,rated_at", '{"userId": 1, "movieId": 2, "rating": 3}'),
)
"""What comes below them may or may not fit."""
PLAIN_NUMBERS = (
    *("0", "1", "5", "5.0", "0.5", "007", "5.", ".5", ".", "..", "1.2.3", "3.50", "0" * 39 + "1", "0" * 40 + "1"),
    "0" * 90 + "4",
    *("3." + "0" * 38, "3." + "0" * 39, "3." + "0" * 400, "4.99999999999999999999", "5.0000000000000001", "5.000000000000001"),
    *("9223372036854775807", "9223372036854775808", "9" * 25, "9" * 400, "0.49999999999999999", "", "2147483648", "4."),
    *(str(NOW_MS // 1000 + 86_400), str(NOW_MS // 1000 + 86_401), str(NOW_MS + 86_400_000), str(NOW_MS + 86_400_001)),
    *("9223372036854775", "9223372036854776", "18446744073709551", "18446744073709552", "1147880044.0", "1147880044.5"),
)
ODD_NUMBERS = (
    *("-1", "+1", "-0", "1e0", "1e3", "1E+2", "1e999", "-1e999", "nan", "inf", "-Infinity", "NaN", "0x10", "1_000", "1 000"),
    *("١", "５", "²", "½", "null", "None", "true", "good", " 1", "1 ", "\t2", "\xa03", "１", '"1"', '"1', '1"', '""', '"1,2"'),
    *('"1""2"', "'1'", "1,5", "1;2", "\0", "1\0", "2006-05-17T15:34:04Z", "2006-05-17 15:34:04", "2006-05-17", "20060517"),
    *("2006-W20-3", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2006-13-01", "1e308", "1e400", "-9" * 9),
    *("=1+1", "é", "x" * 41, "\ufeff1", "\x1f1", "1\x0b", "1\r", "\r1", "1\x85", "\u20281", "1j", "0b1", "1__0", "--1"),
    "infinity",
)
ENDS = (
    "\n",
    "\n",
    "\n",
    "\n",
    "\r\n",
    "\r\n",
    "\n\n",
    "\r",
    "\n\r",
    "\n \n",
    "\n\t\n",
    "\x0c\n",
    "\n\0\n",
    "\n\ufeff\n",
)
STRAY = (b"\0", b"\xff", b'"', b"\r", b"\n", b",", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc3", b"\x1a", b"\\", b";", b"\x85")
# fmt: on


class File(NamedTuple):
    """`is_ratings`: whether the header fits; None if that is for the reader to find out."""

    content: bytes
    is_ratings: bool | None


def generate(count: int, rows: int, seed: int = SEED) -> list[File]:
    """`count` files of about `rows` lines each; half of them hold nothing but digits, commas, points and line ends."""
    rng = random.Random(seed)
    return [_one(rng, rows) for _ in range(count)]


def shown(files: list[File], at: int) -> str:
    """What to print of a file, to try it again."""
    return f"file {at} of {len(files)}, seed {SEED}: {files[at].content!r}"


def _one(rng: random.Random, rows: int) -> File:
    plain = rng.random() < 0.5
    header = rng.choice(GOOD_HEADERS)
    lines = body(rng, header, 0 if rng.random() < 0.01 else rows, plain=plain)
    if rng.random() < 0.03:
        header = rng.choice((*BAD_HEADERS, *OTHER_HEADERS))
        return File((header + "\n" + lines).encode(), False if header in BAD_HEADERS else None)
    before = rng.choice(("", "", "", "\ufeff", "\n", " \r\n\n", "\n\n")) if not plain else ""
    content = (before + header + rng.choice(("\n", "\r\n")) + lines).encode()
    if plain or rng.random() < 0.4:
        return File(content, True)
    if rng.random() < 0.1:
        recoded = content.decode().encode(rng.choice(("utf-16", "utf-16-le", "latin-1", "utf-32")), errors="replace")
        return File(rng.choice((recoded, rng.randbytes(500), content[: rng.randrange(60)])), None)
    return File(_stray(rng, content), None)


def body(rng: random.Random, header: str, rows: int, *, plain: bool) -> str:
    """Lines of CSV for the header, of which some break a rule."""
    names = [name.strip(' "').lower().replace("_", "") for name in header.split(",")]
    in_each_row = rng.choice((0, 0.03, 0.03, 0.3) if plain else (0, 0.03, 0.3, 0.3))
    end = rng.choice(("\n", "\r\n")) if plain else ""
    lines = []
    for _ in range(rows):
        fields = [_good(rng, name, plain) for name in names]
        if rng.random() < in_each_row:
            fields = _mutated(rng, fields, plain)
        lines.append(",".join(fields) + (end or (rng.choice(ENDS) if rng.random() < in_each_row else "\n")))
    text = "".join(lines)
    return text.rstrip("\n") if rng.random() < 0.2 else text


def _good(rng: random.Random, name: str, plain: bool) -> str:
    match name:
        case "userid" | "movieid":
            return str(rng.choice((rng.randint(1, 300), rng.randint(1, 2**63 - 1))))
        case "rating":
            return rng.choice((str(rng.randint(1, 10) / 2), str(rng.randint(1, 5)), f"{rng.uniform(0.5, 5):.17f}"))
        case "timestamp":
            return str(rng.randrange(SINCE_MS // 1000, NOW_MS // 1000))
        case "ratedat":
            return str(rng.randrange(SINCE_MS, NOW_MS))
    return rng.choice(PLAIN_NUMBERS if plain else ("", "1", "Heat (1995)", '"Heat, The ""1995"""', "é"))


def _mutated(rng: random.Random, fields: list[str], plain: bool) -> list[str]:
    place = rng.randrange(len(fields))
    kind = rng.random()
    if kind < 0.75:
        numbers = PLAIN_NUMBERS if plain or rng.random() < 0.4 else ODD_NUMBERS
        return [*fields[:place], rng.choice(numbers), *fields[place + 1 :]]
    if kind < 0.85:
        return fields[:place] + fields[place + 1 :]
    if kind < 0.9:
        return [*fields, fields[place]]
    if kind < 0.92:
        return [*fields[:place], rng.choice("0907") * rng.choice((9_990, 10_000, 20_000)), *fields[place + 1 :]]
    return [""] if plain else [rng.choice(ODD_NUMBERS)]


def _stray(rng: random.Random, content: bytes) -> bytes:
    for _ in range(rng.randint(1, 6)):
        at = rng.randint(0, len(content))
        content = (
            content[:at] + rng.choice((*STRAY, bytes([rng.randrange(256)]))) + content[at + rng.choice((0, 1, 1, 9)) :]
        )
    return content
