"""The ids in a request: integers, or text where the warehouse's ids are text.

In: a path, a query or a body. Out: ids as their owner writes them. Next: the routes ask and post by them.

In a path an id may have a slash, as %2F. ASGI gives paths decoded, where it would part the path, so `Guard` decodes each part
by itself (`path_of`) with SLASH in its place, and the convertor `{…:id}` of the routes makes it a slash again.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import unquote

from fastapi import Depends, Path, Request
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.types import Scope

from reelstream.errors import BadRating
from reelstream.ids import MAX_CHARACTERS, PATTERN, Id, check_id, is_integer
from reelstream.serve.service import service_of
from reelstream.store.id_texts import MOVIE, USER, IdTexts

SLASH = "\udc2f"
"""Half a character, which no decoded path has."""


class _IdConvertor(StringConvertor):
    def convert(self, value: str) -> str:
        return value.replace(SLASH, "/")


register_url_convertor("id", _IdConvertor())


def path_of(scope: Scope) -> str:
    """The decoded path of a request, with SLASH for each slash that was %2F."""
    path: str = scope["path"]
    raw: bytes = scope.get("raw_path") or b""
    if b"%2f" not in raw.lower():
        return path
    return "/".join(unquote(part).replace("/", SLASH) for part in raw.decode("latin-1").split("/"))


def own_id(of: str, given: Id, ids: IdTexts) -> Id:
    """The id; digits are an integer. Raises BadRating for what is no id, or is text where ids are integers."""
    own = int(given) if isinstance(given, str) and is_integer(given) else given
    check_id(of, own)
    if isinstance(own, str) and ids.is_text.get(of) is False:
        raise BadRating("wrong_type", f"{of} {own[:40]!r} is not an integer, as the ids of this warehouse are")
    return own


_UserPath = Annotated[
    str, Path(pattern=PATTERN, max_length=MAX_CHARACTERS, description="A user's id.", examples=["42"])
]
_MoviePath = Annotated[
    str, Path(pattern=PATTERN, max_length=MAX_CHARACTERS, description="A movie's id.", examples=["296"])
]


async def _user(request: Request, user_id: _UserPath) -> Id:
    return own_id(USER, user_id, service_of(request).ids.now())


async def _movie(request: Request, movie_id: _MoviePath) -> Id:
    return own_id(MOVIE, movie_id, service_of(request).ids.now())


UserId = Annotated[Id, Depends(_user)]
MovieId = Annotated[Id, Depends(_movie)]
