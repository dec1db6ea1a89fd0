"""What a broker can be brought to do, so that the suite knows which laws it can try."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from eventhub.brokers.base import Broker
from eventhub.record import TopicPartition


@dataclass(frozen=True, slots=True)
class Features:
    """What a broker has, and how a test provokes what cannot be asked for through the port.

    A law that needs what is missing here is skipped.
    """

    leave_gap: Callable[[Broker, TopicPartition], Awaitable[None]] | None = None
    """Uses up at least one offset at the end of a partition without a record in it."""
    delete_before: Callable[[Broker, TopicPartition, int], Awaitable[None]] | None = None
    """Deletes the records of a partition below an offset."""
    rebalance_timeout: float | None = None
    """Seconds that the broker waits for a member to give up its partitions; None for too long for a test."""
    record_limit: bool = True
    """Whether it refuses records above the topic's ``max_record_bytes``."""
    compaction: bool = True
    """Whether it has compacted topics, which refuse records without a key."""
