"""The stream: a Spark query from the topic into the warehouse, kept going until it is told to stop.

In: the topic. Out: `ratings/`, `rejects/`, `updates/`, and `run/stream.json` for `reelstream status`.
Next: `reelstream.stream.trigger`.
"""

from __future__ import annotations

import math
import os
import shutil
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery

from reelstream.als.scale import Scale
from reelstream.broker.jars import spark_kafka_jars
from reelstream.errors import DamagedStore, ReelstreamError
from reelstream.events import RatingEvent
from reelstream.kafka_io.preflight import check_connection
from reelstream.kafka_io.properties import kafka_python_options, load_command_config
from reelstream.kafka_io.topic_offsets import TopicOffsets
from reelstream.settings import Settings
from reelstream.spark_session import close_session, open_session
from reelstream.store import run_files, unfinished_files
from reelstream.store.locks import exclusive
from reelstream.store.ratings import RatingsStore
from reelstream.stream import clocks
from reelstream.stream.fold_in import FoldInStage
from reelstream.stream.ingest import BatchReport, ingest
from reelstream.stream.maintenance import Maintenance
from reelstream.stream.parse import parse
from reelstream.stream.source import TopicSource
from reelstream.stream.value_form import ValueForm
from reelstream.times import SINCE_MS

RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds between the tries to start a failed query again; the last one repeats."""

WATCH_S = 0.2
STATUS_S = 1.0
WARM_UP_EVENTS = 20_000
STOP_S = 30.0
QUERY = {
    "spark.sql.streaming.stopTimeout": "5s",
    "spark.sql.streaming.checkpointFileManagerClass": "org.apache.spark.sql.execution.streaming.checkpointing."
    "FileSystemBasedCheckpointFileManager",
    "spark.sql.streaming.checkpoint.fileChecksum.enabled": "false",
    "fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    "fs.file.impl.disable.cache": "true",  # else the one with checksums is taken, which Spark has opened by then
}
"""The checkpoint is scratch, so its files need no checksums, Spark's or Hadoop's, and none of the
permissions for which the other manager of local files starts a process. Without these lines a rating takes 0.42 s in the
median until its list is fresh, with them 0.27 s (`bench.freshness --rate 10`, two runs of each in turn)."""
SETTLED_S = 5.0
"""A query that was started again and runs for so long is well, though no event may have come to show it."""
RATE_WINDOW_S = 10.0


class Stream:
    """`with Stream(settings, bootstrap_servers) as stream: stream.wait()`

    Entering raises Busy if another stream runs on this warehouse, BrokerUnavailable, MissingRequirement or DamagedStore
    if it cannot start. Later failures of Kafka or of the disk are retried, and `wait` raises only what no retry mends.
    For `accept_data_loss` see `reelstream.stream.source.TopicSource`. `notice` is told what goes wrong, and when it
    goes well again. `while_starting` is called between the steps of the start; what it raises ends it.
    """

    def __init__(
        self,
        settings: Settings,
        bootstrap_servers: str,
        on_batch: Callable[[BatchReport], None] | None = None,
        *,
        accept_data_loss: bool = False,
        notice: Callable[[str], None] = lambda _text: None,
        while_starting: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._bootstrap_servers = bootstrap_servers
        self._on_batch = on_batch
        self._notice = notice
        self._while_starting = while_starting
        self._stack = ExitStack()
        self._store = RatingsStore(settings.warehouse)
        self._source = TopicSource(
            settings, bootstrap_servers, self._store, accept_data_loss=accept_data_loss, notice=notice
        )
        self._form = ValueForm(settings)
        self._stopping = threading.Event()
        self._in_batch = threading.Lock()
        self._reports: deque[tuple[float, BatchReport]] = deque(maxlen=1000)
        self._error: str | None = None
        self._kafka_error: str | None = None
        self._told: str | None = None
        self._fatal: ReelstreamError | None = None
        self._restarts = 0
        self._implausible_times = 0
        self._started_at = datetime.now(UTC)

    def __enter__(self) -> Stream:
        try:
            lock = self._settings.warehouse / "run" / "stream.lock"
            self._stack.enter_context(exclusive(lock, "A stream"))
            unfinished_files.remove(self._settings.warehouse)
            check_connection(
                kafka_python_options(self._bootstrap_servers, load_command_config(self._settings.command_config))
            )
            self._while_starting()
            self._spark = open_session(self._settings, jars=spark_kafka_jars())
            self._stack.callback(close_session, self._spark)
            self._while_starting()
            for name, value in QUERY.items():
                self._spark.conf.set(name, value)
            self._fold_in = FoldInStage(self._settings)
            self._stack.callback(self._fold_in.quality.close)
            self._fold_in.refresh()
            self._maintenance = Maintenance(self._store, self._fold_in)
            self._while_starting()
            warm_up(self._spark, self._settings, self._form)
            self._while_starting()
            self._query = self._start_query(self._spark)
            for work in (self._keep_query, self._maintain, self._report_status):
                thread = threading.Thread(target=work, name=f"reelstream-{work.__name__.strip('_')}", daemon=True)
                thread.start()
                self._stack.callback(thread.join)
            self._stack.callback(self._stop_query)
            self._stack.callback(self._stopping.set)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._write_status("stopped", lag=None)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Waits for `stop`, or for the time limit; True if the stream has ended. Raises what made it end by itself."""
        ended = self._stopping.wait(timeout_s)
        if self._fatal:
            raise self._fatal
        return ended

    def stop(self) -> None:
        """Asks the stream to end after the micro-batch it is in; any thread and any signal handler may call it."""
        self._stopping.set()

    def _start_query(self, spark: SparkSession) -> StreamingQuery:
        checkpoint = self._settings.warehouse / "run" / "checkpoint"
        shutil.rmtree(checkpoint, ignore_errors=True)
        records = self._source.records(spark)
        self._scale = scale = self._settings.scale
        parsed = parse(records, rating_min=scale.rating_min, rating_max=scale.rating_max, form=self._form)
        return (
            parsed.writeStream.foreachBatch(lambda batch, _batch_id: self._take(batch, scale))
            .option("checkpointLocation", str(checkpoint.absolute()))
            .trigger(processingTime="0 seconds")
            .start()
        )

    def _take(self, batch: DataFrame, scale: Scale) -> None:
        """scale: that the batch was parsed by. Where a first replay has stored another one since, the batch is left to the
        query that `_keep_query` starts; it begins at the store's offsets."""
        with self._in_batch:
            if self._stopping.is_set() or not self._settings.scale.same_ends(scale):
                return
            try:
                report = ingest(batch, self._store, self._fold_in, self._form)
            except ReelstreamError as error:
                self._error = str(error)
                raise
            self._reports.append((time.monotonic(), report))
            self._implausible_times += report.implausible_times
            self._error = None
            if self._on_batch and report.accepted + report.rejected:
                self._on_batch(report)

    def _keep_query(self) -> None:
        failures = 0
        last_batch = self._store.state().batch
        settled_at = math.inf
        while not self._stopping.wait(WATCH_S):
            try:
                if self._query.isActive:
                    if not self._settings.scale.same_ends(self._scale):
                        with suppress(
                            Exception
                        ):  # it may take longer than `stopTimeout`: then the next turn is another try
                            self._query.stop()
                            self._query = self._start_query(self._spark)
                    if time.monotonic() > settled_at:
                        self._error, settled_at = None, math.inf
                    continue
                self._error = self._error or _sentence(self._query.exception())
                batch = self._store.state().batch
                failures = failures + 1 if batch == last_batch else 1
                last_batch = batch
                if self._stopping.wait(RETRY_S[min(failures, len(RETRY_S)) - 1]):
                    return
                self._restarts += 1
                self._query = self._start_query(self._spark)
                settled_at = time.monotonic() + SETTLED_S
            except DamagedStore as error:
                self._fatal = error
                self._stopping.set()
            except Exception as error:  # whatever Kafka or Spark raise, the next try may mend it
                self._error = _sentence(error)

    def _stop_query(self) -> None:
        idle = self._in_batch.acquire(timeout=STOP_S)  # let the micro-batch end that is going on
        with suppress(Exception):  # without a Kafka it takes a minute; it ends with Spark, and only the store counts
            self._query.stop()
        if idle:
            self._in_batch.release()

    def _maintain(self) -> None:
        more = False
        while not self._stopping.wait(0 if more else WATCH_S):
            more = self._maintenance.once()

    def _report_status(self) -> None:
        with ExitStack() as stack:
            topics = [TopicOffsets(self._settings, self._bootstrap_servers, topic) for topic in self._settings.topics]
            for topic in topics:
                stack.callback(topic.close)
            while not self._stopping.wait(STATUS_S):
                lag = self._kafka_error = None
                try:
                    offsets = self._store.state().offsets
                    lag = sum(topic.lag(offsets) for topic in topics)
                except Exception as error:  # what runs is to be told, whatever is wrong with Kafka
                    self._kafka_error = _sentence(error)
                with suppress(DamagedStore):  # `_keep_query` ends the stream then
                    self._write_status("running" if self._query.isActive else "restarting", lag)

    def _write_status(self, state: str, lag: int | None) -> None:
        store = self._store.state()
        now = time.monotonic()
        recent = [report for at, report in list(self._reports) if now - at <= RATE_WINDOW_S]
        last = self._reports[-1][1] if self._reports else None
        maintenance = _sentence(self._maintenance.error)
        error = self._kafka_error or self._error or (maintenance and f"maintenance: {maintenance}")
        self._tell(error)
        status: dict[str, Any] = {
            "state": state,
            "pid": os.getpid(),
            "bootstrap_servers": self._bootstrap_servers,
            "topic": self._settings.topic,
            "topics": {topic: store.offsets.get(topic, {}) for topic in self._settings.topics},
            "started_at": self._started_at.isoformat(),
            "updated_at": datetime.now(UTC).isoformat(),
            "batch": store.batch,
            "accepted": store.accepted,
            "rejected": store.rejected,
            "offsets": store.offsets.get(self._settings.topic, {}),
            "lag_events": lag,
            "events_per_s": round(sum(r.accepted + r.rejected for r in recent) / RATE_WINDOW_S, 1),
            "restarts": self._restarts,
            "accepted_loss": [asdict(gap) for gap in store.lost],
            "error": error,
            "implausible_times": self._implausible_times,
            "clocks_ahead": clocks.recent([report.ahead for _, report in list(self._reports)]).figures(),
            "quality": self._fold_in.quality.summary(),
        }
        if last:
            status["last_batch"] = {
                "accepted": last.accepted,
                "rejected": last.rejected,
                "users_folded_in": last.folded.users,
                **{f"{step}_s": round(seconds, 4) for step, seconds in last.times().items()},
            }
            status["median_batch"] = _medians([report for _, report in self._reports])
        run_files.write(self._settings.warehouse, "stream", status)

    def _tell(self, error: str | None) -> None:
        if error != self._told:
            self._notice(f"retrying until it works: {error}" if error else "recovered")
        self._told = error


