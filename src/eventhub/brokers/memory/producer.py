"""A producer of the memory broker."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from eventhub.brokers.base import Outcome
from eventhub.brokers.memory.cluster import Cluster
from eventhub.brokers.memory.faults import Operation
from eventhub.brokers.memory.log import Topic
from eventhub.brokers.partitioner import partition_for
from eventhub.errors import BrokerError, PublishRefused
from eventhub.record import ProducerRecord, RecordMetadata

_OVERHEAD_BYTES = 70
"""What Kafka adds to a batch of one record: 61 bytes for the batch, a few for the record (KIP-98)."""


class MemoryProducer:
    """A connection that writes to a memory broker."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        """Begin without connecting."""
        self._cluster = cluster
        self._name = name
        # Held over a whole send: one that is delayed by a fault must not be overtaken by the next.
        self._in_order = asyncio.Lock()
        self._turns: Counter[str] = Counter()

    async def start(self) -> None:
        """Do nothing; the broker is always there."""

    async def stop(self) -> None:
        """Do nothing; nothing is ever left unconfirmed."""

    async def send(self, records: Sequence[ProducerRecord]) -> Sequence[Outcome]:
        """Write records and say what became of each."""
        async with self._in_order:
            try:
                await self._cluster.request(Operation.SEND, self._name)
                now = self._cluster.clock.now()
                outcomes = [self._write(record, now) for record in records]
                await self._cluster.answer(Operation.SEND, self._name)
            except BrokerError as error:
                return [error] * len(records)
            return outcomes

    def _write(self, record: ProducerRecord, now: float) -> Outcome:
        topic = self._cluster.topics.get(record.topic)
        if topic is None:
            return PublishRefused(
                f"no such topic on this broker: {record.topic}; create it first, nothing is created by sending"
            )
        if refusal := _refusal(topic, record):
            return PublishRefused(f"topic {record.topic} refuses the record: {refusal}")
        partition = record.partition if record.partition is not None else self._partition(topic, record.key)
        timestamp = now if record.timestamp is None else record.timestamp
        offset = topic.logs[partition].append(record, int(timestamp * 1000) / 1000)
        return RecordMetadata(record.topic, partition, offset)

    def _partition(self, topic: Topic, key: bytes | None) -> int:
        """Kafka's choice for a key; without one the partitions take turns."""
        if key is not None:
            return partition_for(key, len(topic.logs))
        self._turns[topic.info.name] += 1
        return self._turns[topic.info.name] % len(topic.logs)


def _refusal(topic: Topic, record: ProducerRecord) -> str | None:
    """Why a topic never takes a record, or None when it does."""
    if record.key is None and topic.info.compacted:
        return "it has no key, and the topic is compacted"
    if record.partition is not None and not 0 <= record.partition < len(topic.logs):
        return f"there is no partition {record.partition}, only {len(topic.logs)} of them"
    if (size := _size_bytes(record)) > topic.info.max_record_bytes:
        return f"it takes {size} bytes, {topic.info.max_record_bytes} are allowed"
    return None


def _size_bytes(record: ProducerRecord) -> int:
    size = _OVERHEAD_BYTES + len(record.key or b"") + len(record.value or b"")
    for name, value in record.headers:
        size += len(name) + len(value or b"")
    return size
