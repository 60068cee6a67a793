from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CODE = """
import os, sys
from pathlib import Path
from pyspark import SparkContext
from reelstream.settings import load
from reelstream.spark_session import close_session, let_micro_batches_go_first, open_session

session = open_session(load(warehouse=Path(sys.argv[1])))
let_micro_batches_go_first()
for thread in Path(f"/proc/{SparkContext._gateway.proc.pid}/task").glob("*"):
    print((thread / "comm").read_text().strip()[:11], os.getpriority(os.PRIO_PROCESS, int(thread.name)), sep=":")
close_session(session)
"""


def test_only_the_second_compiler_has_a_lower_priority(tmp_path: Path) -> None:
    """In a process of its own: the JVM of the other tests has no second compiler."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("SPARK_")}
    ran = subprocess.run(
        [sys.executable, "-P", "-c", CODE, tmp_path],
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=120,
    )
    own = os.getpriority(os.PRIO_PROCESS, 0)
    threads = {line.partition(":")[0]: int(line.partition(":")[2]) for line in ran.stdout.splitlines()}
    lowered = {name: priority for name, priority in threads.items() if priority != own}
    assert lowered == ({"C2 Compiler": own + 5} if sys.platform == "linux" else {})
