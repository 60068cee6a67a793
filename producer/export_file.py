"""One user's own ratings, as other sites export them.

In: a file of Letterboxd, IMDb, Trakt or Goodreads, or one of movie ids and ratings. Out: an Export, its rows not yet matched.
Next: `reelstream rate --file` finds their movies and sends them.

    Date,Name,Year,Letterboxd URI,Rating
    2024-03-01,"Matrix, The",1999,https://boxd.it/aaaa,4.5      → ("Matrix, The",), 1999, 4.5, 1709251200000

An export is recognised by the names of its columns.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reelstream.errors import BadRating, UsageError
from reelstream.ids import Id
from reelstream.producer.bad_rows import BadRows, is_unrated
from reelstream.producer.column_names import SHOWN_CHARACTERS, SYNONYMS, plain_name
from reelstream.producer.csv_line import Header, Rules, time_ms
from reelstream.producer.delimited import DELIMITERS
from reelstream.producer.file_form import Overrides, detect
from reelstream.producer.file_lines import table_schema, whole_text
from reelstream.producer.file_times import detect_times
from reelstream.producer.packed_file import packing
from reelstream.producer.ratings_csv import BadRow, read_blocks

KINDS_LEFT_OUT = ("series", "episode", "season", "show", "game", "podcast")
_OLD_IMDB_TIME = "%a %b %d %H:%M:%S %Y"
_NOT_RATED = re.compile(r"(0?(\.0*)?|null|none|-)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Site:
    """Names of columns without capitals, spaces and underscores; of several the first that has a value counts."""

    name: str
    columns: frozenset[str]
    """By which the export is recognised."""
    titles: tuple[str, ...]
    years: tuple[str, ...]
    ratings: tuple[str, ...]
    times: tuple[str, ...]
    scale: tuple[float, float]
    kind: str = ""
    """The column that tells movies from series."""


SITES = (
    Site("Letterboxd", frozenset({"name", "letterboxduri"}), ("name",), ("year",), ("rating",), ("date",), (0.5, 5)),
    Site(
        "IMDb",
        frozenset({"const", "title"}),
        ("title", "originaltitle"),
        ("year",),
        ("yourrating", "yourated"),
        ("daterated", "created"),
        (1, 10),
        "titletype",
    ),
    Site(
        "Trakt",
        frozenset({"ratedat", "rating", "title", "traktid"}),
        ("title",),
        ("year",),
        ("rating",),
        ("ratedat",),
        (1, 10),
        "type",
    ),
    Site(
        "Goodreads",
        frozenset({"title", "author", "myrating"}),
        ("title",),
        ("originalpublicationyear", "yearpublished"),
        ("myrating",),
        ("dateread", "dateadded"),
        (1, 5),
    ),
)


@dataclass(frozen=True, slots=True)
class ExportRow:
    """`titles` in the order in which they are tried; none where there is a `movie_id`. Milliseconds since 1970."""

    line_number: int
    titles: tuple[str, ...]
    year: int | None
    rating: float
    rated_at_ms: int
    movie_id: Id | None = None


@dataclass(slots=True)
class Export:
    found: str
    """What the file is, for people."""
    scale: tuple[float, float] | None
    """Of its ratings; None: that of the warehouse."""
    bad: BadRows
    rows: list[ExportRow] = field(default_factory=list)
    unrated: int = 0
    not_movies: int = 0


def read_export(path: Path, *, rating_min: float, rating_max: float, now_ms: int) -> Export:
    """rating_min, rating_max: the scale of a file of movie ids; one of a site has its own. A row without a time was rated
    at `now_ms`.

    Raises UsageError if there is no such file, or it is no export that is known.
    """
    packed = packing(path, None)
    if packed.table:
        return _of_ids(path, list(table_schema(path, packed).names), rating_min, rating_max, now_ms)
    text, encoding = whole_text(path, packed)
    found = _json_records(text) if text.lstrip()[:1] in ("[", "{") else _csv_records(text)
    names, records = found or ([], [])
    plain = {plain_name(name) for name in names}
    site = next((one for one in SITES if one.columns <= plain), None)
    if site is None:
        return _of_ids(path, names, rating_min, rating_max, now_ms)
    if not plain & {*site.ratings}:
        raise UsageError(f"{path} is an export of {site.name} without ratings; take the one with the column Rating.")
    export = Export(f"{path.name} is an export of {site.name}, {encoding.upper()}.", site.scale, BadRows(path))
    times = _times([_first(record, site.times) for _, record in records], now_ms)
    for line_number, record in records:
        _add(export, site, line_number, record, times)
    return export


def _add(export: Export, site: Site, line_number: int, record: Mapping[str, str], times: Rules) -> None:
    rating, time = _first(record, site.ratings).replace(",", "."), _first(record, site.times)
    if any(kind in record.get(site.kind, "").lower().replace(" ", "") for kind in KINDS_LEFT_OUT):
        export.not_movies += 1
    elif _NOT_RATED.fullmatch(rating):
        export.unrated += 1
    else:
        titles = tuple(record[name] for name in site.titles if record.get(name))
        year = re.match(r"\d{4}", _first(record, site.years))
        try:
            row = ExportRow(
                line_number,
                _given_title(titles),
                int(year[0]) if year else None,
                _on_scale(rating, site.scale),
                _time_ms(time, times) if time else times.now_ms,
            )
        except BadRating as bad:
            shown = ",".join(record.values())[:SHOWN_CHARACTERS]
            export.bad.add(BadRow(line_number, str(bad), shown))
        else:
            export.rows.append(row)


def _of_ids(path: Path, names: Sequence[str], rating_min: float, rating_max: float, now_ms: int) -> Export:
    """A file of movie ids and ratings, with or without its user."""
    plain = [plain_name(name) for name in names]
    movies = next((names[plain.index(one)].strip() for one in SYNONYMS["movie_id"] if one in plain), None)
    has_users = movies is None or any(name in SYNONYMS["user_id"] for name in plain)
    try:
        # Without a column of users that of the movies stands in for it: the caller knows the user.
        form = detect(path, Overrides(columns={} if has_users else {"user_id": str(movies)}))
    except UsageError as error:
        sites = ", ".join(site.name for site in SITES)
        raise UsageError(f"{path} is no export of {sites}, and no file of movie ids and ratings: {error}") from None
    found = " ".join([form.sentences[0], "Its movies are ids.", *form.assumed])
    export, users = Export(found, None, BadRows(path)), set[Any]()

    def on_bad(row: BadRow) -> None:
        if is_unrated(row):
            export.unrated += 1
        else:
            export.bad.add(row)

    scale = {"rating_min": rating_min, "rating_max": rating_max}
    texts = dict[int, str]()
    own: Mapping[int, Id] = texts if "movie_id" in form.header.text_ids else {}
    for block in read_blocks(path, **scale, now_ms=now_ms, on_bad=on_bad, form=form, texts=texts):
        for number, (_, movie_id, rating, rated_at_ms) in zip(block.line_numbers, block.rows.tolist(), strict=False):
            export.rows.append(ExportRow(number, (), None, rating, rated_at_ms, own.get(movie_id, movie_id)))
        if has_users and len(users := users | {*block.rows["user_id"].tolist()}) > 1:
            raise UsageError(f"{path} has ratings of several users; send it with `reelstream replay`.")
    export.bad.refuse_if_most(len(export.rows), form)
    return export


def _csv_records(text: str) -> tuple[list[str], list[tuple[int, dict[str, str]]]] | None:
    """(names, [(line, value by plain name)]); a quoted field may hold line ends."""
    lines = text.splitlines(keepends=True)
    before = next((i for i, line in enumerate(lines) if line.strip() and not line.lower().startswith(("#", "sep="))), 0)
    rest = "".join(lines[before:])
    header = rest[: rest.find("\n") + 1] or rest
    mark = max((one for one in DELIMITERS if len(one) == 1), key=header.count)
    reader = csv.reader(io.StringIO(rest, newline=""), delimiter=mark)
    try:
        names = next(reader, [])
        plain = [plain_name(name) for name in names]
        rows = [(before + reader.line_num, row) for row in reader if any(row)]
    except csv.Error:
        return None
    return names, [(number, dict(zip(plain, map(str.strip, row), strict=False))) for number, row in rows]


def _json_records(text: str) -> tuple[list[str], list[tuple[int, dict[str, str]]]] | None:
    """The same of a list of objects, or an object a line; Trakt's have the movie in one of its own. line: the place."""
    whole = text if text.lstrip().startswith("[") else f"[{','.join(filter(str.strip, text.splitlines()))}]"
    try:
        found = json.loads(whole)
    except (ValueError, RecursionError):
        return None
    records = [(number, _flat(one)) for number, one in enumerate(found, 1) if isinstance(one, dict)]
    names = list(dict.fromkeys(name for _, record in records for name in record))
    return names, [(number, {plain_name(name): value for name, value in record.items()}) for number, record in records]


