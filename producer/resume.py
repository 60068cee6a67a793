"""How far a replay has come, so that the next one can go on from there, also after kill -9.

In: the path of a small state file. Out: how many rows, in time order, Kafka has acknowledged without a gap, and where
in the topic the rows after them begin. Next: `reelstream.producer.send.replay` skips those rows, and every later row that is in
the topic already.

The state is written a few times a second, so a killed replay has sent rows that its state does not count yet. They are
in the topic from the offsets in the state on: a resumed replay reads that tail once, and sends only what is not in it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError, UnsupportedCodecError

from reelstream.errors import BrokerUnavailable, UsageError
from reelstream.kafka_io.connection import connect
from reelstream.kafka_io.properties import kafka_python_options
from reelstream.producer.file_form import Form
from reelstream.producer.packed_file import Packing, bytes_of, size_of
from reelstream.store import pointer

FORMAT = 1
HEAD_BYTES = 1 << 16
READ_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """What tells that a file and the way to read it are still the same: then its rows have the same time order."""

    size_bytes: int
    modified_ns: int
    head_sha256: str
    rating_min: float
    rating_max: float
    form: str = ""
    """What was found of it; empty in the state of an older reelstream."""


@dataclass(frozen=True, slots=True)
class ReplayState:
    """`acked_rows` rows, in time order, are acknowledged; the rows after them are not in the topic before `offsets`.

    `now_ms` is the time of the first replay: what was a bad time then stays one.
    """

    file: FileIdentity
    now_ms: int
    acked_rows: int
    offsets: Mapping[int, int]


def identify(path: Path, form: Form, *, rating_min: float, rating_max: float) -> FileIdentity:
    """Raises UsageError if there is no such file."""
    try:
        size_bytes, modified_ns = size_of(path)
        with bytes_of(path, form.packing if path.is_dir() else Packing()) as (file, _):
            head = hashlib.sha256(file.read(HEAD_BYTES)).hexdigest()
    except OSError as error:
        raise UsageError(f"{path} can't be read ({error.strerror}); give the path of one.") from None
    return FileIdentity(size_bytes, modified_ns, head, rating_min, rating_max, str(form))


def ends_of_last(state_path: Path) -> tuple[float, float] | None:
    """(rating_min, rating_max) of the last replay; None where there was none, or its state can't be read, as `load` says."""
    try:
        file = json.loads(state_path.read_bytes())["file"]
        return float(file["rating_min"]), float(file["rating_max"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def load(state_path: Path, csv_path: Path, file: FileIdentity) -> ReplayState | None:
    """The state of the last replay; None if there was none.

    Raises UsageError if the file or the scale of ratings has changed since, or the state can't be read.
    """
    try:
        content: dict[str, Any] = json.loads(state_path.read_bytes())
        if content.pop("format") != FORMAT:
            raise ValueError("another format")
        saved = FileIdentity(**content.pop("file"))
        offsets = {int(partition): int(offset) for partition, offset in content.pop("offsets").items()}
        state = ReplayState(saved, offsets=offsets, **content)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"{state_path} can't be read ({error}); replay from the start, without --resume.") from None
    if (saved.rating_min, saved.rating_max) != (file.rating_min, file.rating_max):
        raise UsageError(
            f"the last replay of {csv_path} took ratings from {saved.rating_min:g} to {saved.rating_max:g}; "
            "use that scale again, or replay from the start, without --resume."
        )
    if replace(saved, form=saved.form or file.form) != file:
        raise UsageError(f"{csv_path} has changed since the last replay; replay from the start, without --resume.")
    return state


def save(state_path: Path, state: ReplayState, *, durable: bool) -> None:
    """Replaces the state in one step; `durable` also waits for the disk, so that it outlives a power cut."""
    content = json.dumps({"format": FORMAT, **asdict(state)}).encode()
    pointer.write_file(state_path, content, durable=durable)


def end_offsets(bootstrap_servers: str, topic: str, properties: Mapping[str, str]) -> dict[int, int]:
    """The offset of the next record of each partition. Raises BrokerUnavailable, or UsageError without the topic."""
    with _Reader(bootstrap_servers, topic, properties) as reader:
        return reader.ends


def read_since(
    bootstrap_servers: str, topic: str, properties: Mapping[str, str], offsets: Mapping[int, int]
) -> Counter[bytes]:
    """The values of all records from `offsets` on, by how often each one is there.

    Raises BrokerUnavailable, or UsageError if the topic is missing or shorter than that: then it is not the same topic.
    """
    with _Reader(bootstrap_servers, topic, properties) as reader:
        if any(offset > reader.ends.get(partition, 0) for partition, offset in offsets.items()):
            raise UsageError(
                f"topic {topic} has fewer events than the last replay put there; it was recreated. "
                "Replay from the start, without --resume."
            )
        return Counter(reader.values(offsets))


class _Reader:
    """A consumer without a group, on all partitions of one topic."""

    def __init__(self, bootstrap_servers: str, topic: str, properties: Mapping[str, str]) -> None:
        self._bootstrap_servers = bootstrap_servers
        committed = {"enable_auto_commit": False, "isolation_level": "read_committed"}
        options = {**kafka_python_options(bootstrap_servers, properties), **committed}
        self._consumer = connect(KafkaConsumer, options)
        try:
            numbers = self._consumer.partitions_for_topic(topic)
            self._partitions = [TopicPartition(topic, number) for number in numbers or ()]
            self._ends = self._consumer.end_offsets(self._partitions) if numbers else {}
        except KafkaError as error:
            self._consumer.close(autocommit=False)
            raise self._unavailable(error) from error
        if not numbers:
            self._consumer.close(autocommit=False)
            raise UsageError(f"there is no topic {topic} at {bootstrap_servers}; create it first.")

    @property
    def ends(self) -> dict[int, int]:
        return {place.partition: end for place, end in self._ends.items()}

    def values(self, offsets: Mapping[int, int]) -> list[bytes]:
        """All values from `offsets` up to the ends as they were when the reader was made."""
        values: list[bytes] = []
        try:
            begins = self._consumer.beginning_offsets(self._partitions)
            starts = {place: max(offsets.get(place.partition, 0), begin) for place, begin in begins.items()}
            waiting = {place for place, start in starts.items() if start < self._ends[place]}
            self._consumer.assign(list(waiting))
            for place in waiting:
                self._consumer.seek(place, starts[place])
            give_up = time.monotonic() + READ_TIMEOUT_S
            while waiting:
                polled = self._consumer.poll(timeout_ms=500, max_records=5000)
                values += [record.value for records in polled.values() for record in records if record.value]
                waiting = {place for place in waiting if self._consumer.position(place) < self._ends[place]}
                if polled:
                    give_up = time.monotonic() + READ_TIMEOUT_S
                elif time.monotonic() > give_up:
                    raise KafkaTimeoutError(f"nothing came for {READ_TIMEOUT_S:g} s")
        except UnsupportedCodecError:
            raise UsageError(
                "the topic has records that were compressed by snappy or zstd, for which a package is missing: "
                "`pip install python-snappy zstandard`, then resume. The stream reads them as it is."
            ) from None
        except KafkaError as error:
            raise self._unavailable(error) from error
        return values

    def _unavailable(self, error: KafkaError) -> BrokerUnavailable:
        return BrokerUnavailable(
            f"Kafka at {self._bootstrap_servers} can't be read ({error}); start it, then try again."
        )

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_error: object) -> None:
        self._consumer.close(autocommit=False)
