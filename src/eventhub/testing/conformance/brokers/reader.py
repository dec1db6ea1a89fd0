"""A reader for tests: a consumer and its listener, with a memory of what both saw."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager

from eventhub.brokers.base import Broker, OffsetAndMetadata, Producer
from eventhub.record import ProducerRecord, Record, RecordMetadata, TopicPartition

DEADLINE = 60.0
"""Seconds; only what hangs takes so long."""

PARTITIONS = 4
"""Of each topic, unless a test says otherwise."""

_POLL = 0.05  # seconds; how soon a reader looks again at what its listener has heard


def unique(prefix: str) -> str:
    """A name that no other test has."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def partitions_of(topic: str) -> frozenset[TopicPartition]:
    """All partitions of a topic."""
    return frozenset(TopicPartition(topic, number) for number in range(PARTITIONS))


class Reader:
    """A member of a group that begins at the committed offsets, or else at the beginning."""

    def __init__(self, broker: Broker, group: str, topic: str) -> None:
        """Begin outside the group."""
        self.topic = topic
        self.consumer = broker.consumer(group, [topic], self)
        self.records: list[Record] = []
        self.heard: list[tuple[str, frozenset[TopicPartition]]] = []
        self.owned: frozenset[TopicPartition] = frozenset()
        self.while_revoked: Callable[[], Awaitable[None]] | None = None
        self.while_assigned: Callable[[], Awaitable[None]] | None = None

    async def on_revoked(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Note the loss; a client may also revoke nothing before its first assignment, which is no news."""
        if partitions or self.heard:
            self.heard.append(("revoked", frozenset(partitions)))
            if self.while_revoked is not None:
                await self.while_revoked()
        self.owned = frozenset()

    async def on_assigned(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Note the gain and seek each partition."""
        positions = await self.consumer.committed(partitions)
        ranges = await self.consumer.offsets(partitions)
        for partition in partitions:
            position = positions[partition]
            self.consumer.seek(partition, ranges[partition].beginning if position is None else position.offset)
        self.heard.append(("assigned", frozenset(partitions)))
        if self.while_assigned is not None:
            await self.while_assigned()
        self.owned = frozenset(partitions)

    async def read(self, count: int) -> Sequence[Record]:
        """Poll until so many records have come in all."""
        await self.poll_until(lambda: len(self.records) >= count)
        return self.records

    async def poll_until(self, reached: Callable[[], bool]) -> None:
        """Poll until something has come about; what belongs to others is asked for too and has to be passed over."""
        async with asyncio.timeout(DEADLINE):
            while not reached():
                polled = await self.consumer.poll(partitions_of(self.topic), max_records=500, timeout=_POLL)
                self.records += [record for records in polled.values() for record in records]

    async def commit(self, partition: TopicPartition, offset: int, metadata: str = "") -> None:
        """Commit one position."""
        async with asyncio.timeout(DEADLINE):
            await self.consumer.commit({partition: OffsetAndMetadata(offset, metadata)})

    async def committed(self, partition: TopicPartition) -> OffsetAndMetadata | None:
        """The group's position of one partition."""
        async with asyncio.timeout(DEADLINE):
            return (await self.consumer.committed([partition]))[partition]


@asynccontextmanager
async def reading(broker: Broker, group: str, topic: str, *others: Reader) -> AsyncIterator[Reader]:
    """A reader that has joined its group, beside others that go on polling meanwhile."""
    reader = Reader(broker, group, topic)
    try:
        await share([reader, *others], joining=reader)
        yield reader
    finally:
        async with asyncio.timeout(DEADLINE):
            await reader.consumer.stop()


async def share(readers: Sequence[Reader], *, joining: Reader | None = None) -> None:
    """Poll all readers until they share a topic's partitions among them; one of them may join meanwhile."""

    def is_shared() -> bool:
        return all(reader.owned for reader in readers) and PARTITIONS == sum(len(reader.owned) for reader in readers)

    async def poll(reader: Reader) -> None:
        if reader is joining:
            await reader.consumer.start()
        await reader.poll_until(is_shared)

    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        for reader in readers:
            tasks.create_task(poll(reader))


async def linger(broker: Broker) -> None:
    """Give clients the time of a few round trips, to do what they are about to do or must not do."""
    for _ in range(10):
        await broker.admin.topics()


async def send(producer: Producer, *records: ProducerRecord) -> Sequence[RecordMetadata]:
    """Write records that nothing speaks against."""
    async with asyncio.timeout(DEADLINE):
        outcomes = await producer.send(records)
    accepted = [outcome for outcome in outcomes if isinstance(outcome, RecordMetadata)]

    assert accepted == outcomes
    return accepted
