"""Lines of a text with delimiters: their fields, and whether the first one is a header.

In: the first lines of a file. Out: answers about them. Next: `reelstream.producer.file_form` puts them together.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Mapping

from reelstream.producer.column_names import NONE, SHOWN_CHARACTERS, how_to_say
from reelstream.producer.csv_line import are_texts
from reelstream.producer.file_times import is_time

DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars", "::": "double colons"}
BLANKS = " "
"""One or more of them, where no delimiter fits."""
EXPECTED = "expected a header line such as userId,movieId,rating,timestamp (comma-separated, columns in any order)"
MATRIX_WIDTH = 10
_NUMBER = re.compile(r"-?\d+([.,]\d*)?")
_OF_AN_ITEM = re.compile(r"tt\d{7,}|B0[0-9A-Z]{8}|\d{9}[\dX]")
"""Ids of IMDb, Amazon and ISBN."""


def names_in(row: str, mark: str) -> list[str]:
    """The fields of a header, of which quotes may have blanks around them."""
    if mark == BLANKS and '"' in row:
        return []
    return split(row, mark) or (row.split(mark) if '" ' in row or ' "' in row else [])


def as_wide_as(rows: list[list[str]], names: tuple[str, ...], *, quoted: bool) -> tuple[str, ...]:
    """With a name for each field of rows that end with delimiters, or begin with their number in quotes, as R writes them."""
    width, n = Counter(map(len, rows)).most_common(1)[0] if rows else (0, 0)
    more = width - len(names)
    if more <= 0 or n * 2 < len(rows):
        return names
    wide = [row for row in rows if len(row) == width]
    if not any(field.strip() for row in wide for field in row[-more:]):
        return (*names, *[""] * more)
    if more == 1 and quoted and [row[0] for row in wide[:9]] == [str(n) for n in range(1, min(len(wide), 9) + 1)]:
        return ("", *names)
    return names


def are_numbers(said: Mapping[str, str]) -> bool:
    """Whether columns are said by their numbers."""
    return any(map(str.isdecimal, said.values())) and may_be_bare(said)


def may_be_bare(said: Mapping[str, str]) -> bool:
    """Whether what is said fits a file without names of columns."""
    return all(one.isdecimal() or one == NONE for one in said.values())


def is_swapped(rows: list[list[str]]) -> bool:
    """Whether the ids of the first column are those of movies or products, and those of the second are others."""
    of_items = [sum(bool(_OF_AN_ITEM.fullmatch(row[at].strip())) for row in rows if len(row) > 1) for at in (0, 1)]
    return (
        of_items[0] * 10 >= len(rows) * 9
        and of_items[1] * 10 <= len(rows)
        and are_texts([row[1] for row in rows if len(row) > 1])
    )


def _is_matrix(rows: list[list[str]]) -> bool:
    width = len(rows[0])
    numbers = [all(not one.strip() or _NUMBER.fullmatch(one.strip()) for one in row[1:]) for row in rows[1:]]
    return width >= MATRIX_WIDTH and bool(numbers) and all(numbers) and {*map(len, rows)} == {width}


def is_bare(rows: list[str], mark: str, said: Mapping[str, str]) -> bool:
    """Whether the rows are ids, a number and perhaps a time, in MovieLens' order, without a header; or of one width, where
    it is said what they are."""
    fields = [split(row, mark) for row in rows[:20]]
    width = len(fields[0])
    if width < 2 or sum(len(one) == width for one in fields) < len(fields):
        return False
    if are_numbers(said) or said.get("rating") == NONE:
        return True
    if not 3 <= width <= 5:
        return False
    ids, rating = fields[0][:2], re.fullmatch(r"\s*-?\d+([.,]\d+)?\s*", fields[0][2])
    return all(map(str.strip, ids)) and bool(rating) and (width == 3 or is_time(fields[0][3].strip()))


def split(text: str, mark: str) -> list[str]:
    """The fields of a line; none if it is no line of CSV."""
    if mark == BLANKS:
        return text.split()
    if len(mark) > 1:
        return text.split(mark)
    try:
        return next(csv.reader([text.strip("\r\n ")], delimiter=mark, strict=True))
    except (csv.Error, StopIteration):
        return text.split(mark) if mark == "\t" else []


def what_is_missing(rows: list[str], mark: str, fields: list[str], said: Mapping[str, str]) -> str:
    """The end of a sentence."""
    begins = rows[0][:SHOWN_CHARACTERS]
    if _is_matrix([split(row, mark) for row in rows[:20]]):
        return (
            f"is a matrix with a column for each movie, {begins!r}; write a row for each rating: user, movie, rating."
        )
    if not fields:
        return f"has no columns by number: its first line is {begins!r}; say their names."
    how = how_to_say(fields)
    if any(_NUMBER.fullmatch(one.strip()) for one in split(rows[0], mark)):
        how = "say the numbers of the columns, such as --column user_id=1 --column movie_id=2 --column rating=3"
    return f"has no column {' or '.join(fields)} in its first line {begins!r}; {EXPECTED}, or {how}."
