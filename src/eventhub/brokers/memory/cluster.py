"""Everything that the clients of one memory broker share."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from itertools import count

from eventhub.brokers.base import OffsetRange
from eventhub.brokers.memory.faults import Faults, Operation
from eventhub.brokers.memory.group import Group
from eventhub.brokers.memory.log import PartitionLog, Topic
from eventhub.clock import Clock
from eventhub.errors import BrokerError, TopicMissing
from eventhub.record import TopicPartition


class Cluster:
    """The state of a memory broker: topics, groups, and the faults on the way to them."""

    def __init__(self, clock: Clock, faults: Faults | None, session_timeout: float, rebalance_timeout: float) -> None:
        """Begin without topics and groups."""
        self.clock = clock
        self.faults = faults
        self.session_timeout = session_timeout
        self.rebalance_timeout = rebalance_timeout
        self.topics: dict[str, Topic] = {}
        self.groups: dict[str, Group] = {}
        self._clients = count(1)

    def name_client(self, prefix: str) -> str:
        """A name for a new client, such as ``inventory-3``; the same in every run."""
        return f"{prefix}-{next(self._clients)}"

    def group(self, name: str) -> Group:
        """The group of this name, made when it is first asked for."""
        if name not in self.groups:
            self.groups[name] = Group(name, self.session_timeout, self.rebalance_timeout)
        return self.groups[name]

    def log(self, partition: TopicPartition) -> PartitionLog:
        """The log of a partition.

        Raises:
            TopicMissing: If there is no such topic.
            BrokerError: If it has no such partition.
        """
        self.require([partition.topic])
        topic = self.topics[partition.topic]
        if not 0 <= partition.partition < len(topic.logs):
            msg = f"no partition {partition.topic}[{partition.partition}] on this broker"
            raise BrokerError(msg, retriable=False)
        return topic.logs[partition.partition]

    def partitions(self, topics: Iterable[str]) -> list[TopicPartition]:
        """All partitions of some topics, topic by topic.

        Raises:
            TopicMissing: Naming every topic that does not exist.
        """
        names = sorted(set(topics))
        self.require(names)
        return [log.partition for name in names for log in self.topics[name].logs]

    def require(self, topics: Iterable[str]) -> None:
        """Insist on topics.

        Raises:
            TopicMissing: Naming every one that does not exist.
        """
        if missing := [name for name in topics if name not in self.topics]:
            msg = f"no such topic on this broker: {', '.join(missing)}; create it first, nothing is created by reading"
            raise TopicMissing(msg, missing)

    def offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, OffsetRange]:
        """The first and the next offset of each partition."""
        logs = {partition: self.log(partition) for partition in partitions}
        return {partition: OffsetRange(log.beginning, log.end) for partition, log in logs.items()}

    async def request(self, operation: Operation, client: str) -> None:
        """Carry a request to the broker.

        It always lets other tasks run, as a network would; a loop of sends would starve them otherwise.
        """
        await asyncio.sleep(0)
        if self.faults is not None:
            await self.faults.before(operation, client)

    async def answer(self, operation: Operation, client: str) -> None:
        """Carry an answer back to the client."""
        if self.faults is not None:
            await self.faults.after(operation, client)
