from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reelstream.broker.embedded import EmbeddedBroker, running_broker
from reelstream.broker.loopback import choose_ports, kafka_answers
from reelstream.errors import BrokerUnavailable, Busy, MissingRequirement, UsageError
from reelstream.kafka_io.topic import ensure_topic
from reelstream.store.run_files import process_lives

ENDS_WITHIN_S = 15
PARENT = """
import os, sys, time
from pathlib import Path
from reelstream.broker.embedded import EmbeddedBroker
broker = EmbeddedBroker(Path(sys.argv[1]))
broker.start()
child = os.fork()  # a forked child must not keep the broker alive
if child:
    print(broker.pid, child, flush=True)
time.sleep(120)
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


def test_records_survive_a_restart_and_a_kill(tmp_path: Path) -> None:
    directory = tmp_path / "wäre house, no=1" / "broker"
    broker = EmbeddedBroker(directory)
    broker.start()
    first_address, first_jvm = broker.bootstrap_servers, jvm_of(broker)
    assert ensure_topic(first_address, "ratings", 3, {}) == 3
    send(first_address, b"one")
    assert received(first_address) == [b"one"]
    broker.stop()
    assert not broker.alive()
    assert not process_lives(first_jvm)
    assert running_broker(directory) is None
    assert not (directory / "broker.json").exists()

    broker.start()
    assert broker.bootstrap_servers == first_address
    assert received(first_address) == [b"one"]
    send(first_address, b"two")
    os.kill(jvm_of(broker), signal.SIGKILL)
    wait_until(lambda: not broker.alive())
    assert broker.poll() == 128 + signal.SIGKILL
    assert running_broker(directory) is None
    broker.stop()

    with EmbeddedBroker(directory) as again:
        assert received(again.bootstrap_servers) == [b"one", b"two"]


def test_the_jvm_ends_with_a_killed_parent_and_the_directory_is_free_again(tmp_path: Path) -> None:
    directory = tmp_path / "broker"
    with subprocess.Popen([sys.executable, "-c", PARENT, str(directory)], stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout
            jvm, forked = (int(word) for word in parent.stdout.readline().split())
            assert process_lives(jvm)
            assert running_broker(directory)
        finally:
            parent.kill()
    try:
        with EmbeddedBroker(directory) as broker:  # waits until the old JVM has let go
            assert not process_lives(jvm)
            assert broker.alive()
    finally:
        os.kill(forked, signal.SIGKILL)


def test_it_is_found_through_its_directory(running: EmbeddedBroker) -> None:
    assert running_broker(running.data_dir) == running.bootstrap_servers
    announced = json.loads((running.data_dir / "broker.json").read_text())
    assert announced["pid"] == running.pid
    assert set(announced) == {"bootstrap_servers", "pid", "started_at"}
    assert "Kafka Server started" in running.log_path.read_text()


def test_another_brokers_port_in_a_stale_file_is_not_ours(running: EmbeddedBroker, tmp_path: Path) -> None:
    (tmp_path / "broker.json").write_text(json.dumps({"bootstrap_servers": running.bootstrap_servers, "pid": 1}))
    (tmp_path / "lock").write_text("1")
    assert running_broker(tmp_path) is None


def test_a_second_broker_on_the_directory_is_refused(running: EmbeddedBroker) -> None:
    with pytest.raises(Busy, match="another broker runs on"):
        EmbeddedBroker(running.data_dir).start()
    with pytest.raises(Busy, match="runs already"):
        running.start()
    assert running_broker(running.data_dir) == running.bootstrap_servers


def test_a_taken_port_is_named(running: EmbeddedBroker, tmp_path: Path) -> None:
    port = int(running.bootstrap_servers.rpartition(":")[2])
    second = EmbeddedBroker(tmp_path, port=port)
    with pytest.raises(UsageError, match=f"port {port} is taken"):
        second.start()
    with pytest.raises(UsageError, match="70000 is not a port"):
        EmbeddedBroker(tmp_path, port=70000).start()
    assert not second.alive()


def test_a_port_lost_to_another_broker_is_replaced(
    running: EmbeddedBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = int(running.bootstrap_servers.rpartition(":")[2])
    calls: list[int | None] = []

    def choose(port: int | None, last: tuple[int, int] | None) -> tuple[int, int]:
        calls.append(port)
        return (taken, choose_ports(None, None)[1]) if len(calls) == 1 else choose_ports(port, last)

    monkeypatch.setattr("reelstream.broker.embedded.choose_ports", choose)
    with EmbeddedBroker(tmp_path) as second:
        assert second.bootstrap_servers != running.bootstrap_servers
    assert len(calls) == 2
    assert running.alive()


def test_it_listens_on_loopback_only(running: EmbeddedBroker) -> None:
    if Path("/proc/net/tcp").exists():
        addresses = listening_addresses(jvm_of(running))
        assert len(addresses) == 2  # broker and controller
        assert {address[-8:] for address in addresses} == {"0100007F"}
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: only asks which of our addresses would be used
        outside = probe.getsockname()[0]
    port = int(running.bootstrap_servers.rpartition(":")[2])
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((outside, port), 2).close()


def test_ctrl_c_in_the_terminal_does_not_reach_it(running: EmbeddedBroker) -> None:
    assert os.getsid(jvm_of(running)) != os.getsid(0)


def test_a_kafka_that_ends_early_says_why(tmp_path: Path) -> None:
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "meta.properties").write_text("version=1\nnode.id=2\ncluster.id=other\n")
    broker = EmbeddedBroker(tmp_path)
    with pytest.raises(BrokerUnavailable, match=r"ended while it started \(.*node.id.*\); its log is .*broker\.log"):
        broker.start()
    assert not broker.alive()


def test_what_fails_in_a_start_that_was_asked_to_end_is_no_error(tmp_path: Path) -> None:
    """Ctrl-C may reach a tool of Kafka too, before it has a session of its own."""
    asked = False

    def check() -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        (tmp_path / "kafka").mkdir()  # without its meta.properties, so that the next step fails
        asked = True

    with pytest.raises(KeyboardInterrupt):
        EmbeddedBroker(tmp_path, while_starting=check).start()

    with pytest.raises(BrokerUnavailable, match=r"has no meta\.properties"):
        EmbeddedBroker(tmp_path).start()


def test_a_directory_that_cannot_be_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MissingRequirement, match="can't be kept in"):
        EmbeddedBroker(tmp_path / "file" / "broker").start()
    with pytest.raises(BrokerUnavailable, match="not started"):
        _ = EmbeddedBroker(tmp_path).bootstrap_servers


def test_silence_is_no_answer() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        assert not kafka_answers(deaf.getsockname()[1])


def jvm_of(broker: EmbeddedBroker) -> int:
    assert broker.pid
    return broker.pid


def send(bootstrap_servers: str, value: bytes) -> None:
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=bootstrap_servers)
    try:
        producer.send("ratings", value, key=b"1").get(timeout=10)
    finally:
        producer.close()


def received(bootstrap_servers: str) -> list[bytes]:
    """The values of all records of the topic."""
    from kafka import KafkaConsumer, TopicPartition

    partitions = [TopicPartition("ratings", number) for number in range(3)]
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest", consumer_timeout_ms=10_000
    )
    try:
        consumer.assign(partitions)
        expected = sum(consumer.end_offsets(partitions).values())
        return [record.value for record in itertools.islice(consumer, expected)]
    finally:
        consumer.close()


def listening_addresses(pid: int) -> list[str]:
    """Local addresses, in the kernel's hexadecimal, of the sockets on which a process listens."""
    links = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(str(descriptor.readlink()))
        except FileNotFoundError:
            continue  # closed in between
    rows = [
        row.split()
        for table in ("tcp", "tcp6")
        if Path(f"/proc/net/{table}").exists()
        for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    return [row[1].partition(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in links]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ENDS_WITHIN_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
