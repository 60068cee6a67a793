"""The Spark session of the stream and of the mllib engine: sized for one machine, quiet, on loopback.

The only place that starts Spark, and it imports Spark when asked: what needs none starts faster without.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from reelstream.broker.java import find_java
from reelstream.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


CLOSE_S = 20.0


def open_session(settings: Settings, *, jars: Sequence[Path] = ()) -> SparkSession:
    """What Spark's JVM says goes to `run/spark.log` of the warehouse. Raises MissingRequirement if there is no Java
    ≥ 17."""
    os.environ["JAVA_HOME"] = str(find_java().resolve().parent.parent)
    os.environ["PYSPARK_PYTHON"] = sys.executable
    local = settings.spark_master.startswith("local")
    if local:
        os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("reelstream").master(settings.spark_master)
    options: dict[str, bool | float | int | str | None] = {
        "spark.jars": ",".join(map(str, jars)),
        "spark.driver.memory": settings.spark_memory,
        "spark.driver.extraJavaOptions": "-XX:+UseParallelGC -Dlog4j2.level=ERROR",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.sql.shuffle.partitions": str(os.cpu_count() or 1) if local else "200",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "100000",
        "spark.sql.streaming.minBatchesToRetain": "2",
    }
    if local:
        options |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    with _stderr_to(settings.warehouse / "run" / "spark.log"), _ctrl_c_as_before():
        session: SparkSession = builder.config(map=options).getOrCreate()
    return session


def close_session(session: SparkSession) -> None:
    """Stops the session and waits until its JVM has ended, which PySpark itself leaves to the end of this process."""
    from pyspark import SparkContext

    gateway = SparkContext._gateway
    session.stop()
    SparkContext._gateway = SparkContext._jvm = None
    process = getattr(gateway, "proc", None)
    if gateway is None or process is None:
        return
    gateway.shutdown()
    process.stdin.close()
    try:
        process.wait(CLOSE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def _ctrl_c_as_before() -> Iterator[None]:
    """Spark puts a handler of its own in the place of the one that is there; whoever opens a session has decided already."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread() and handler is not None:
            signal.signal(signal.SIGINT, handler)


@contextmanager
def _stderr_to(log: Path) -> Iterator[None]:
    """A child process that starts meanwhile writes its errors to the file; this process does too, for that moment."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with log.open("wb") as file:
            os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
