"""200 files over form × encoding × compression × header × scale × time × ids: each read exactly, or refused and named."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from reelstream.errors import UsageError
from reelstream.producer.bad_rows import BadRows
from reelstream.producer.file_form import detect
from reelstream.producer.ratings_csv import read_blocks

SEED, FILES, ROWS = 17, 200, 40
NOW_MS = 1_790_000_000_000
DAY_MS = 86_400_000
Row = tuple[int, int, float, int]


def _date(pattern: str) -> Callable[[int], str]:
    return lambda ms: datetime.fromtimestamp(ms / 1000, UTC).strftime(pattern)


FORMS = (",", "\t", ";", "|", "::", "JSON", "JSON list", "Parquet", "Netflix")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252")
COMPRESSIONS = ("none", "gzip", "zip", "zstd", "bz2", "lz4", "xz", "tar")
HEADERS = (
    "userId,movieId,rating,timestamp",
    "Rating,User ID,Title,Item_Id,created_at",
    "título,asin,reviewerID,overall,reviewTime",
    "none",
)
SCALES = ((0.5, 5, 0.5), (1, 10, 1), (0, 100, 1), (0, 1, 1), (-10, 10, 0.25))
TIMES: dict[str, Callable[[int], str]] = {
    "s": lambda ms: str(ms // 1000),
    "s with a point": lambda ms: f"{ms / 1000:.1f}",
    "ms": str,
    "us": lambda ms: str(ms * 1000),
    "ns": lambda ms: str(ms * 1_000_000),
    "ISO": _date("%Y-%m-%dT%H:%M:%SZ"),
    "a space": _date("%Y-%m-%d %H:%M:%S"),
    "day": _date("%Y-%m-%d"),
    "day with slashes": _date("%Y/%m/%d"),
    "day as a number": _date("%Y%m%d"),
    "day with its month": _date("%d-%b-%Y"),
    "month first": _date("%m/%d/%Y %I:%M:%S %p"),
    "day first": _date("%d.%m.%Y %H:%M:%S"),
    "none": lambda _ms: "",
}
IDS: dict[str, Callable[[int], str]] = {
    **dict.fromkeys(("from 1", "from 0", "large"), str),
    "with a point": lambda n: f"{n}.0",
    "text": lambda n: f"tt{n:07}",
}
FIELDS = {
    **dict.fromkeys(("userId", "User ID", "reviewerID"), 0),
    **dict.fromkeys(("movieId", "Item_Id", "asin"), 1),
    **dict.fromkeys(("rating", "Rating", "overall"), 2),
    **dict.fromkeys(("timestamp", "created_at", "reviewTime"), 3),
}


class Kind(NamedTuple):
    form: str
    encoding: str
    compression: str
    header: str
    scale: tuple[float, float, float]
    time: str
    ids: str
    end: str


def kind_of(rng: random.Random) -> Kind:
    kind = Kind(
        *(rng.choice(one) for one in (FORMS, ENCODINGS, COMPRESSIONS, HEADERS, SCALES)),
        *(rng.choice([*one]) for one in (TIMES, IDS)),
        rng.choice(("\n", "\r\n")),
    )
    if kind.form == "Netflix":
        return kind._replace(time="day", header="none")
    if kind.form in ("JSON", "JSON list", "Parquet") and kind.header == "none":
        return kind._replace(header=HEADERS[0])
    return kind


def rows_of(kind: Kind, rng: random.Random) -> list[Row]:
    low, high, step = kind.scale
    first, last = {"from 0": (0, 9), "large": (2**53, 2**63 - 1)}.get(kind.ids, (1, 99_999))
    rows = []
    for _ in range(ROWS):
        ms = rng.randrange(1_000_000_000, 1_780_000_000) * 1000
        if kind.time == "none" or (kind.time.startswith("day") and kind.time != "day first"):
            ms = NOW_MS if kind.time == "none" else ms // DAY_MS * DAY_MS
        stars = float(low + step * rng.randrange(int((high - low) / step) + 1))
        rows.append((rng.randint(first, last), rng.randint(first, last), stars, ms))
    return sorted(rows, key=lambda row: row[1]) if kind.form == "Netflix" else rows


def text_of(kind: Kind, rows: list[Row], rng: random.Random) -> str:
    number = IDS[kind.ids]
    comma = kind.form in (";", "\t") and rng.random() < 0.3
    written = [
        (number(user), number(movie), f"{stars:g}".replace(".", "," if comma else "."), TIMES[kind.time](ms))
        for user, movie, stars, ms in rows
    ]
    if kind.form == "Netflix":
        lines, last = list[str](), ""
        for (user, _, stars, day), (_, movie, *_) in zip(written, rows, strict=True):
            lines += [f"{movie}:"] * (str(movie) != last) + [f"{user},{stars},{day}"]
            last = str(movie)
        return kind.end.join(lines) + kind.end
    names = [name for name in columns(kind) if kind.time != "none" or FIELDS.get(name) != 3]
    values = [{name: row[FIELDS[name]] if name in FIELDS else "Amélie" for name in names} for row in written]
    if kind.form == "JSON":
        return kind.end.join(json.dumps(one, ensure_ascii=False) for one in values) + kind.end
    if kind.form == "JSON list":
        return json.dumps(values, ensure_ascii=False, indent=rng.choice((None, 2)))
    lines = [kind.form.join(one.values()) for one in values]
    return kind.end.join([*([kind.form.join(names)] if kind.header != "none" else []), *lines]) + kind.end


def columns(kind: Kind) -> list[str]:
    return (HEADERS[0] if kind.header == "none" else kind.header).split(",")


def write(kind: Kind, rows: list[Row], rng: random.Random, path: Path) -> None:
    if kind.form == "Parquet":
        names = [name for name in columns(kind) if name in FIELDS and (kind.time != "none" or FIELDS[name] != 3)]
        table: dict[str, Any] = {name: [row[FIELDS[name]] for row in rows] for name in names}
        if kind.ids == "text":
            table |= {name: list(map(IDS["text"], table[name])) for name in names if FIELDS[name] < 2}
        if kind.time != "none":
            times = [TIMES[kind.time](ms) for *_, ms in rows]
            table[next(name for name in names if FIELDS[name] == 3)] = (
                list(map(int, times)) if times[0].isdecimal() else times
            )
        out = io.BytesIO()
        pq.write_table(pa.table({**table, "title": ["a,b"] * ROWS}), out)
        raw = out.getvalue()
    else:
        raw = text_of(kind, rows, rng).encode(kind.encoding)
    if kind.compression == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("data", raw)
    elif kind.compression == "tar":
        with tarfile.open(path, "w:gz") as tar:
            member = tarfile.TarInfo("data")
            member.size = len(raw)
            tar.addfile(member, io.BytesIO(raw))
    elif kind.compression in ("zstd", "lz4"):
        with pa.CompressedOutputStream(str(path), kind.compression) as stream:
            stream.write(raw)
    else:
        path.write_bytes(
            {"gzip": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}.get(kind.compression, bytes)(raw)
        )


def read(path: Path, kind: Kind) -> tuple[list[Row], list[str]]:
    bad, form = BadRows(path), detect(path)
    scale = {"rating_min": kind.scale[0], "rating_max": kind.scale[1]}
    texts = dict[int, str]()
    blocks = read_blocks(path, **scale, now_ms=NOW_MS, on_bad=bad.add, form=form, texts=texts)
    rows = [row for block in blocks for row in block.rows.tolist()]
    if kind.ids == "text":  # to the numbers in them
        user, movie = (
            {number: int(text.removeprefix("tt")) for number, text in texts.items()}
            if name in form.header.text_ids
            else {}
            for name in ("user_id", "movie_id")
        )
        rows = [(user.get(one, one), movie.get(other, other), *rest) for one, other, *rest in rows]
    bad.refuse_if_most(len(rows), form)
    return rows, [row.reason for row in bad.first]


def test_each_generated_file_is_read_exactly_or_refused_and_named(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    seen: dict[str, Counter[Any]] = {name: Counter() for name in Kind._fields}
    refused = Counter[str]()
    for n in range(FILES):
        kind, path = kind_of(rng), tmp_path / f"{n}"
        rows = rows_of(kind, rng)
        write(kind, rows, rng, path)
        try:
            found, reasons = read(path, kind)
        except UsageError as error:
            refused[f"{kind.form}: {error}".replace(str(path), "FILE").replace(kind.compression, "so")] += 1
            continue
        assert (found, reasons) == (rows, []), kind
        for name, value in kind._asdict().items():
            seen[name][value] += 1

    assert set(refused) <= {"Parquet: FILE is a Parquet file, so-compressed as a whole; unpack it."}
    assert refused.total() < FILES / 6
    for name, values in zip(Kind._fields, (FORMS, ENCODINGS, COMPRESSIONS, HEADERS, SCALES, TIMES, IDS), strict=False):
        assert set(seen[name]) == {*values}, name