def warm_up(spark: SparkSession, settings: Settings, form: ValueForm | None = None) -> None:
    """Parses events of no topic, so that the first micro-batch does not pay for Spark's first job."""
    scale = settings.scale
    before, after = RatingEvent(1, 1, scale.rating_max, SINCE_MS).to_json().decode().split('"user_id":1')
    value = F.concat(F.lit(f'{before}"user_id":'), F.col("id").cast("string"), F.lit(after))
    records = spark.range(1, WARM_UP_EVENTS).select(
        value.cast("binary").alias("value"),
        F.lit("none").alias("topic"),
        F.lit(0).alias("partition"),
        F.col("id").alias("offset"),
        F.current_timestamp().alias("timestamp"),
    )
    parse(records, rating_min=scale.rating_min, rating_max=scale.rating_max, form=form).toArrow()


def _medians(reports: Sequence[BatchReport]) -> dict[str, float]:
    """Of the last micro-batches with events, what each step of them took, and how many events they had."""
    with_events = [report for report in reports if report.accepted + report.rejected]
    if not with_events:
        return {}
    steps = [report.times() for report in with_events]
    medians = {
        f"{step}_s": round(statistics.median(times[step] for times in steps if step in times), 4)
        for step in max(steps, key=len)
    }
    events = statistics.median(report.accepted + report.rejected for report in with_events)
    return {"micro_batches": len(with_events), "events": events, **medians}


def _sentence(error: Exception | None) -> str | None:
    if "No space left on device" in str(error):  # the system's words, in whatever Spark makes of them
        return "no space left on the disk of the warehouse; free some, nothing that was accepted is lost."
    return (str(error).strip() or type(error).__name__).splitlines()[0][:500] if error else None
