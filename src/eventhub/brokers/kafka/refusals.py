"""What the broker would refuse, found before it is sent.

A refused batch leaves a gap in an idempotent producer's sequence, and everything after it is
refused too, for ever. So size, key, time and partition are checked here.
"""

from __future__ import annotations

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from eventhub.brokers.base import TopicInfo
from eventhub.errors import PublishRefused
from eventhub.record import ProducerRecord

MAX_AHEAD = 3600.0
"""Seconds that a timestamp may lie in the future (Kafka's default of ``message.timestamp.after.max.ms``)."""

BATCH_OVERHEAD = 61
"""Bytes of a batch without records, which an estimate of one record counts too (record batch, format 2)."""


def batch_size_of(record: ProducerRecord) -> int:
    """The most bytes that a record takes in a batch of its own."""
    size: int = DefaultRecordBatchBuilder.estimate_size_in_bytes(record.key, record.value, list(record.headers))
    return size


def refusal(record: ProducerRecord, size: int, info: TopicInfo, now: float, max_bytes: int) -> PublishRefused | None:
    """Why the broker would never take a record, or None.

    Args:
        record: The record.
        size: Its bytes in a batch of its own.
        info: Its topic.
        now: Seconds since the epoch.
        max_bytes: The client's own limit.
    """
    limit = min(max_bytes, info.max_record_bytes)
    if size > limit:
        source = "the topic's max.message.bytes" if limit == info.max_record_bytes else "the client's max_request_size"
        return PublishRefused(f"a record of {size} bytes is too large for {info.name}: {source} is {limit}")
    if info.compacted and record.key is None:
        return PublishRefused(f"a record without a key cannot go to {info.name}: the topic is compacted")
    if record.timestamp is not None and record.timestamp > now + MAX_AHEAD:
        ahead = record.timestamp - now
        return PublishRefused(
            f"a record for {info.name} is {ahead:.0f} s in the future; at most {MAX_AHEAD:.0f} s are taken"
        )
    if record.partition is not None and not 0 <= record.partition < info.partitions:
        return PublishRefused(f"{info.name} has {info.partitions} partitions, no partition {record.partition}")
    return None
