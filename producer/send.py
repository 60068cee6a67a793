"""Ratings into Kafka: a whole ratings.csv (`replay`), or live ratings (`RatingProducer.rate_live`).

In: a CSV file, or a user and their stars. Out: records on the topic, key = user id, value = the event's JSON.
Next: `reelstream.stream.source` reads them.

A replay takes these steps:

1. one replay at a time of a file to a topic   2. where to begin: at row 1, or after the last one (`reelstream.producer.resume`)
3. the rows in time order (`reelstream.producer.sort`)    4. those that are in the topic already left out
5. each at its time (`reelstream.producer.pace`)          6. sent; what is acknowledged is counted, and written down
"""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice, starmap
from pathlib import Path

from reelstream.errors import BrokerUnavailable
from reelstream.events import RatingEvent
from reelstream.producer import resume as resuming
from reelstream.producer.bad_rows import BadRows
from reelstream.producer.file_form import Form, detect
from reelstream.producer.pace import check_pace, pace
from reelstream.producer.packed_file import ratings_file
from reelstream.producer.rating_producer import DELIVERY_TIMEOUT_S, MAX_PENDING, RatingProducer, new_user_id
from reelstream.producer.ratings_csv import BadRow, Block, read_blocks
from reelstream.producer.sort import MEMORY_ROWS, Row, in_time_order
from reelstream.store.locks import exclusive

__all__ = ["RatingProducer", "ReplayResult", "new_user_id", "replay"]

CHECK_EVENTS = 128
SAVE_EVERY_S = 0.5
SAVE_EVERY_EVENTS = 20_000
MAX_AHEAD_OF_STATE = SAVE_EVERY_EVENTS + MAX_PENDING + CHECK_EVENTS
"""Most events that a killed replay has sent beyond what its state counts."""
GC_THRESHOLD = 200_000


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """`sent` and `acked` count this run's events, `skipped_by_resume` the rows that an earlier run had brought into the
    topic. `bad_rows` counts all of the file's; `first_bad` has the first FIRST_BAD_KEPT of them."""

    sent: int
    acked: int
    bad_rows: int
    skipped_by_resume: int
    seconds: float
    events_per_s: float
    first_bad: list[BadRow]


