"""In steady state a micro-batch costs one Spark job, whatever it holds and however large the store is."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from reelstream.events import ForgetEvent, RatingEvent
from reelstream.producer.send import RatingProducer
from reelstream.settings import load
from reelstream.store.ratings import RatingsStore
from reelstream.stream.fold_in import FoldInStage
from reelstream.stream.ingest import BatchReport, ingest
from reelstream.stream.parse import parse
from reelstream.stream.source import TopicSource
from tests.fixtures.processes import wait_until

ROUNDS = 3


def test_a_micro_batch_is_one_spark_job(
    warehouse: Path, bootstrap_servers: str, topic: str, spark: SparkSession
) -> None:
    settings = load(warehouse=warehouse, topic=topic, bootstrap_servers=bootstrap_servers)
    store, fold_in = RatingsStore(warehouse), FoldInStage(settings)
    reports: list[BatchReport] = []

    def take(batch: DataFrame, _batch_id: int) -> None:
        reports.append(ingest(batch, store, fold_in))

    records = TopicSource(settings, bootstrap_servers, store).records(spark)
    query = parse(records, rating_min=0.5, rating_max=5.0).writeStream.foreachBatch(take).start()
    try:
        with RatingProducer(bootstrap_servers, topic, {}) as producer:
            for number in range(ROUNDS):
                for user in range(1, 50):
                    producer.send(RatingEvent(user, 1 + number, 4.0, 1_000_000_001_000))
                producer.send(RatingEvent(1, 1, None, 1_000_000_002_000))
                producer.send(ForgetEvent(2, 1_000_000_000_500))  # type: ignore[arg-type]
                producer.flush()
                wait_until(lambda n=number: store.state().accepted == 51 * (n + 1), "all are taken in")  # type: ignore[misc]
        jobs = spark.sparkContext.statusTracker().getJobIdsForGroup(str(query.runId))
    finally:
        query.stop()

    with_events = [report for report in reports if report.accepted]
    assert len(with_events) >= ROUNDS
    assert len(jobs) == len(reports)
