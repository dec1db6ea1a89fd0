"""All records of a topic, read from outside any group that matters."""

from __future__ import annotations

import uuid
from collections.abc import Set as AbstractSet

from eventhub.brokers.base import Broker
from eventhub.record import Record, TopicPartition


async def read_topic(broker: Broker, topic: str) -> list[Record]:
    """All records that a topic holds now, partition by partition.

    Raises:
        BrokerError: If the topic does not exist or the broker cannot be reached.
    """
    listener = _Everything()
    consumer = broker.consumer(f"eventhub-reading-{uuid.uuid4()}", [topic], listener)
    await consumer.start()
    try:
        ranges = await consumer.offsets(listener.partitions)
        for partition in listener.partitions:
            consumer.seek(partition, ranges[partition].beginning)
        found: list[Record] = []
        for partition in sorted(listener.partitions):
            following = ranges[partition].beginning
            while following < ranges[partition].end:
                polled = await consumer.poll([partition], max_records=500, timeout=0.5)
                records = polled.get(partition, ())
                if not records:
                    break  # the rest are offsets without records
                found += records
                following = records[-1].offset + 1
        return found
    finally:
        await consumer.stop()


class _Everything:
    """A listener that takes what it is given."""

    def __init__(self) -> None:
        self.partitions: AbstractSet[TopicPartition] = frozenset()

    async def on_revoked(self, partitions: AbstractSet[TopicPartition]) -> None:
        self.partitions = self.partitions - partitions

    async def on_assigned(self, partitions: AbstractSet[TopicPartition]) -> None:
        self.partitions = frozenset(partitions)