def _flat(record: dict[str, Any]) -> dict[str, str]:
    kind = next((name for name in ("movie", "episode", "season", "show") if isinstance(record.get(name), dict)), "")
    inner = record.get(kind) or {}
    of_trakt = {"trakt_id": "", "type": record.get("type") or kind} if kind else {}
    merged = {**inner, **record, **of_trakt}
    return {name: "" if value is None else str(value).strip() for name, value in merged.items()}


def _first(record: Mapping[str, str], names: Sequence[str]) -> str:
    return next((record[name] for name in names if record.get(name)), "")


def _given_title(titles: tuple[str, ...]) -> tuple[str, ...]:
    if not titles:
        raise BadRating("missing_field", "no title")
    return titles


def _on_scale(text: str, scale: tuple[float, float]) -> float:
    try:
        rating = float(text)
    except ValueError:
        raise BadRating("wrong_type", f"rating {text[:40]!r} is not a number") from None
    if not scale[0] <= rating <= scale[1]:
        raise BadRating("off_scale", f"rating {text[:40]} is not between {scale[0]:g} and {scale[1]:g}")
    return rating


def _times(times: Sequence[str], now_ms: int) -> Rules:
    """How the times are written."""
    unit, dates, _ = detect_times([time for time in times if time], "", None)
    return Rules(Header(1, 0, 0, 0, 0, unit, dates), -math.inf, math.inf, now_ms)


def _time_ms(text: str, times: Rules) -> int:
    try:
        return round(datetime.strptime(text, _OLD_IMDB_TIME).replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        return time_ms(text, times)
