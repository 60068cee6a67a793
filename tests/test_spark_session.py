from __future__ import annotations

import os
import sys
from pathlib import Path

from pyspark import SparkContext
from pyspark.sql import SparkSession

from reelstream.spark_session import let_micro_batches_go_first


def test_only_the_second_compiler_has_a_lower_priority(spark: SparkSession) -> None:
    let_micro_batches_go_first()

    process = SparkContext._gateway.proc  # type: ignore[union-attr]
    priority = {
        (thread / "comm").read_text().strip(): os.getpriority(os.PRIO_PROCESS, int(thread.name))
        for thread in Path(f"/proc/{process.pid}/task").glob("*")
    }
    own = os.getpriority(os.PRIO_PROCESS, 0)
    lowered = {name[:11]: value for name, value in priority.items() if value != own}
    assert lowered == ({"C2 Compiler": own + 5} if sys.platform == "linux" else {})
