"""The stream: a Spark query from the topic into the warehouse, kept going until it is told to stop.

In: the topic. Out: `ratings/`, `rejects/`, `updates/`, and `run/stream.json` for `reelstream status`.
Next: `stream.trigger`.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery

from reelstream.embedded.jars import spark_kafka_jars
from reelstream.errors import DamagedStore, ReelstreamError
from reelstream.events import RatingEvent
from reelstream.kafka_client import kafka_python_options, load_command_config
from reelstream.settings import Settings
from reelstream.spark_session import close_session, open_session
from reelstream.store import run_files
from reelstream.store.locks import exclusive
from reelstream.store.ratings import RatingsStore
from stream.fold_in import Folder
from stream.ingest import BatchReport, ingest
from stream.parse import parse
from stream.source import records

RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds between the tries to start a failed query again; the last one repeats."""

WATCH_S = 0.2
STATUS_S = 1.0
WARM_UP_EVENTS = 20_000
STOP_S = 30.0
RATE_WINDOW_S = 10.0


class Stream:
    """`with Stream(settings, bootstrap_servers) as stream: stream.wait()`

    Entering raises Busy if another stream runs on this warehouse, BrokerUnavailable, MissingRequirement or DamagedStore
    if it cannot start. Later failures of Kafka or of the disk are tried again, and `wait` raises only what no retry mends.
    """

    def __init__(
        self,
        settings: Settings,
        bootstrap_servers: str,
        on_batch: Callable[[BatchReport], None] | None = None,
    ) -> None:
        self._settings = settings
        self._bootstrap_servers = bootstrap_servers
        self._on_batch = on_batch
        self._stack = ExitStack()
        self._store = RatingsStore(settings.warehouse)
        self._stopping = threading.Event()
        self._in_batch = threading.Lock()
        self._reports: deque[tuple[float, BatchReport]] = deque(maxlen=1000)
        self._error: str | None = None
        self._fatal: ReelstreamError | None = None
        self._restarts = 0
        self._started_at = datetime.now(UTC)

    def __enter__(self) -> Stream:
        try:
            lock = self._settings.warehouse / "run" / "stream.lock"
            self._stack.enter_context(exclusive(lock, "A stream"))
            self._spark = open_session(self._settings, jars=spark_kafka_jars())
            self._stack.callback(close_session, self._spark)
            self._folder = Folder(self._settings)
            self._folder.refresh()
            warm_up(self._spark, self._settings)
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
        source = records(spark, self._settings, self._bootstrap_servers, self._store.state().offsets)
        parsed = parse(source, rating_min=self._settings.rating_min, rating_max=self._settings.rating_max)
        return (
            parsed.writeStream.foreachBatch(self._take)
            .option("checkpointLocation", str(checkpoint.absolute()))
            .trigger(processingTime="0 seconds")
            .start()
        )

    def _take(self, batch: DataFrame, _batch_id: int) -> None:
        with self._in_batch:
            if self._stopping.is_set():
                return
            try:
                report = ingest(batch, self._store, self._folder)
            except ReelstreamError as error:
                self._error = str(error)
                raise
            self._reports.append((time.monotonic(), report))
            self._error = None
            if self._on_batch and report.accepted + report.rejected:
                self._on_batch(report)

    def _keep_query(self) -> None:
        failures = 0
        last_batch = self._store.state().batch
        while not self._stopping.wait(WATCH_S):
            if self._query.isActive:
                continue
            self._error = self._error or _sentence(self._query.exception())
            batch = self._store.state().batch
            failures = failures + 1 if batch == last_batch else 1
            last_batch = batch
            if self._stopping.wait(RETRY_S[min(failures, len(RETRY_S)) - 1]):
                return
            self._restarts += 1
            try:
                self._query = self._start_query(self._spark)
            except DamagedStore as error:
                self._fatal = error
                self._stopping.set()
            except Exception as error:  # whatever Kafka or Spark raise, the next try may mend it
                self._error = _sentence(error)

    def _stop_query(self) -> None:
        idle = self._in_batch.acquire(timeout=STOP_S)  # let the micro-batch end that is going on
        self._query.stop()
        if idle:
            self._in_batch.release()

    def _maintain(self) -> None:
        """Takes up new versions and folds small folders together, beside the micro-batches."""
        while not self._stopping.wait(WATCH_S):
            try:
                self._folder.refresh()
                self._store.compact()
            except Exception as error:  # ingestion goes on; status says what is wrong
                self._error = f"maintenance: {_sentence(error)}"

    def _report_status(self) -> None:
        consumer: KafkaConsumer | None = None
        while not self._stopping.wait(STATUS_S):
            lag = None
            try:
                consumer = consumer or KafkaConsumer(
                    **kafka_python_options(self._bootstrap_servers, load_command_config(self._settings.command_config))
                )
                lag = self._lag(consumer)
            except Exception as error:
                self._error = f"Kafka does not answer: {error}"
            self._write_status("running" if self._query.isActive else "restarting", lag)
        if consumer:
            consumer.close()

    def _lag(self, consumer: KafkaConsumer) -> int:
        topic = self._settings.topic
        taken = self._store.state().offsets.get(topic, {})
        partitions = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic) or ()]
        first, end = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
        return sum(end[tp] - max(taken.get(tp.partition, 0), first[tp]) for tp in partitions)

    def _write_status(self, state: str, lag: int | None) -> None:
        store = self._store.state()
        now = time.monotonic()
        recent = [report for at, report in list(self._reports) if now - at <= RATE_WINDOW_S]
        last = self._reports[-1][1] if self._reports else None
        status: dict[str, Any] = {
            "state": state,
            "pid": os.getpid(),
            "bootstrap_servers": self._bootstrap_servers,
            "topic": self._settings.topic,
            "started_at": self._started_at.isoformat(),
            "updated_at": datetime.now(UTC).isoformat(),
            "batch": store.batch,
            "accepted": store.accepted,
            "rejected": store.rejected,
            "offsets": store.offsets.get(self._settings.topic, {}),
            "lag_events": lag,
            "events_per_s": round(sum(r.accepted + r.rejected for r in recent) / RATE_WINDOW_S, 1),
            "restarts": self._restarts,
            "error": self._error,
        }
        if last:
            status["last_batch"] = {
                "accepted": last.accepted,
                "rejected": last.rejected,
                "users_folded_in": last.users,
                "read_s": round(last.read_s, 4),
                "store_s": round(last.store_s, 4),
                "fold_in_s": round(last.fold_in_s, 4),
            }
        run_files.write(self._settings.warehouse, "stream", status)


def warm_up(spark: SparkSession, settings: Settings) -> None:
    """Parses events of no topic, so that the first micro-batch does not pay for Spark's first job."""
    before, after = RatingEvent(1, 1, settings.rating_max, 0).to_json().decode().split('"user_id":1')
    value = F.concat(F.lit(f'{before}"user_id":'), F.col("id").cast("string"), F.lit(after))
    records = spark.range(1, WARM_UP_EVENTS).select(
        value.cast("binary").alias("value"),
        F.lit("none").alias("topic"),
        F.lit(0).alias("partition"),
        F.col("id").alias("offset"),
        F.current_timestamp().alias("timestamp"),
    )
    parse(records, rating_min=settings.rating_min, rating_max=settings.rating_max).toArrow()


def _sentence(error: Exception | None) -> str | None:
    return str(error).strip().splitlines()[0][:500] if error else None
