"""What a node is told at its start: its settings, its command line, its place on disk."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eventhub.testing.kafka.certificates import Certificates
from eventhub.testing.kafka.jars import Installation
from eventhub.testing.kafka.options import KafkaOptions
from eventhub.testing.kafka.security import security_settings

HOST = "127.0.0.1"

_FOR_TESTS: Mapping[str, str] = {
    "auto.create.topics.enable": "false",  # a typo is an error, not a topic
    "num.partitions": "3",
    # Fast: no waiting for members that will not come, for a dead node, or for a quiet quorum.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "300",
    "controller.quorum.election.timeout.ms": "200",
    "controller.quorum.election.backoff.max.ms": "200",
    # Small: the log cleaner alone takes 128 MB by default, at once.
    "log.cleaner.dedupe.buffer.size": "2000000",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "4",
    "num.network.threads": "1",
    "num.io.threads": "2",
    "num.replica.fetchers": "1",
    "background.threads": "2",
}

_JVM = (
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-XX:TieredStopAtLevel=1",
    "-XX:ReservedCodeCacheSize=48m",
    "-Xss384k",
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config.AbstractConfig=warn",  # else every setting there is
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)


@dataclass(frozen=True, slots=True)
class NodePlace:
    """Where one node lives.

    Attributes:
        node: Its id, from 1.
        directory: Its settings, its data and its log.
        client_port: For the tests.
        internal_port: For the other brokers, and for the probe that asks whether it is ready.
        controller_port: For the quorum.
    """

    node: int
    directory: Path
    client_port: int
    internal_port: int
    controller_port: int

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"{HOST}:{self.client_port}"

    @property
    def settings_file(self) -> Path:
        """Its ``server.properties``."""
        return self.directory / "server.properties"

    @property
    def data(self) -> Path:
        """Its log directory, which is what survives a restart."""
        return self.directory / "data"

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.directory / "server.log"


def new_id() -> str:
    """A random id as Kafka writes them: 16 bytes in unpadded, URL-safe base64.

    It never begins with "-", which Kafka's tools would take for an option.
    """
    while True:
        text = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def server_settings(
    place: NodePlace, cluster: Sequence[NodePlace], options: KafkaOptions, certificates: Certificates | None = None
) -> dict[str, str]:
    """The settings of one node of this cluster."""
    settings = {
        **for_tests(len(cluster)),
        "process.roles": "broker,controller",
        "node.id": str(place.node),
        "log.dirs": str(place.data),
        # Fixed voters: a quorum that is looked up needs a formatted snapshot with the voters.
        "controller.quorum.voters": ",".join(f"{one.node}@{HOST}:{one.controller_port}" for one in cluster),
        **_listeners(place, options.security.value),
        **security_settings(options.security, certificates),
    }
    return {**settings, **options.settings}


def for_tests(nodes: int) -> dict[str, str]:
    """The settings that make a cluster of so many nodes small, fast and strict."""
    replicas = str(nodes)
    in_sync = "1" if nodes == 1 else "2"  # one of three may be down
    return {
        **_FOR_TESTS,
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync,
    }


def _listeners(place: NodePlace, protocol: str) -> dict[str, str]:
    brokers = f"CLIENT://{place.address},INTERNAL://{HOST}:{place.internal_port}"
    return {
        "listeners": f"{brokers},CONTROLLER://{HOST}:{place.controller_port}",
        "advertised.listeners": brokers,
        "listener.security.protocol.map": f"CLIENT:{protocol},INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "INTERNAL",
        "controller.listener.names": "CONTROLLER",
    }


def java_command(
    installation: Installation, place: NodePlace, options: KafkaOptions, extra: Sequence[str] = ()
) -> list[str]:
    """The command that runs a node; its settings file's path is in it and nowhere else."""
    return [
        installation.java.command,
        f"-Xmx{options.heap_mib}m",
        *_JVM,
        *extra,
        "-cp",
        installation.class_path,
        "kafka.Kafka",
        str(place.settings_file),
    ]


def write_node(place: NodePlace, settings: Mapping[str, str], cluster_id: str, checkpoint: Path) -> None:
    """Lay out a node's directory as ``kafka-storage format`` would, without starting a Java.

    Args:
        place: Where.
        settings: Its ``server.properties``.
        cluster_id: Whose node it is.
        checkpoint: The first metadata of the cluster, the same for each of its nodes.
    """
    place.data.mkdir(parents=True)
    lines = "".join(f"{name}={value}\n" for name, value in settings.items())
    place.settings_file.write_text(lines)
    identity = {
        "version": "1",
        "cluster.id": cluster_id,
        "node.id": str(place.node),
        "directory.id": new_id(),
    }
    lines = "".join(f"{name}={value}\n" for name, value in identity.items())
    (place.data / "meta.properties").write_text(lines)
    (place.data / "bootstrap.checkpoint").write_bytes(checkpoint.read_bytes())


def random_ports() -> range:
    """Three ports in a row that may be free.

    They lie under the range from which Linux (32768) and macOS (49152) take ports for outgoing
    connections, so that nobody gets the port of a node that is down for a moment.
    """
    first = 20_000 + 3 * secrets.randbelow(4_000)
    return range(first, first + 3)