def replay(
    csv_path: Path,
    *,
    bootstrap_servers: str,
    topic: str,
    state_path: Path,
    rating_min: float,
    rating_max: float,
    properties: Mapping[str, str] | None = None,
    rate_per_s: float | None = None,
    speed: float | None = None,
    limit: int | None = None,
    resume: bool = False,
    strict: bool = False,
    progress: Callable[[int, int, float], None] | None = None,
    notice: Callable[[str], None] = lambda _text: None,
    memory_rows: int = MEMORY_ROWS,
    delivery_timeout_s: float = DELIVERY_TIMEOUT_S,
    form: Form | None = None,
    before_sending: Callable[[], None] = lambda: None,
) -> ReplayResult:
    """Sends the rows of a file of ratings in time order, and returns when all of them are acknowledged.

    `rate_per_s` and `speed` set the pace, see `reelstream.producer.pace`; `limit` is the most events to send.
    `progress` gets, a few times a second, the events acknowledged, the events to send, and the events per second since
    the start. `notice` gets lines of text for the user. `properties` are those of a Java client.properties (SASL, TLS).
    `memory_rows` is how many rows are sorted in memory; more are sorted on disk, beside `state_path`. An event that the
    broker does not acknowledge within `delivery_timeout_s` has failed. form: None is found out. `before_sending` is called
    once all rows are read and Kafka is there; what it raises ends the replay.

    Without `resume` the first row is the first in time, and an older state is overwritten. With it, the rows that the
    state at `state_path` counts as acknowledged are left out, and those that an interrupted run sent after it wrote its
    state are found in the topic and left out too. So each row is there once, also after kill -9. A row comes twice only
    if the broker takes in a request of the killed run later than the resumed run reads the end of the topic: at most
    MAX_PENDING events, and harmless, since the latest rating of a (user, movie) counts. An acknowledged event that is
    equal to a row in every field counts as that row.

    Raises UsageError for a file of no form that is known, one that most rows of would be rejected, a bad row if `strict`
    (all of it before anything is sent), or a file that changed before a resume; BrokerUnavailable as soon as a delivery
    failed; MissingRequirement if the disk is full; Busy if another replay of the file runs. What was acknowledged by then is
    in the state.
    """
    check_pace(rate_per_s, speed)
    started = time.perf_counter()
    properties = properties or {}
    csv_path = ratings_file(csv_path)
    form = form or detect(csv_path)
    bad = BadRows(csv_path, strict)
    file = resuming.identify(csv_path, form, rating_min=rating_min, rating_max=rating_max)
    with exclusive(state_path.with_suffix(".lock"), f"a replay of {csv_path.name}"):  # 1
        state = resuming.load(state_path, csv_path, file) if resume else None  # 2
        there: Counter[bytes] = Counter()
        if state:
            there = resuming.read_since(bootstrap_servers, topic, properties, state.offsets)
        else:
            ends = resuming.end_offsets(bootstrap_servers, topic, properties)
            state = resuming.ReplayState(file, time.time_ns() // 1_000_000, 0, ends)
            if resume:
                notice(f"There is no earlier replay of {csv_path} to resume; it starts at the first row.")
        now_ms, texts = state.now_ms, dict[int, str]()

        def read() -> Iterator[Block]:
            bad.clear()
            scale = {"rating_min": rating_min, "rating_max": rating_max}
            yield from read_blocks(csv_path, **scale, now_ms=now_ms, on_bad=bad.add, form=form, texts=texts)

        with (
            in_time_order(  # 3
                read,
                directory=state_path.with_suffix(".sort"),
                size_bytes=file.size_bytes,
                memory_rows=memory_rows,
                notice=notice,
            ) as order,
            RatingProducer(bootstrap_servers, topic, properties, delivery_timeout_s=delivery_timeout_s) as producer,
        ):
            bad.refuse_if_most(order.total, form)
            before_sending()
            to_send = max(order.total - state.acked_rows, 0)
            if limit is not None:
                to_send = min(to_send, limit)
            journal = _Journal(state_path, state, producer, progress, to_send, bool(there))
            rest = _events(islice(order.rows, state.acked_rows, None), form, texts)
            events = islice(_not_there(rest, there, producer), limit)  # 4
            with journal, _rare_collections():
                for number, event in enumerate(  # 5
                    pace(events, rate_per_s=rate_per_s, speed=speed, sleep=journal.sleep)
                ):
                    producer.send(event)  # 6
                    if number % CHECK_EVENTS == 0:
                        journal.update()
                producer.flush()
    seconds = time.perf_counter() - started
    return ReplayResult(
        sent=producer.sent,
        acked=producer.acked,
        bad_rows=bad.count,
        skipped_by_resume=state.acked_rows + producer.settled - producer.acked,
        seconds=seconds,
        events_per_s=producer.acked / seconds,
        first_bad=bad.first,
    )


def _events(rows: Iterable[Row], form: Form, texts: Mapping[int, str]) -> Iterator[RatingEvent]:
    """texts: of ids that are text in the file."""
    if not form.header.text_ids:
        return starmap(RatingEvent, rows)
    users, movies = (texts if name in form.header.text_ids else {} for name in ("user_id", "movie_id"))
    return (
        RatingEvent(users.get(user, user), movies.get(movie, movie), stars, at_ms) for user, movie, stars, at_ms in rows
    )


def _not_there(events: Iterable[RatingEvent], there: Counter[bytes], producer: RatingProducer) -> Iterator[RatingEvent]:
    """The events but those in `there`, which can only be among the first MAX_AHEAD_OF_STATE."""
    events = iter(events)
    if there:
        for event in islice(events, MAX_AHEAD_OF_STATE):
            value = event.to_json()
            if there[value] > 0:
                there[value] -= 1
                producer.count_as_sent()
            else:
                yield event
    yield from events


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Python looks for garbage after every 700 new objects, and walks the thousands of pending events each time, none of which
    is garbage. Looking less often takes a tenth off the time (`bench.replay`, in turn)."""
    before = gc.get_threshold()
    gc.set_threshold(GC_THRESHOLD)
    try:
        yield
    finally:
        gc.set_threshold(*before)


class _Journal:
    """Tells the caller and the state file how far it is: a few times a second, and at the end, however it ends."""

    def __init__(
        self,
        state_path: Path,
        state: resuming.ReplayState,
        producer: RatingProducer,
        progress: Callable[[int, int, float], None] | None,
        to_send: int,
        overlaps: bool,
    ) -> None:
        self._state_path, self._start, self._producer = state_path, state, producer
        self._progress, self._to_send = progress, to_send
        self._overlap = MAX_AHEAD_OF_STATE if overlaps else 0
        self._began_s = self._saved_s = time.monotonic()
        self._saved_settled = 0

    def update(self) -> None:
        self._producer.collect()
        now_s = time.monotonic()
        if now_s - self._saved_s >= SAVE_EVERY_S or self._producer.settled - self._saved_settled >= SAVE_EVERY_EVENTS:
            self._save(durable=False)
            self._report()
            self._saved_s = now_s

    def sleep(self, seconds: float) -> None:
        self.update()
        time.sleep(seconds)

    def _save(self, *, durable: bool) -> None:
        settled = self._producer.settled
        # Until every row that an earlier run may have sent is settled, that run's part of the topic stays of interest.
        offsets = self._producer.offsets if settled >= self._overlap else {}
        state = replace(
            self._start, acked_rows=self._start.acked_rows + settled, offsets={**self._start.offsets, **offsets}
        )
        resuming.save(self._state_path, state, durable=durable)
        self._saved_settled = settled

    def _report(self) -> None:
        if self._progress:
            acked = self._producer.acked
            self._progress(acked, self._to_send, acked / max(time.monotonic() - self._began_s, 1e-9))

    def __enter__(self) -> None:
        self._save(durable=True)

    def __exit__(self, *_error: object) -> None:
        with suppress(BrokerUnavailable):  # it is on its way to the caller already
            self._producer.collect()
        self._save(durable=True)
        self._report()
