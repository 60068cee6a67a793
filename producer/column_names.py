"""Which column of a file is what, by its name.

In: the names in the header of a file, and what its user says of them. Out: the places of the fields.
Next: `reelstream.producer.file_form` puts them into the Form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from reelstream.errors import UsageError

SYNONYMS: dict[str, tuple[str, ...]] = {
    "user_id": (
        *("userid", "user", "uid", "reviewerid", "customerid", "customer", "memberid", "accountid", "profilename"),
        *("username", "reviewer", "usermd5", "reviewprofilename"),
    ),
    "movie_id": (
        *("movieid", "movie", "mid", "itemid", "item", "iid", "productid", "filmid", "asin", "animeid", "bookid"),
        *(
            "parentasin",
            "isbn",
            "jokeid",
            "businessid",
            "videoid",
            "recipeid",
            "artistid",
            "trackid",
            "songid",
            "gameid",
        ),
        *("appid", "gmapid", "imdbid", "tmdbid"),
    ),
    "rating": (
        *("rating", "score", "stars", "overall", "userrating", "ratingvalue"),
        *("bookrating", "starrating", "star", "myscore", "reviewscore", "reviewoverall", "liked", "isrecommended"),
    ),
    "rated_at": (
        *("timestamp", "ratedat", "unixtimestamp", "unixreviewtime", "createdat", "datetime", "date", "time", "ts"),
        *("ratingtimestamp", "reviewtime", "reviewedat", "updatedat"),
        *("reviewdate", "ratingtime", "ratingdate", "daterated", "dateupdated", "dateadded", "mylastupdated"),
    ),
}
"""Names of columns by field, in letters and digits alone; of several the first one counts."""
MOVIELENS = ("user_id", "movie_id", "rating", "rated_at")
"""The order of the columns of a file without a header."""
NONE = "none"
"""Said of the rating or the time: that there is no such column."""
SHOWN_CHARACTERS = 200


def plain_name(column: str) -> str:
    """Lower-case letters and digits alone, without a type as in `user_id:token`."""
    return re.sub(r"[\W_]+", "", column.partition(":")[0].lower())


def places_by_name(path: Path, names: Sequence[str], said: Mapping[str, str], *, sure: bool = True) -> dict[str, int]:
    """Where each field's column is. said: the column's name by field. sure: the delimiter is known. Then UsageError is raised
    if two columns have the same name for a field, or one that is said is not there."""
    plain = [plain_name(name) for name in names]
    places: dict[str, int] = {}
    for name, synonyms in SYNONYMS.items():
        wanted = said.get(name)
        if wanted == NONE:
            continue
        if wanted:
            if wanted not in [one.strip() for one in names]:
                if not sure:
                    continue
                raise UsageError(f"{path} has no column {wanted!r}, but {', '.join(names)[:SHOWN_CHARACTERS]}.")
            places[name] = [one.strip() for one in names].index(wanted)
            continue
        for synonym in synonyms:
            if plain.count(synonym) > 1 and sure:
                twice = ", ".join(names)[:SHOWN_CHARACTERS]
                raise UsageError(f"{path} has two columns for {name}: {twice}; rename or remove one of them.")
            if synonym in plain:
                places[name] = plain.index(synonym)
                break
    return places


def places_by_number(path: Path, width: int, said: Mapping[str, str]) -> dict[str, int]:
    """The same of a file without a header, in MovieLens' order, or as the numbers from 1 on say. Raises UsageError for a number
    that is none of `width` columns, or said twice."""
    default = zip(MOVIELENS, range(min(width, 4)), strict=False)
    places = {} if is_order_said(said) else dict(default)
    for name, number in said.items():
        places.pop(name, None)
        if number == NONE:
            continue
        if not number.isdecimal() or not 1 <= int(number) <= width:
            raise UsageError(
                f"{path} has no header with a column {number!r}; say its number, from 1 to {width}, such as --column {name}=1."
            )
        if int(number) - 1 in places.values():
            raise UsageError(f"{path}: --column says column {number} twice; say also which the other field is.")
        places[name] = int(number) - 1
    return places


def is_order_said(said: Mapping[str, str]) -> bool:
    """Whether a number is said for the user, the movie or the rating."""
    return any(said.get(name, NONE) != NONE for name in MOVIELENS[:3])


def missing(places: Iterable[str], said: Mapping[str, str]) -> list[str]:
    """The fields that must be there and are not."""
    return [name for name in MOVIELENS[:3] if name not in places and not (name == "rating" and said.get(name) == NONE)]


def how_to_say(fields: Sequence[str]) -> str:
    """What to do where these fields are missing, as the end of a sentence."""
    if [*fields] == ["rating"]:
        return "say --column rating=NAME, or --column rating=none if each row is a like"
    return f"say --column {fields[0]}=NAME"
