"""A burst: records that were fetched together, in the order in which they are taken up."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence

from eventhub.record import Record
from eventhub.runtime.partition import ALONE, Partition
from eventhub.subscription import Ordering

Batch = tuple[Partition, Sequence[Record]]
"""Records of one partition, in the order of their offsets."""

Item = tuple[Partition, Record, Hashable]
"""A record with its partition and the key of its lane."""


def items(batches: Iterable[Batch]) -> Iterator[Item]:
    """The records that are still to be handled, each with the key of its lane."""
    for partition, records in batches:
        alone = ALONE if partition.one_by_one else None
        by_key = partition.ordering is Ordering.KEY and alone is None
        by_record = partition.ordering is Ordering.NONE and alone is None
        resuming = partition.offsets.resuming
        for record in records:
            if partition.draining:
                break
            if resuming and partition.offsets.was_finished(record.offset):
                partition.offsets.passed(record.offset)
                continue
            yield partition, record, record.key if by_key else record.offset if by_record else alone


def size(record: Record) -> int:
    """The bytes of a record's key and value."""
    return len(record.key or b"") + len(record.value or b"")
