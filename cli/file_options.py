"""Options that say what a file of ratings is, where the detector is wrong; `replay`, `evaluate` and `tune` have the same.

In: the words of a command. Out: Overrides. Next: `reelstream.producer.file_form` detects the rest.
"""

from __future__ import annotations

import codecs
import math
from typing import TYPE_CHECKING, Annotated

import typer

from reelstream.errors import UsageError

if TYPE_CHECKING:
    from reelstream.producer.file_form import Overrides

Delimiter = Annotated[str | None, typer.Option(help="Between columns: , ; | :: tab or blank. \\[default: detected]")]
Encoding = Annotated[str | None, typer.Option(help="Such as cp1252. \\[default: detected]")]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FIELD=NAME",
        help="The column of user_id, movie_id, rating or rated_at; without a header its number. rated_at=none: no times, each "
        "rating is given now; rating=none: each row is a like.",
    ),
]
FileTimeUnit = Annotated[
    str | None, typer.Option("--time-unit", help="Of times: s, ms, us or ns. \\[default: detected]")
]
Unrated = Annotated[
    str | None,
    typer.Option(metavar="NUMBER", help="The rating that stands for none, or none. \\[default: detected]"),
]


def overrides_of(
    delimiter: str | None, encoding: str | None, columns: list[str] | None, unit: str | None, unrated: str | None
) -> Overrides:
    """Raises UsageError for an option that says nothing."""
    from reelstream.producer.column_names import NONE, SYNONYMS
    from reelstream.producer.delimited import BLANKS, DELIMITERS
    from reelstream.producer.file_form import Overrides
    from reelstream.times import UNITS

    named = {one.partition("=")[0]: one.partition("=")[2] for one in columns or []}
    if wrong := [name for name in named if name not in SYNONYMS or not named[name]]:
        raise UsageError(f"--column {wrong[0]} is unknown; say FIELD=COLUMN, the field one of {', '.join(SYNONYMS)}.")
    if unit is not None and unit not in UNITS:
        raise UsageError(f"--time-unit {unit} is unknown; say one of {', '.join(UNITS)}.")
    mark = {"tab": "\t", "\\t": "\t", "blank": BLANKS, "space": BLANKS}.get(delimiter or "", delimiter)
    if mark and mark not in (*DELIMITERS, BLANKS):
        raise UsageError(f"--delimiter {delimiter} is unknown; say one of , ; | :: tab or blank.")
    if encoding and not _is_encoding(encoding):
        raise UsageError(f"--encoding {encoding} is unknown; say for instance utf-8, utf-16 or cp1252.")
    if unrated not in (None, NONE) and not _is_number(unrated):
        raise UsageError(f"--unrated {unrated} is no number; say for instance 0 or -1, or none.")
    return Overrides(mark, encoding, named, unit, unrated)


def _is_encoding(name: str) -> bool:
    try:
        return bool(codecs.lookup(name))
    except LookupError:
        return False


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
