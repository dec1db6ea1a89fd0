"""The log of a partition: records at rising offsets, gaps included."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter

from eventhub.brokers.base import TopicInfo
from eventhub.record import ProducerRecord, Record, TopicPartition

Waiting = list[asyncio.Future[None]]
"""Polls that found nothing: each leaves its future where something may happen."""

_OFFSET = attrgetter("offset")


def wake(waiting: Waiting) -> None:
    """Let everybody who waits look again."""
    for future in waiting:
        if not future.done():
            future.set_result(None)
    waiting.clear()


class PartitionLog:
    """The records of one partition, kept for the life of the process."""

    def __init__(self, partition: TopicPartition) -> None:
        """Begin empty, at offset 0."""
        self.partition = partition
        self.records: list[Record] = []
        self.beginning = 0
        self.end = 0
        self.waiting: Waiting = []

    def append(self, record: ProducerRecord, timestamp: float) -> int:
        """Store a record and return its offset."""
        offset = self.end
        self.end = offset + 1
        topic, partition = self.partition
        self.records.append(Record(topic, partition, offset, timestamp, record.key, record.value, record.headers))
        if self.waiting:
            wake(self.waiting)
        return offset

    def read(self, offset: int, limit: int) -> Sequence[Record]:
        """At most ``limit`` records from this offset on, in order."""
        start = self._index(offset)
        return self.records[start : start + limit]

    def has(self, offset: int) -> bool:
        """Whether there is a record at this offset or after it."""
        return bool(self.records) and self.records[-1].offset >= offset

    def skip(self, count: int) -> None:
        """Use up offsets without records, as transaction markers and compaction do."""
        self.end += count

    def delete_before(self, offset: int) -> None:
        """Forget the records below an offset, as retention does."""
        self.beginning = min(max(offset, self.beginning), self.end)
        del self.records[: self._index(self.beginning)]

    def truncate(self, offset: int) -> None:
        """Forget the records from an offset on, as an unclean leader election does."""
        self.end = max(min(offset, self.end), self.beginning)
        del self.records[self._index(self.end) :]

    def _index(self, offset: int) -> int:
        return bisect_left(self.records, offset, key=_OFFSET)


class Topic:
    """A topic: what is known about it, and its partitions' logs."""

    def __init__(self, info: TopicInfo) -> None:
        """Begin with empty partitions."""
        self.info = info
        self.logs = tuple(PartitionLog(TopicPartition(info.name, number)) for number in range(info.partitions))
