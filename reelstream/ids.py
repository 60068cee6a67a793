"""Ids of users and movies: integers from 0 on, or text such as a UUID, `tt0114709` or an e-mail address.

In: an id as its owner writes it. Out: its number, int64, by which everything inside is done. Next:
`reelstream.store.id_texts` keeps the texts, so that every answer and table shows the owner's ids.

An integer is its own number, also where it is written as text. The number of any other text is made of the text alone, so
it does not depend on who saw it first: 2^62 + the first 62 bits of its BLAKE2b hash (RFC 7693). Among n texts two share a
number with a probability of about n² / 2^63: one in 9 million for a million of them. The stream rejects the second one.
"""

from __future__ import annotations

import re
from hashlib import blake2b

from reelstream.errors import BadRating

Id = int | str
MAX_ID = 2**63 - 1
TEXTS_FROM = 2**62
MAX_CHARACTERS = 200
PATTERN = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
"""Of a text that `check_id` lets through."""

_INTEGER = re.compile(r"0|[1-9][0-9]{0,18}")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def number_of(own: Id) -> int:
    """The number of an id that `check_id` lets through."""
    if isinstance(own, int):
        return own
    if is_integer(own):
        return int(own)
    digest = blake2b(own.encode(), digest_size=8).digest()
    return TEXTS_FROM + (int.from_bytes(digest, "big") >> 2)


def is_integer(text: str) -> bool:
    """Whether the text is an integer id as it is written without need of quotes: `7`, not `007`."""
    return bool(_INTEGER.fullmatch(text)) and int(text) <= MAX_ID


def check_id(name: str, own: Id) -> None:
    """Raises BadRating "bad_id" for an integer below 0 or beyond 64 bits, a text that is empty or longer than MAX_CHARACTERS,
    or has control characters or spaces at its ends."""
    if isinstance(own, int):
        if not 0 <= own <= MAX_ID:
            raise BadRating("bad_id", f"{name} {own} is not between 0 and 2^63 - 1")
        return
    if not own or own != own.strip() or len(own) > MAX_CHARACTERS or _CONTROL.search(own):
        raise BadRating(
            "bad_id", f"{name} {own[:40]!r} is not an id: 1 to {MAX_CHARACTERS} characters without control characters"
        )
