"""What is on its way to one partition, and who waits for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from eventhub.brokers.base import Outcome
from eventhub.errors import BrokerError
from eventhub.record import ProducerRecord, RecordMetadata, TopicPartition


class Call:
    """One call of ``send``: the outcomes of its records, in its order."""

    __slots__ = ("_left", "_outcomes", "done")

    def __init__(self, size: int, done: asyncio.Future[Sequence[Outcome]]) -> None:
        """Wait for so many outcomes; ``done`` gets them all."""
        self._outcomes: list[Outcome | None] = [None] * size
        self._left = size
        self.done = done

    def settle(self, index: int, outcome: Outcome) -> None:
        """Say what became of one record."""
        self._outcomes[index] = outcome
        self._left -= 1
        if not self._left and not self.done.done():  # a cancelled caller waits no longer
            self.done.set_result([outcome for outcome in self._outcomes if outcome is not None])


class Entry(NamedTuple):
    """A record on its way."""

    record: ProducerRecord
    size: int
    """The most bytes that it takes in a batch of its own."""
    deadline: float
    """The loop's time when its outcome is due."""
    call: Call
    place: int
    """Which of the call's records it is."""


class Lane:
    """The records for one partition, in the order in which they are to be written.

    At most one batch is under way; what comes meanwhile gathers here and makes the next one.
    """

    __slots__ = ("_on_settled", "_waiting", "alone", "partition", "running")

    def __init__(self, partition: TopicPartition, on_settled: Callable[[int, int], None]) -> None:
        """Make an empty lane; ``on_settled`` hears how many records and bytes have their outcome."""
        self.partition = partition
        self.running = False
        self.alone = 0
        """How many records go one by one, since one among them was refused."""
        self._waiting: deque[Entry] = deque()
        self._on_settled = on_settled

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def deadline(self) -> float:
        """The loop's time when the first outcome is due."""
        return self._waiting[0].deadline

    @property
    def is_stamped_here(self) -> bool:
        """Whether the first record gets this machine's time, since it brings none."""
        return self._waiting[0].record.timestamp is None

    def put(self, entry: Entry) -> None:
        """Queue a record at the end."""
        self._waiting.append(entry)

    def put_back(self, batch: Sequence[Entry]) -> None:
        """Queue a batch at the front, to be sent again before anything newer."""
        self._waiting.extendleft(reversed(batch))

    def take(self, limit: int, overhead: int) -> list[Entry]:
        """The next batch: as many records as fit into so many bytes, at least one.

        Args:
            limit: The bytes of a batch.
            overhead: The bytes of a batch without records, which each entry's size counts.
        """
        batch = [self._waiting.popleft()]
        if self.alone:
            self.alone -= 1
            return batch
        size = batch[0].size
        while self._waiting and (size := size + self._waiting[0].size - overhead) <= limit:
            batch.append(self._waiting.popleft())
        return batch

    def pop(self, count: int) -> list[Entry]:
        """Take the first so many records out."""
        return [self._waiting.popleft() for _ in range(count)]

    def written(self, batch: Sequence[Entry], base_offset: int) -> None:
        """Settle a batch that all in-sync replicas have; a negative offset says that the broker did not tell."""
        topic, partition = self.partition
        for position, entry in enumerate(batch):
            offset = base_offset + position if base_offset >= 0 else None
            entry.call.settle(entry.place, RecordMetadata(topic, partition, offset))
        self._on_settled(len(batch), sum(entry.size for entry in batch))

    def fail(self, batch: Sequence[Entry], error: Callable[[], BrokerError]) -> None:
        """Settle records that were not written, or perhaps not; each gets an error of its own to raise."""
        for entry in batch:
            entry.call.settle(entry.place, error())
        self._on_settled(len(batch), sum(entry.size for entry in batch))

    def fail_all(self, error: Callable[[], BrokerError]) -> None:
        """Settle everything that waits: nothing newer may overtake what is unsettled."""
        batch = list(self._waiting)
        self._waiting.clear()
        self.alone = 0
        self.fail(batch, error)
