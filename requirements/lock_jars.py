"""Writes `reelstream/broker/jars.lock`: every jar of the embedded broker and of Spark's Kafka connector, with its size and
SHA-256. Part of `make lock`; resolves what Kafka and the connector depend on, and downloads it once.

    python -m requirements.lock_jars
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path

import pyspark
from jgo.maven import Artifact, MavenContext, PythonResolver

from reelstream.broker.jars import BROKER, LOCK, SPARK_CONNECTOR, maven

ROOTS = {
    BROKER: ("org.apache.kafka:kafka_2.13:4.2.2",),
    SPARK_CONNECTOR: ("org.apache.spark:spark-sql-kafka-0-10_2.13:4.2.0",),
}
ALONE = {
    # Kafka brings log4j's core but not its link to slf4j: without this one the broker logs nothing.
    BROKER: ("org.apache.logging.log4j:log4j-slf4j-impl:2.25.5",),
    SPARK_CONNECTOR: (),
}
RUN_TIME = {None, "compile", "runtime"}


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        context = maven(Path(directory), PythonResolver())
        present = {without_version(jar.stem) for jar in Path(pyspark.__file__).parent.glob("jars/*.jar")}
        lines = []
        for name, roots in ROOTS.items():
            artifacts = resolved(context, roots) + [context.create_dependency(one).artifact for one in ALONE[name]]
            lines += [f"[{name}]"]
            lines += sorted(
                line_of(artifact)
                for artifact in artifacts
                if name == BROKER or without_version(f"{artifact.artifactId}-{artifact.version}") not in present
            )
    LOCK.write_text(
        "# By `make lock`: group:artifact:version, size in bytes, SHA-256.\n" + "\n".join(lines) + "\n", "utf-8"
    )


def resolved(context: MavenContext, roots: tuple[str, ...]) -> list[Artifact]:
    dependencies = [context.create_dependency(root) for root in roots]
    ours, theirs = context.resolver.resolve(dependencies)
    return [one.artifact for one in [*ours, *theirs] if one.scope in RUN_TIME and one.type == "jar"]


def line_of(artifact: Artifact) -> str:
    jar = artifact.resolve()
    digest = hashlib.sha256(jar.read_bytes()).hexdigest()
    return f"{artifact.groupId}:{artifact.artifactId}:{artifact.version} {jar.stat().st_size} {digest}"


def without_version(stem: str) -> str:
    return re.sub(r"-\d[^-]*(-\d+)?$", "", stem)


if __name__ == "__main__":
    main()
