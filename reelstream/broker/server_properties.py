"""The files that the broker's JVM reads: server.properties and its logging.

In: the ports. Out: the text of the files. Next: `reelstream.broker.embedded`, which writes them before each start.

All paths in them are relative to the data directory, which is the JVM's working directory: it may be moved, and its name may
hold a comma, a blank or any letter.
"""

from __future__ import annotations

import re

LOG_DIRECTORY = "kafka"

_SERVER = """\
# Written before each start; changes made by hand are lost.
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={log_directory}
num.partitions=4
# Nothing is ever deleted by age: the topic is the first record of each rating.
log.retention.ms=-1
# One broker: one copy, and one partition of each internal topic.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
# A killed broker's session must end before the next start may register: 9 s by default.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=250
# Sized for one machine: the cleaner's default buffer alone is 128 MB of heap.
log.cleaner.dedupe.buffer.size=8388608
num.network.threads=2
num.io.threads=4
"""

# Everything goes to the JVM's output, which is broker.log: also what the JVM itself says when it fails.
LOGGING = """\
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = [%d] %p %m (%c)%n
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
logger.config.name = org.apache.kafka.common.config
logger.config.level = warn
"""


def server_properties(port: int, controller_port: int, log_directory: str = LOG_DIRECTORY) -> str:
    """A single node that is broker and controller, on the loopback address only."""
    return _SERVER.format(port=port, controller_port=controller_port, log_directory=log_directory)


def ports_of(text: str) -> tuple[int, int] | None:
    """(port, controller port) of a server.properties that `server_properties` made; None for any other text."""
    found = re.search(r"^listeners=PLAINTEXT://127\.0\.0\.1:(\d+),CONTROLLER://127\.0\.0\.1:(\d+)$", text, re.MULTILINE)
    return (int(found[1]), int(found[2])) if found else None
