"""A Kafka cluster of a test's own, whose nodes it may kill."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from eventhub.testing.kafka.acl import Acl, create_acls, delete_acls, wait_until_known
from eventhub.testing.kafka.certificates import Certificates, make_certificates
from eventhub.testing.kafka.configuration import (
    HOST,
    NodePlace,
    java_command,
    new_id,
    random_ports,
    server_settings,
    write_node,
)
from eventhub.testing.kafka.errors import KafkaUnavailable, PortTaken
from eventhub.testing.kafka.jars import Installation, cache_directory, install
from eventhub.testing.kafka.keeper import Keeper, open_keeper
from eventhub.testing.kafka.node import Node, wait_until_ready
from eventhub.testing.kafka.options import KafkaOptions, User
from eventhub.testing.kafka.passwords import change_password
from eventhub.testing.kafka.security import scram_credentials
from eventhub.testing.kafka.storage import class_archive, first_metadata

_ATTEMPTS = 3
"""Ports are chosen before Kafka binds them, so another process may be faster."""

_RIGHTS_TIMEOUT = 10.0
"""Seconds until every node knows of a right: one learns it within a second, or never."""


@dataclass(frozen=True, slots=True)
class KafkaCluster:
    """A running cluster.

    Attributes:
        cluster_id: As its brokers tell it.
        nodes: In the order of their ids, which begin at 1.
        options: What it was started with.
        certificates: What clients need for TLS; None where there is none.
    """

    cluster_id: str
    nodes: tuple[Node, ...]
    options: KafkaOptions
    certificates: Certificates | None = None

    @property
    def bootstrap(self) -> str:
        """Every node's address, as clients take them: ``host:port[,host:port]``."""
        return ",".join(node.address for node in self.nodes)

    async def ready(self, within: float = 60.0) -> None:
        """Wait until all nodes that run see one another again.

        Raises:
            KafkaStartError: If one ends, or they are not ready in so many seconds.
        """
        running = [node for node in self.nodes if node.running]
        await wait_until_ready(running, {node.id for node in running}, within)

    async def allow(self, *acls: Acl) -> None:
        """Give rights; every running node knows them when this returns.

        Raises:
            ValueError: If the cluster has no users, or refuses a right.
            TimeoutError: If a running node does not answer, since it is paused for instance.
        """
        await self._change(create_acls, acls, given=True)

    async def revoke(self, *acls: Acl) -> None:
        """Take rights back; every running node knows it when this returns.

        Raises:
            ValueError: If the cluster has no users.
            TimeoutError: If a running node does not answer, since it is paused for instance.
        """
        await self._change(delete_acls, acls, given=False)

    async def change_password(self, user: User) -> None:
        """Let a user log in with another password from now on; who is logged in stays so. Nodes know it soon after.

        Raises:
            ValueError: If the cluster has no such user, or no users.
        """
        if user.name not in {one.name for one in self.options.logins}:
            message = f"{user.name} cannot log in to this cluster"
            raise ValueError(message)
        [running, *_] = [node for node in self.nodes if node.running]
        await change_password(*running.internal, user)

    async def _change(
        self, change: Callable[[str, int, Sequence[Acl]], Awaitable[None]], acls: Sequence[Acl], *, given: bool
    ) -> None:
        running = [node for node in self.nodes if node.running]
        async with asyncio.timeout(_RIGHTS_TIMEOUT):
            await change(*running[0].internal, acls)
            for node in running:
                for acl in acls:
                    await wait_until_known(*node.internal, acl, given=given)


class StartKafka(Protocol):
    """What the fixture ``start_kafka`` gives: `kafka`, where it can work."""

    def __call__(self, options: KafkaOptions | None = None) -> AbstractAsyncContextManager[KafkaCluster]:
        """Run a real Apache Kafka for the length of a block."""
        ...


@asynccontextmanager
async def kafka(options: KafkaOptions | None = None) -> AsyncIterator[KafkaCluster]:
    """Run a real Apache Kafka until the block ends, or the process does, however it ends.

    Args:
        options: None is one node without security.

    Raises:
        KafkaUnavailable: If Java 17 is missing, or the jars are not cached and cannot be fetched.
        KafkaStartError: If a node does not come up; it carries the end of its log.
    """
    options = options or KafkaOptions()
    installation = await asyncio.to_thread(install, options.version, cache_directory())
    cluster, keeper = await start_cluster(installation, options, jvm=archived_classes(installation))
    try:
        yield cluster
    finally:
        await keeper.close()


def archived_classes(installation: Installation) -> tuple[str, ...]:
    """The option by which a node finds its classes in the archive, once there is one."""
    archive = class_archive(installation)
    return (f"-XX:SharedArchiveFile={archive}",) if archive.exists() else ()


async def start_cluster(
    installation: Installation,
    options: KafkaOptions,
    keep: Callable[[Path], Awaitable[Keeper]] = open_keeper,
    jvm: Sequence[str] = (),
) -> tuple[KafkaCluster, Keeper]:
    """Start a cluster and wait until every node sees every other.

    Args:
        installation: The Java and the jars.
        options: What kind of cluster.
        keep: Starts a keeper that removes this directory at its end.
        jvm: More options of the Java virtual machine.

    Raises:
        KafkaStartError: If a node does not come up.
        KafkaUnavailable: If the ports were taken by others, again and again.
    """
    checkpoint = await asyncio.to_thread(first_metadata, installation, scram_credentials(options))
    for _ in range(_ATTEMPTS):
        keeper = await keep(Path(tempfile.mkdtemp(prefix="eventhub-kafka-")))
        try:
            cluster = _lay_out(keeper, installation, options, checkpoint, jvm)
            for node in cluster.nodes:
                await node.launch()
            await cluster.ready(options.start_timeout)
        except PortTaken as error:
            error.log.unlink()
            await keeper.close()
        except BaseException:
            await keeper.close()
            raise
        else:
            return cluster, keeper
    message = f"other processes took the ports of {_ATTEMPTS} clusters in a row; try again"
    raise KafkaUnavailable(message)


def _lay_out(
    keeper: Keeper,
    installation: Installation,
    options: KafkaOptions,
    checkpoint: Path,
    jvm: Sequence[str],
) -> KafkaCluster:
    """Write every node's directory."""
    cluster_id = new_id()
    certificates = None
    if options.security.encrypted:
        certificates = make_certificates(keeper.directory / "certificates")
    places = [choose_place(keeper.directory, node) for node in range(1, options.nodes + 1)]
    nodes = []
    for place in places:
        write_node(place, server_settings(place, places, options, certificates), cluster_id, checkpoint)
        command = java_command(installation, place, options, jvm)
        nodes.append(Node(place, command, cluster_id, keeper))
    return KafkaCluster(cluster_id, tuple(nodes), options, certificates)


def choose_place(directory: Path, node: int) -> NodePlace:
    """A place for a node of this cluster, with ports that nobody has at the moment."""
    ports = random_ports()
    while not all(_is_free(port) for port in ports):
        ports = random_ports()
    return NodePlace(node, directory / f"node-{node}", *ports)


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        try:
            one.bind((HOST, port))
        except OSError:
            return False
    return True
