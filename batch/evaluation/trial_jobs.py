"""Trials over Spark, each one a job of one task: on a laptop they fill its cores, on a cluster its executors.

In: trials, and the ratings that all of them share. Out: their rows, as they finish. Next: `reelstream.batch.evaluation.tune`
writes them down. The executors need this package installed; they read and write no file of ours.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from reelstream.batch.evaluation.trials import Material, Trial, row, run
from reelstream.settings import Settings
from reelstream.spark_session import close_session, open_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

AT_ONCE = 64
"""Jobs handed to Spark at once; it runs as many of them as it has cores."""
TAG = "reelstream-tune"
CANCEL_AGAIN_S = 0.1


def over_spark(found: Sequence[Trial], material: Material, settings: Settings, out: Path) -> Iterator[dict[str, Any]]:
    """The row of each trial as soon as it is done. Where this ends early, so do the trials that still run."""
    from py4j.protocol import Py4JJavaError

    with _session(settings, out) as spark, ThreadPoolExecutor(AT_ONCE) as pool:
        context = spark.sparkContext
        shared = context.broadcast(material)

        results: SimpleQueue[dict[str, Any] | Exception] = SimpleQueue()

        def job(trial: Trial) -> None:
            started_at = datetime.now(UTC)
            try:
                context.addJobTag(TAG)
                [done] = context.parallelize([trial], 1).map(lambda one: run(one, shared.value)).collect()
                results.put(done)
            except Py4JJavaError as error:  # the task's process ended: out of memory, or the worker was lost
                results.put(row(trial, started_at, error=str(error.java_exception).splitlines()[0]))
            except Exception as error:
                results.put(error)

        jobs: list[Future[None]] = []
        try:
            for trial in found:  # takes seconds beside the first trials, so Ctrl-C may come here already
                jobs.append(pool.submit(job, trial))
            for _ in found:
                done = results.get()
                if isinstance(done, Exception):
                    raise done
                yield done
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            while any(one.running() for one in jobs):  # some come to Spark only after a call to cancel them
                context.cancelJobsWithTag(TAG)
                time.sleep(CANCEL_AGAIN_S)
            shared.unpersist()


@contextmanager
def _session(settings: Settings, out: Path) -> Iterator[SparkSession]:
    """The session of this process, or one for the time of the trials, whose log is `run/spark.log` in `out`."""
    from pyspark.sql import SparkSession

    running = SparkSession.getActiveSession()
    spark = running or open_session(settings.model_copy(update={"warehouse": out}))
    try:
        yield spark
    finally:
        if running is None:
            close_session(spark)
