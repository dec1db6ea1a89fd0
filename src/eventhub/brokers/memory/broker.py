"""The memory broker and its administration."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

from eventhub.brokers.base import NewTopic, OffsetAndMetadata, OffsetRange, RebalanceListener, TopicInfo
from eventhub.brokers.memory.cluster import Cluster
from eventhub.brokers.memory.consumer import MemoryConsumer
from eventhub.brokers.memory.faults import Faults, Operation
from eventhub.brokers.memory.log import Topic
from eventhub.brokers.memory.producer import MemoryProducer
from eventhub.clock import Clock, SystemClock
from eventhub.errors import BrokerError
from eventhub.record import Record, TopicPartition

_EXAMINE_TIMEOUT = 9.0  # seconds; the port allows 15


class MemoryBroker:
    """A broker whose records live as long as this object.

    Services of one process share it by sharing the object. Nothing in it is random, and it waits by means
    of the event loop only, so that a run on a virtual clock repeats exactly.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        url: str = "memory://",
        faults: Faults | None = None,
        session_timeout: float = 10.0,
        rebalance_timeout: float = 30.0,
    ) -> None:
        """Begin without topics.

        Args:
            clock: What stamps records, or None for the system's.
            url: The address that it goes by.
            faults: What goes wrong on the way to it, or None for nothing.
            session_timeout: Seconds after which a member that is not heard of is thrown out.
            rebalance_timeout: Seconds that a rebalance waits for a member to give up its partitions.
        """
        self._url = url
        self._cluster = Cluster(clock or SystemClock(), faults, session_timeout, rebalance_timeout)
        self._admin = MemoryAdmin(self._cluster)

    @property
    def url(self) -> str:
        """The address."""
        return self._url

    @property
    def admin(self) -> MemoryAdmin:
        """The broker's administration."""
        return self._admin

    @property
    def rebalance_timeout(self) -> float:
        """Seconds that a rebalance waits for a member to give up its partitions."""
        return self._cluster.rebalance_timeout

    async def start(self) -> None:
        """Do nothing; the broker is always there."""

    async def stop(self) -> None:
        """Do nothing; what it holds can still be read."""

    async def examine(self, group: str, topics: Sequence[str]) -> Sequence[str]:
        """What keeps a group from reading these topics: faults on the way, or topics that are missing."""
        try:
            async with asyncio.timeout(_EXAMINE_TIMEOUT):
                await self._admin.unread(group, topics)
        except BrokerError as error:
            return [str(error)]
        except TimeoutError:
            return [f"{self._url} does not answer"]
        return []

    def consumer(self, group: str, topics: Sequence[str], listener: RebalanceListener) -> MemoryConsumer:
        """A new member of a group; it joins when started."""
        return MemoryConsumer(self._cluster, group, topics, listener)

    def producer(self) -> MemoryProducer:
        """A new producer."""
        return MemoryProducer(self._cluster, self._cluster.name_client("producer"))

    def records(self, topic: str) -> Sequence[Record]:
        """All records of a topic, partition by partition."""
        return [
            record for partition in self._cluster.partitions([topic]) for record in self._cluster.log(partition).records
        ]

    def skip_offsets(self, partition: TopicPartition, count: int) -> None:
        """Use up offsets without records, as transaction markers and compaction do."""
        self._cluster.log(partition).skip(count)

    def delete_records(self, partition: TopicPartition, before: int) -> None:
        """Delete the records below an offset, as retention does."""
        self._cluster.log(partition).delete_before(before)

    def delete_topic(self, topic: str) -> None:
        """Delete a topic with its records, and what groups have committed of it."""
        del self._cluster.topics[topic]
        for group in self._cluster.groups.values():
            group.forget(topic)

    def truncate(self, partition: TopicPartition, end: int) -> None:
        """Lose the records from an offset on, as an unclean leader election does."""
        self._cluster.log(partition).truncate(end)


class MemoryAdmin:
    """The administration of a memory broker."""

    def __init__(self, cluster: Cluster) -> None:
        """Administer this cluster."""
        self._cluster = cluster

    async def topics(self) -> Mapping[str, TopicInfo]:
        """All topics by name."""
        await self._request()
        return {name: topic.info for name, topic in self._cluster.topics.items()}

    async def create_topics(self, topics: Sequence[NewTopic]) -> None:
        """Create topics; those that exist already are left as they are."""
        await self._request()
        if bad := [topic.name for topic in topics if topic.partitions < 1]:
            msg = f"a topic needs at least one partition: {', '.join(bad)}"
            raise BrokerError(msg, retriable=False)
        for new in topics:
            if new.name not in self._cluster.topics:
                self._cluster.topics[new.name] = Topic(TopicInfo(new.name, new.partitions, compacted=new.compacted))

    async def committed(self, group: str) -> Mapping[TopicPartition, OffsetAndMetadata]:
        """All positions that a group has stored."""
        await self._request()
        return dict(self._cluster.group(group).committed)

    async def offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, OffsetRange]:
        """The first and the next offset of each partition."""
        await self._request()
        return self._cluster.offsets(partitions)

    async def unread(self, group: str, topics: Collection[str]) -> Collection[TopicPartition]:
        """The partitions of these topics that no member of a group owns; none while the group rebalances."""
        await self._request()
        partitions = self._cluster.partitions(topics)
        owned = self._cluster.group(group).owned()
        return set(partitions) - owned if owned is not None else set()

    async def _request(self) -> None:
        await self._cluster.request(Operation.ADMIN, "admin")
