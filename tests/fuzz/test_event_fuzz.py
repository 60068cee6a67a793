"""60,000 events, good and bad, through both readers of events and into a store: none lost, none twice, no crash.

Spark's JSON parser may only take what Python's takes, with the same fields; whatever it leaves open is Python's to read.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession

from reelstream.als.factors import ModelSettings
from reelstream.batch.refit import refit
from reelstream.errors import BadRating
from reelstream.events import (
    MAX_BRACKETS,
    MAX_DIGITS,
    REASONS,
    AnyEvent,
    DismissEvent,
    ForgetEvent,
    HideEvent,
    RatingEvent,
    from_json,
)
from reelstream.ids import number_of
from reelstream.settings import load
from reelstream.store.adopted import adopt
from reelstream.store.ratings import RatingsStore
from reelstream.stream.fold_in import FoldInStage
from reelstream.stream.ingest import ingest
from reelstream.stream.parse import check, parse
from tests.fixtures.camps import camps, fill
from tests.fixtures.examples import examples
from tests.fuzz.events import NOW_MS, generate, shown

COUNT = 60_000
INGESTED = 5_000
BATCH = 1_250
TOPIC = "fuzz"
FIELDS = ("forget", "action", "user_id", "movie_id", "rating", "rated_at_ms")
SCALE = {"rating_min": 0.5, "rating_max": 5.0}

Event = AnyEvent
Row = tuple[int, int, float | None, int]


@cache
def events() -> list[bytes]:
    return generate(COUNT)


@cache
def read_by_python() -> list[Event | str]:
    """The event, or the reason why there is none."""
    return [read(raw) for raw in events()]


def read(raw: bytes) -> Event | str:
    try:
        return from_json(raw, **SCALE, now_ms=NOW_MS)
    except BadRating as bad:
        return bad.reason


def fields(event: Event) -> tuple[bool, str | None, int | None, int | None, float | None, int]:
    """What `reelstream.stream.parse` makes of it: the columns FIELDS."""
    user_id, movie_id = (
        None if (own := getattr(event, name, None)) is None else number_of(own) for name in ("user_id", "movie_id")
    )
    rating = single(event.rating) if isinstance(event, RatingEvent) else None
    return isinstance(event, ForgetEvent), action_of(event), user_id, movie_id, rating, event.rated_at_ms


def action_of(event: Event) -> str | None:
    """Of an event about a movie that is no rating."""
    if isinstance(event, DismissEvent):
        return "dismiss" if event.dismissed else "undismiss"
    if isinstance(event, HideEvent):
        return "hide" if event.hidden else "show"
    return None


def has_text(event: Event) -> bool:
    """Whether one of its ids is text."""
    return any(isinstance(getattr(event, name, None), str) for name in ("user_id", "movie_id"))


def single(rating: float | None) -> float | None:
    """As the store keeps it, in 32 bits."""
    return None if rating is None else float(np.float32(rating))


def records(spark: SparkSession, path: Path, raw: list[bytes], first_offset: int = 0) -> DataFrame:
    """Such as Kafka gives."""
    n = len(raw)
    table = pa.table(
        {
            "value": pa.array(raw, pa.binary()),
            "topic": [TOPIC] * n,
            "partition": pa.array([0] * n, pa.int32()),
            "offset": range(first_offset, first_offset + n),
            "timestamp": pa.array([NOW_MS * 1000] * n, pa.timestamp("us", tz="UTC")),
        }
    )
    pq.write_table(table, path)
    return spark.read.parquet(str(path))


def test_each_event_is_taken_or_rejected_with_a_reason() -> None:
    for at, result in enumerate(read_by_python()):
        assert isinstance(result, Event) or result in REASONS, shown(events(), at)

    reasons = Counter(result for result in read_by_python() if isinstance(result, str))
    assert set(reasons) == set(REASONS) - {
        "forgotten",
        "not_in_form",
        "unknown_schema",
    }  # what is generated reaches every rule
    taken = [event for event in read_by_python() if isinstance(event, Event)]
    kinds = Counter((type(event), action_of(event), getattr(event, "rating", None) is None) for event in taken)
    assert len(kinds) == 7
    assert min(kinds.values()) > 900
    assert 15_000 < sum(reasons.values()) < 45_000


def test_what_is_taken_survives_being_written_and_read_again() -> None:
    for at, event in enumerate(read_by_python()):
        if isinstance(event, Event):
            assert read(event.to_json()) == event, shown(events(), at)


def test_spark_takes_only_what_python_takes(spark: SparkSession, tmp_path: Path) -> None:
    parsed = parse(records(spark, tmp_path / "events.parquet", events()), **SCALE).toArrow()

    rows = check(parsed, **SCALE).sort_by("offset").to_pylist()

    assert parsed["raw"].null_count > 4_000  # those that Spark has read
    assert [row["offset"] for row in rows] == list(range(COUNT))
    for at, (raw, expected, row) in enumerate(zip(events(), read_by_python(), rows, strict=True)):
        found = tuple(row[name] for name in FIELDS)
        if isinstance(expected, Event):
            kept = raw if has_text(expected) else None
            assert (row["reason"], row["raw"], found) == (None, kept, fields(expected)), shown(events(), at)
        else:
            wanted = (expected, raw, (False, None, None, None, None, None))
            assert (row["reason"], row["raw"], found) == wanted, shown(events(), at)


def test_a_store_adds_up_after_them(spark: SparkSession, tmp_path: Path) -> None:
    """Accepted and rejected are all that was sent; ratings are as Python reads them, and rejects keep their bytes."""
    warehouse = tmp_path / "warehouse"
    store = fill(warehouse, camps())
    adopt(warehouse, ModelSettings(rating_rank=4, ranking_rank=4), {})
    refit(load(warehouse=warehouse))
    fold_in = FoldInStage(load(warehouse=warehouse))
    assert fold_in.refresh()
    before = store.state()
    sent, expected = events()[:INGESTED], Expected()

    for first in range(0, INGESTED, BATCH):
        batch = sent[first : first + BATCH]
        frame = records(spark, tmp_path / f"{first}.parquet", batch, first)
        report = ingest(parse(frame, **SCALE), store, fold_in)
        assert report.accepted + report.rejected == len(batch)
        expected.take(read_by_python()[first : first + BATCH], first)

    after = store.state()
    assert after.offsets[TOPIC] == {0: INGESTED}
    assert after.accepted - before.accepted == expected.accepted
    assert after.rejected == len(expected.rejected) == INGESTED - expected.accepted
    assert stored(store) == expected.kept()
    assert {user: one.until_ms for user, one in store.forgotten().items()} == expected.until_ms
    rejects = {row["offset"]: row for row in store.read_rejects().to_pylist()}
    assert rejects.keys() == expected.rejected.keys()
    for at, reason in expected.rejected.items():
        kept = None if reason == "forgotten" else sent[at]
        assert rejects[at]["raw"] == kept, shown(events(), at)
        assert (rejects[at]["reason"] == "forgotten") == (kept is None), shown(events(), at)


class Expected:
    """What a store should hold after some micro-batches."""

    def __init__(self) -> None:
        self.accepted = 0
        self.rejected: dict[int, str] = {}
        self.until_ms: dict[int, int] = {}
        self._rated: dict[int, Row] = {}

    def take(self, results: list[Event | str], first_offset: int) -> None:
        asked: dict[int, int] = {}  # also with a text id, which is rejected, but drops the bytes of its micro-batch
        for result in results:
            if isinstance(result, ForgetEvent):
                user_id = number_of(result.user_id)
                asked[user_id] = max(result.rated_at_ms, asked.get(user_id, 0))
                if not has_text(result):
                    self.accepted += 1
                    self.until_ms[user_id] = max(result.rated_at_ms, self.until_ms.get(user_id, 0))
        for offset, result in enumerate(results, first_offset):
            if isinstance(result, str):
                self.rejected[offset] = result
            elif isinstance(result, ForgetEvent | HideEvent):
                self._take(offset, result)
            elif self._forgotten(user_id := number_of(result.user_id), result.rated_at_ms) or (
                result.rated_at_ms <= asked.get(user_id, -1)
            ):
                self.rejected[offset] = "forgotten"
            else:
                self._take(offset, result)

    def _take(self, offset: int, event: Event) -> None:
        if has_text(event):
            self.rejected[offset] = "wrong_type"
            return
        if isinstance(event, RatingEvent):
            user_id, movie_id = number_of(event.user_id), number_of(event.movie_id)
            self._rated[offset] = (user_id, movie_id, single(event.rating), event.rated_at_ms)
        self.accepted += not isinstance(event, ForgetEvent)  # those are counted before

    def kept(self) -> dict[int, Row]:
        """The ratings by offset, without those that a later request covers."""
        return {offset: row for offset, row in self._rated.items() if not self._forgotten(row[0], row[3])}

    def _forgotten(self, user_id: int, rated_at_ms: int) -> bool:
        return rated_at_ms <= self.until_ms.get(user_id, -1)


def stored(store: RatingsStore) -> dict[int, Row]:
    rows = [row for row in store.read().to_pylist() if row["topic"] == TOPIC]
    found = {
        row["offset"]: (row["user_id"], row["movie_id"], row["rating"], milliseconds(row["rated_at"])) for row in rows
    }
    assert len(found) == len(rows)
    return found


def milliseconds(time: datetime) -> int:
    return round((time - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)


@pytest.mark.parametrize(("most", "text"), [(MAX_DIGITS, "7"), (MAX_BRACKETS - 1, "[")])
def test_as_much_as_is_allowed_and_one_more(spark: SparkSession, tmp_path: Path, most: int, text: str) -> None:
    ends = {"7": "", "[": "]"}[text]
    start = b'{"v":1,"user_id":1,"movie_id":2,"rating":3,"rated_at":1000000000004,"x":'
    raw = [start + (text * n + ends * n).encode() + b"}" for n in (most, most + 1)]

    parsed = parse(records(spark, tmp_path / "two.parquet", raw), **SCALE).toArrow()
    rows = check(parsed, **SCALE).sort_by("offset")

    assert rows["reason"].to_pylist() == [None, "oversize"]
    assert [read(one) for one in raw] == [RatingEvent(1, 2, 3.0, 1_000_000_000_004), "oversize"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@examples(500)
@given(
    event=st.dictionaries(
        st.sampled_from(["v", "action", "user_id", "movie_id", "rating", "rated_at", "x"]),
        st.sampled_from([1, 2, 3.5, "rate", "unrate", "forget", "hide", "show", "dismiss", "undismiss"]) | json_values,
    )
)
@example(event={"v": 1, "user_id": 1, "movie_id": 2, "rating": 10**200, "rated_at": 0})
def test_any_json_is_taken_or_rejected(event: dict[str, object]) -> None:
    result = read(json.dumps(event).encode())
    assert result in REASONS if isinstance(result, str) else read(result.to_json()) == result
