"""One partition in the hands of one worker, from its assignment to its revocation, and its keys under way."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from eventhub.brokers.base import METADATA_LIMIT, OffsetAndMetadata
from eventhub.runtime.offset_map import encode_map
from eventhub.subscription import Ordering

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from eventhub.record import Record, TopicPartition
    from eventhub.runtime.delay import Delay
    from eventhub.runtime.offsets import Offsets

CROWDED = METADATA_LIMIT * 3 // 4  # characters of metadata above which a partition gets no new records
ALONE = "alone"  # the one lane of a careful partition; no record's key, which is bytes or nothing


@dataclass(slots=True, eq=False)
class Partition:
    """What a worker knows of one assigned partition.

    A partition that comes back after a rebalance is another ``Partition``: whoever still holds
    the old one finds it closed and changes nothing.
    """

    topic_partition: TopicPartition
    ordering: Ordering
    offsets: Offsets
    position: int
    """The next offset to fetch; the truth after a rebalance, when the client has forgotten it."""
    lanes: dict[Hashable, Lane] = field(default_factory=dict)
    """The keys that are under way in a task of their own."""
    draining: bool = False
    """Whether nothing new may be started."""
    closed: bool = False
    """Whether completions come too late to count."""
    committed: OffsetAndMetadata | None = None
    """What this worker committed last."""
    origin: str | None = None
    """The topic whose records come back through this one, or None for a topic of events."""
    delay: Delay | None = None
    """When its records are due, or None where they are due at once."""
    untouched: bool = False
    """Whether nothing of a retry topic has been due yet, so that a death is none of its records' doing."""
    careful: bool = False
    """Whether records are tried one by one, each marked before, since processes keep dying here."""
    careful_until: int = 0
    """The offset at which that ends."""
    killer: int | None = None
    """The offset of the record that was tried alone when the last process died, or None."""
    unreadable: bool = False
    """Whether it holds a record that the client cannot take apart, so that it stands still."""
    crowded: bool = False
    """Whether what is finished beyond the commit hardly fits its metadata, so that nothing more is fetched."""

    @property
    def topic(self) -> str:
        """The topic that its records were written to at first."""
        return self.origin if self.origin is not None else self.topic_partition.topic

    @property
    def one_by_one(self) -> bool:
        """Whether all records share a lane: while it is careful, and until what queued there is done."""
        return self.careful or ALONE in self.lanes

    def rests(self, now: float) -> bool:
        """Whether its next record is not due at this monotonic time."""
        return self.delay is not None and now < self.delay.until

    def lane_key(self, record: Record) -> Hashable:
        """The key of a record's lane; ``burst.items`` says the same for many."""
        if self.one_by_one:
            return ALONE
        return {Ordering.KEY: record.key, Ordering.PARTITION: None, Ordering.NONE: record.offset}[self.ordering]

    def commit_due(self) -> OffsetAndMetadata | None:
        """What is to be committed now, or None if that is committed already."""
        done_beyond = self.offsets.map()
        metadata = encode_map(done_beyond) if done_beyond is not None else ""
        self.crowded = metadata is None or len(metadata) > CROWDED
        due = OffsetAndMetadata(self.offsets.committable, metadata or "")
        return due if due != self.committed else None


@dataclass(slots=True, eq=False)
class Lane:
    """A key under way: the record in hand, and those that wait behind it."""

    partition: Partition
    key: Hashable
    record: Record | None
    """The record in hand, or None between two."""
    since: float
    """Monotonic time at which the record in hand was taken up."""
    queue: deque[Record] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None
    placed: bool = False
    """Whether it occupies one of the places to run."""
    parked: bool = False
    """Whether the record in hand rests until its next attempt."""
    begun: asyncio.Event | None = None
    """Set once another lane handles the record in hand along with its own; None where none will."""

    @property
    def is_handled(self) -> bool:
        """Whether a handler has the record in hand."""
        return self.placed or (self.begun is not None and self.begun.is_set())


def outlived(partition: Partition, stubborn: Iterable[Lane]) -> dict[Hashable, list[asyncio.Task[None]]]:
    """What each key of a partition has to wait for: handlers of its predecessors that did not end when cancelled."""
    waiting: dict[Hashable, list[asyncio.Task[None]]] = defaultdict(list)
    for lane in stubborn:
        same = lane.partition.topic_partition == partition.topic_partition
        if same and lane.task is not None and lane.record is not None:
            waiting[partition.lane_key(lane.record)].append(lane.task)
    return waiting
