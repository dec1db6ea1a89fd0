"""One node of a cluster: to be killed, paused, stopped and started again by a test."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path

from eventhub.testing.kafka.configuration import HOST, NodePlace
from eventhub.testing.kafka.errors import KafkaStartError, PortTaken
from eventhub.testing.kafka.keeper import Keeper
from eventhub.testing.kafka.probe import accepts, fetch_metadata

_PROBE_INTERVAL = 0.03
"""Seconds between two questions to a node that is starting."""

_STOP_TIMEOUT = 30.0
"""Seconds for a node to hand over its partitions; then it is killed."""


class Node:
    """One node of a cluster; its data survives `stop` and `kill`."""

    def __init__(self, place: NodePlace, command: Sequence[str], cluster_id: str, keeper: Keeper) -> None:
        self._place = place
        self._command = command
        self._cluster_id = cluster_id
        self._keeper = keeper
        self._pid = 0

    @property
    def id(self) -> int:
        """Its node id, from 1."""
        return self._place.node

    @property
    def address(self) -> str:
        """Where clients find it, as ``host:port``."""
        return self._place.address

    @property
    def internal(self) -> tuple[str, int]:
        """The host and port where it answers without security, as to other brokers."""
        return HOST, self._place.internal_port

    @property
    def pid(self) -> int:
        """The process of its last start."""
        return self._pid

    @property
    def running(self) -> bool:
        """Whether it was started and neither stopped nor killed since."""
        return self._keeper.running(self.id)

    @property
    def log(self) -> Path:
        """What it prints, until the cluster ends."""
        return self._place.log

    async def start(self, within: float = 60.0) -> None:
        """Start it again on the same data; it answers clients when this returns.

        Raises:
            KafkaStartError: If it ends, or is not ready in so many seconds.
        """
        await self.launch()
        await wait_until_ready([self], {self.id}, within)

    async def launch(self) -> None:
        """Start its process, without waiting until it is ready."""
        self._pid = await self._keeper.start(self.id, self._command, self.log)

    async def stop(self) -> None:
        """Let it hand over its partitions and end (SIGTERM)."""
        await self._keeper.signal(self.id, signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_TIMEOUT):
                await self._keeper.exited(self.id)
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """End it without warning (SIGKILL)."""
        await self._keeper.signal(self.id, signal.SIGKILL)
        await self._keeper.exited(self.id)

    async def pause(self) -> None:
        """Stop it in its tracks, connections open (SIGSTOP)."""
        await self._keeper.signal(self.id, signal.SIGSTOP)

    async def resume(self) -> None:
        """Let it go on after `pause` (SIGCONT)."""
        await self._keeper.signal(self.id, signal.SIGCONT)

    async def sees(self, brokers: set[int]) -> bool:
        """Whether it serves clients, and knows these brokers and a controller.

        Raises:
            PortTaken: If the process on its port belongs to another cluster.
        """
        metadata = await fetch_metadata(*self.internal)
        if metadata is None or metadata.cluster_id is None:
            return False
        if metadata.cluster_id != self._cluster_id:
            message = f"port {self._place.internal_port} of Kafka node {self.id} belongs to another cluster"
            raise PortTaken(message, self.log)
        return (
            brokers <= metadata.broker_ids
            and metadata.controller_id is not None
            and await accepts(HOST, self._place.client_port)
        )

    async def fail_if_ended(self, within: float) -> None:
        """Wait so many seconds for its end, which nobody wants.

        Raises:
            PortTaken: If it ended since it could not bind a port.
            KafkaStartError: If it ended otherwise.
        """
        try:
            async with asyncio.timeout(within):
                code = await self._keeper.exited(self.id)
        except TimeoutError:
            return
        if "Address already in use" in self.log.read_text(errors="replace"):
            message = f"another process has a port of Kafka node {self.id}"
            raise PortTaken(message, self.log)
        message = f"Kafka node {self.id} ended with code {code} before it was ready"
        raise KafkaStartError(message, self.log)


async def wait_until_ready(nodes: Sequence[Node], brokers: set[int], within: float) -> None:
    """Wait until each of these nodes answers and sees all of these brokers.

    Raises:
        PortTaken: If another process has one of their ports.
        KafkaStartError: If one ends, or they are not ready in so many seconds.
    """
    waiting = list(nodes)
    try:
        async with asyncio.timeout(within):
            while waiting:
                for node in waiting:
                    await node.fail_if_ended(within=_PROBE_INTERVAL / len(waiting))
                waiting = [node for node in waiting if not await node.sees(brokers)]
    except TimeoutError as error:
        message = f"Kafka node {waiting[0].id} was not ready in {within:g} s"
        raise KafkaStartError(message, waiting[0].log) from error
