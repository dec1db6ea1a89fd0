"""A producer of the memory broker."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from eventhub.brokers.base import Outcome
from eventhub.brokers.memory.cluster import Cluster
from eventhub.brokers.memory.faults import Operation
from eventhub.brokers.memory.log import Topic
from eventhub.brokers.partitioner import partition_for
from eventhub.errors import BrokerError, PublishRefused
from eventhub.record import ProducerRecord, RecordMetadata

_BATCH_OVERHEAD_BYTES = 61
"""What Kafka adds to a batch of one record (KIP-98), a few bytes for the record apart."""

_partition_for = lru_cache(maxsize=1024)(partition_for)  # keys come again, and hashing is the dearest part of a send


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
                now = _whole_milliseconds(self._cluster.clock.now())
                outcomes = [self._write(record, now) for record in records]
                await self._cluster.answer(Operation.SEND, self._name)
            except BrokerError as error:
                return [error] * len(records)
            return outcomes

    def _write(self, record: ProducerRecord, now: float) -> Outcome:
        """Append one record to the partition of its choice, its key's, or the next one's turn."""
        name, key, _, _, partition, timestamp = record
        topic = self._cluster.topics.get(name)
        if topic is None:
            return PublishRefused(f"no such topic on this broker: {name}; create it first, sending creates nothing")
        if refusal := _refusal(topic, record):
            return PublishRefused(f"topic {name} refuses the record: {refusal}")
        if partition is None:
            partition = self._next_turn(topic) if key is None else _partition_for(key, len(topic.logs))
        offset = topic.logs[partition].append(record, now if timestamp is None else _whole_milliseconds(timestamp))
        return RecordMetadata(name, partition, offset)

    def _next_turn(self, topic: Topic) -> int:
        """The partition for a record without a key: they take turns."""
        turn = self._turns[topic.info.name]
        self._turns[topic.info.name] = (turn + 1) % len(topic.logs)
        return turn


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
    """What Kafka counts against ``max.message.bytes``, uncompressed, but for a few bytes."""
    size = _BATCH_OVERHEAD_BYTES + len(record.key or b"") + len(record.value or b"")
    for name, value in record.headers:
        size += len(name) + len(value or b"")
    return size


def _whole_milliseconds(timestamp: float) -> float:
    """A time as Kafka keeps it."""
    return round(timestamp * 1000) / 1000
