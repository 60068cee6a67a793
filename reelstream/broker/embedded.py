"""The embedded Kafka broker: Apache Kafka itself (KRaft, one node) in a child JVM, with its data in one directory.

In: a data directory, the jars, Java. Out: `bootstrap_servers` that answer until `stop`, or until this process ends in
whatever way. Next: `reelstream.producer.send` and `reelstream.stream.source`.

    kafka/         the topics               server.properties   written before each start
    broker.log     what the broker says     broker.json         address and pid, while it answers
    lock           held by this process and by the JVM
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from reelstream.broker import directory_lock
from reelstream.broker.child_jvm import ChildJvm, environment, java_command
from reelstream.broker.jars import kafka_broker_jars
from reelstream.broker.java import find_java
from reelstream.broker.loopback import HOST, choose_ports, kafka_answers
from reelstream.broker.server_properties import LOG_DIRECTORY, LOGGING, ports_of, server_properties
from reelstream.errors import BrokerUnavailable, Busy, ReelstreamError
from reelstream.kafka_io.connection import admin_client

FORMAT_HEAP_MB = 128
FORMAT_TIMEOUT_S = 60
CONNECT_TIMEOUT_MS = 2000
LOG_KEPT_BYTES = 10_000_000
POLL_S = 0.05


class EmbeddedBroker:
    """One broker on one data directory. `with EmbeddedBroker(directory) as broker:` starts and stops it.

    `port`: None takes the last port of this directory if it is free, else any. `heap_mb` bounds the JVM's heap.
    `progress` gets a line of text before each slow step of the very first start. `while_starting` is called between the
    steps of a start; what it raises ends it.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        heap_mb: int = 512,
        progress: Callable[[str], None] | None = None,
        while_starting: Callable[[], None] = lambda: None,
    ) -> None:
        self.data_dir = Path(data_dir).absolute()
        self.log_path = self.data_dir / "broker.log"
        self._asked_port = port
        self._port: int | None = None
        self._heap_mb = heap_mb
        self._progress = progress
        self._while_starting = while_starting
        self._log_start_bytes = 0
        self._lock: IO[str] | None = None
        self._jvm: ChildJvm | None = None

    @property
    def bootstrap_servers(self) -> str:
        """`127.0.0.1:PORT`. Raises BrokerUnavailable before the first start."""
        if self._port is None:
            raise BrokerUnavailable("the embedded broker was not started; call start() first.")
        return f"{HOST}:{self._port}"

    @property
    def pid(self) -> int | None:
        """Process id of the JVM; None when there is none."""
        return self._jvm.pid if self._jvm else None

    def start(self, timeout_s: float = 60.0) -> None:
        """Returns when the broker answers.

        Raises Busy if another broker runs on the directory, UsageError if the port that was asked for is taken,
        MissingRequirement without Java, jars or disk, BrokerUnavailable if Kafka ends early or takes too long.
        """
        try:
            self._start(timeout_s)
        except ReelstreamError:
            self._while_starting()  # a program that ended because Ctrl-C reached it as well is no failure
            raise

    def stop(self) -> None:
        """Ends the JVM in order, after a time limit by force; leaves no process. Does nothing if nothing runs."""
        if not self._lock:
            return
        (self.data_dir / "broker.json").unlink(missing_ok=True)
        self._end_jvm()
        self._lock.close()
        self._lock = None

    def poll(self) -> int | None:
        """Exit code of a JVM that has ended by itself; None while it runs, and while none was started."""
        return self._jvm.poll() if self._jvm else None

    def alive(self) -> bool:
        return self._jvm is not None and self._jvm.poll() is None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self, timeout_s: float) -> None:
        if self._lock:
            raise Busy(f"this broker runs already on {self.data_dir}; stop it first.")
        java, jars = find_java(), kafka_broker_jars(self._progress)  # 1. what it needs
        self._lock = directory_lock.take(self.data_dir)  # 2. the directory is ours
        try:
            deadline = time.monotonic() + timeout_s
            while True:
                self._write_files()  # 3. ports and files
                self._while_starting()
                self._format(java, jars)  # 4. the first time: an empty log
                self._while_starting()
                self._spawn(java, jars, self._lock)  # 5. the JVM
                if self._wait_until_ready(deadline):  # 6. it answers
                    break
                self._end_jvm()  # another program was first at a port: once more with others
            self._announce()  # 7. others may find it
        except BaseException:
            self.stop()
            raise

    def _write_files(self) -> None:
        config = self.data_dir / "server.properties"
        last = ports_of(config.read_text("utf-8")) if config.exists() else None
        self._port, controller_port = choose_ports(self._asked_port, last)
        config.write_text(server_properties(self._port, controller_port), "utf-8")
        (self.data_dir / "log4j2.properties").write_text(LOGGING, "utf-8")
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_KEPT_BYTES:
            self.log_path.replace(self.log_path.with_name("broker.log.1"))
        self.log_path.touch()
        self._log_start_bytes = self.log_path.stat().st_size

    def _format(self, java: Path, jars: list[Path]) -> None:
        """Kafka's own format tool, in a directory aside that one rename puts in place."""
        kafka = self.data_dir / LOG_DIRECTORY
        if (kafka / "meta.properties").exists():
            return
        if kafka.exists():
            raise BrokerUnavailable(
                f"{kafka} has no meta.properties, so Kafka can't read it; move it away to start anew."
            )
        aside, config = self.data_dir / f"{LOG_DIRECTORY}.new", self.data_dir / "format.properties"
        shutil.rmtree(aside, ignore_errors=True)
        config.write_text(server_properties(1, 2, log_directory=aside.name), "utf-8")
        cluster_id = base64.urlsafe_b64encode(b"r" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
        tool = ("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", config.name)
        with self.log_path.open("ab") as log:
            code = subprocess.run(
                java_command(java, jars, FORMAT_HEAP_MB, *tool),
                cwd=self.data_dir,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=FORMAT_TIMEOUT_S,
                check=False,
                start_new_session=True,  # Ctrl-C in the terminal does not reach it
            ).returncode
        config.unlink()
        if code or not (aside / "meta.properties").exists():
            raise BrokerUnavailable(
                f"Kafka could not prepare its directory{self._reason()}; its log is {self.log_path}."
            )
        aside.rename(kafka)

    def _spawn(self, java: Path, jars: list[Path], lock: IO[str]) -> None:
        command = java_command(java, jars, self._heap_mb, "kafka.Kafka", "server.properties")
        self._jvm = ChildJvm(command, self.data_dir, self.log_path.name, lock)

    def _wait_until_ready(self, deadline: float) -> bool:
        """True when the broker is ready; False if another program was first at a port.

        Raises BrokerUnavailable if the JVM has ended for another reason, or at the deadline.
        """
        answers = False
        while time.monotonic() < deadline:
            if not self.alive():
                if "Address already in use" in self._said() and self._asked_port is None:
                    return False
                raise BrokerUnavailable(f"Kafka ended while it started{self._reason()}; its log is {self.log_path}.")
            answers = answers or kafka_answers(self._port or 0)
            if answers and self._is_ready():
                return True
            self._while_starting()
            time.sleep(POLL_S)
        raise BrokerUnavailable(f"Kafka did not answer in time; its log is {self.log_path}.")

    def _is_ready(self) -> bool:
        """It answers a moment before its controller lets it serve; topics can be made only then.

        The cluster's id tells it from another broker that was first at the port.
        """
        from kafka.errors import KafkaError

        try:
            with admin_client({"bootstrap_servers": self.bootstrap_servers}, CONNECT_TIMEOUT_MS) as admin:
                cluster = admin.describe_cluster()
        except KafkaError:
            return False
        ours = (
            f"cluster.id={cluster['cluster_id']}\n" in (self.data_dir / LOG_DIRECTORY / "meta.properties").read_text()
        )
        return ours and bool(cluster["brokers"])

    def _reason(self) -> str:
        """What went wrong since this start, in the log's words."""
        said = self._said()
        found = re.search(r"^[\w.$]+(?:Exception|Error): (.+)$", said, re.MULTILINE) or re.search(r"(Error.+)", said)
        return f" ({found[1].strip()[:300]})" if found else ""

    def _said(self) -> str:
        """What the log got since this start, its last 100 kB."""
        with self.log_path.open("rb") as log:
            log.seek(max(self._log_start_bytes, self.log_path.stat().st_size - 100_000))
            return log.read().decode("utf-8", "replace")

    def _announce(self) -> None:
        started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        announced = {"bootstrap_servers": self.bootstrap_servers, "pid": self.pid, "started_at": started_at}
        aside = self.data_dir / "broker.json.new"
        aside.write_text(json.dumps(announced), "utf-8")
        aside.replace(self.data_dir / "broker.json")

    def _end_jvm(self) -> None:
        if self._jvm:
            self._jvm.end()
            self._jvm = None


def running_broker(data_dir: Path) -> str | None:
    """`bootstrap_servers` of the broker that runs on this directory and answers; None if there is none."""
    directory = Path(data_dir)
    try:
        announced = json.loads((directory / "broker.json").read_text("utf-8"))
        port = int(str(announced["bootstrap_servers"]).rpartition(":")[2])
        if not directory_lock.is_held(directory):
            return None  # left by a broker that was killed: its port may be another directory's by now
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return f"{HOST}:{port}" if kafka_answers(port) else None
