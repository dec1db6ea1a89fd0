"""Runtimes that are broken on purpose, to show that the laws see it.

Each derives from a class of the runtime and does one thing wrong, the way other runtimes do or did.
Only here is anything of eventhub replaced.
"""

import asyncio
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import ModuleType
from typing import Any

from eventhub.brokers.base import OffsetAndMetadata, OffsetRange
from eventhub.record import ProducerRecord, Record, TopicPartition
from eventhub.runtime import assignment, supervisor, worker
from eventhub.runtime.assignment import Assignment
from eventhub.runtime.attempts import Attempts
from eventhub.runtime.channels import Channel
from eventhub.runtime.counters import Counters
from eventhub.runtime.delay import Delay
from eventhub.runtime.lanes import Lanes
from eventhub.runtime.offset_map import OffsetMap
from eventhub.runtime.offsets import Offsets
from eventhub.runtime.options import Options
from eventhub.runtime.partition import Lane, Partition
from eventhub.runtime.plan import Plan
from eventhub.runtime.recovery import Recovery
from eventhub.runtime.retry_topic import set_aside
from eventhub.runtime.trials import Trials
from eventhub.runtime.wiring import Wiring
from eventhub.runtime.worker import Worker
from eventhub.service import Service, retry_topic
from eventhub.subscription import Ordering


class CommitsTheHighest(Offsets):
    """Commits one past the highest finished offset, whatever is unfinished below."""

    highest = 0

    def finish(self, offset: int) -> None:
        """Remember the highest."""
        super().finish(offset)
        self.highest = max(self.highest, offset + 1)

    @property
    def committable(self) -> int:
        """The highest."""
        return max(super().committable, self.highest)

    def map(self) -> OffsetMap | None:
        """No map: there is nothing beyond the highest."""
        return None


class CommitsBeforeHandling(Offsets):
    """Commits what was delivered."""

    @property
    def committable(self) -> int:
        """One past the last that was delivered."""
        return self.next

    def map(self) -> OffsetMap | None:
        """No map: all is done."""
        return None


class HandlesKeysInParallel(Assignment):
    """Forgets that keys have an order."""

    def __init__(self, group: str, channels: Mapping[str, Channel], lanes: Lanes, options: Options) -> None:
        """Order nothing."""
        unordered = {topic: replace(channel, ordering=Ordering.NONE) for topic, channel in channels.items()}
        super().__init__(group, unordered, lanes, options)


class DropsLetters(Recovery):
    """Takes a record for done although its dead letter was not taken."""

    async def _deliver(self, letter: ProducerRecord, record: Record, attempts: Attempts) -> None:
        del record, attempts
        await self._wiring.publisher.producer.send([letter])


class KnowsNoEpochs(Assignment):
    """Goes on with what it knew of a partition before it lost it, and so do its handlers."""

    async def on_revoked(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Commit, but let everything run."""
        self.unjoined_since = self._options.clock.monotonic()
        await self.commit([self.partitions[tp] for tp in partitions if tp in self.partitions])

    async def _take_over(self, partitions: Sequence[TopicPartition]) -> None:
        known = dict(self.partitions)
        self.partitions.clear()
        await super()._take_over(partitions)
        self.partitions.update((tp, known[tp]) for tp in partitions if tp in known)


class ReordersRetries(Lanes):
    """Lets later records of a key go first while one waits for its next attempt."""

    async def rest(self, seconds: float) -> None:
        """Rest without the key."""
        await asyncio.sleep(0)
        lane = self._own_lane()
        lane.partition.lanes.pop(lane.key, None)
        waiting, lane.queue = lane.queue, deque()
        for record in waiting:
            self._leave(record)
            self._fed.append([(lane.partition, [record])])
        if waiting and self._hungry is not None and not self._hungry.done():
            self._hungry.set_result(None)
        await super().rest(seconds)
        lane.partition.lanes.setdefault(lane.key, lane)


class ForgetsTheParked(Lanes):
    """Takes a record for done as soon as it waits for its next attempt."""

    def _park(self, lane: Lane) -> None:
        super()._park(lane)
        if lane.record is not None:
            lane.partition.offsets.finish(lane.record.offset)


class FinishesTwice(Offsets):
    """Does not mind when a record is finished again."""

    def finish(self, offset: int) -> None:
        """Finish what is unfinished."""
        if offset in self._unfinished:
            super().finish(offset)


class DropsWhatIsSetAside(Recovery):
    """Takes a record for set aside although its retry topic did not take it."""

    async def _set_aside(self, record: Record, partition: Partition, plan: Plan, attempts: Attempts) -> bool:
        wait = plan.retry.long_wait_before(attempts.attempt + 1)
        if wait is None or partition.ordering is not Ordering.NONE:
            return False
        reason = attempts.reason(self._group, plan.name)
        topic = retry_topic(partition.topic, self._group, wait)
        copy = set_aside(record, reason, topic=topic, trusted=partition.origin is not None)
        await self._wiring.publisher.producer.send([copy])
        return True


class WaitsForNothing(Delay):
    """Takes every record for due."""

    def due(self, records: Sequence[Record], now: float, monotonic: float) -> Sequence[Record]:
        """All of them."""
        del now, monotonic
        return records


class PassesOverWhatWaits(Assignment):
    """Reads on behind the records that are not due."""

    def _due(self, partition: Partition, records: Sequence[Record]) -> Sequence[Record]:
        due = super()._due(partition, records)
        partition.position = records[-1].offset + 1
        self._speaking().seek(partition.topic_partition, partition.position)
        return due


class ForgetsTheStubborn(Worker):
    """Knows nothing of handlers that outlive the worker before."""

    def __init__(
        self, service: Service[Any], state: object, wiring: Wiring, counters: Counters, stubborn: Collection[Lane]
    ) -> None:
        """Begin without any."""
        del stubborn
        super().__init__(service, state, wiring, counters)


class MarksNobody(Trials):
    """Tries records one by one, but does not say which one."""

    async def begin(self, record: Record, partition: Partition) -> None:
        """Begin, and take the mark away before the commit."""
        unmarked = replace(partition, offsets=Offsets(0))
        await super().begin(record, unmarked)
        partition.careful = unmarked.careful


class AccusesTheFirst(Assignment):
    """Takes the first unfinished record for the one that processes die of."""

    def _found(
        self, tp: TopicPartition, position: OffsetAndMetadata | None, held: OffsetRange, *, known_group: bool
    ) -> Partition:
        partition = super()._found(tp, position, held, known_group=known_group)
        partition.killer = partition.position if partition.careful else None
        return partition


class TriesPartitionsBesideOthers(Assignment):
    """Lets records run unmarked while one of another partition is tried."""

    async def _take_over(self, partitions: Sequence[TopicPartition]) -> None:
        await super()._take_over(partitions)
        for partition in self.partitions.values():
            partition.careful = partition.careful and partition.offsets.restarts >= assignment.CAREFUL_RESTARTS


Swap = tuple[ModuleType, str, type]

MUTANTS: Mapping[str, Collection[Swap]] = {
    "commit-max": [(assignment, "Offsets", CommitsTheHighest)],
    "commit-before-handling": [(assignment, "Offsets", CommitsBeforeHandling)],
    "parallel-key": [(worker, "Assignment", HandlesKeysInParallel)],
    "drop-on-dead-letter-failure": [(worker, "Recovery", DropsLetters)],
    "no-epoch": [(worker, "Assignment", KnowsNoEpochs), (assignment, "Offsets", FinishesTwice)],
    "retry-reorders": [(worker, "Lanes", ReordersRetries), (assignment, "Offsets", FinishesTwice)],
    "forget-parked": [(worker, "Lanes", ForgetsTheParked), (assignment, "Offsets", FinishesTwice)],
    "drop-on-set-aside-failure": [(worker, "Recovery", DropsWhatIsSetAside)],
    "wait-for-nothing": [(assignment, "Delay", WaitsForNothing)],
    "pass-over-what-waits": [(worker, "Assignment", PassesOverWhatWaits)],
    "forget-stubborn": [(supervisor, "Worker", ForgetsTheStubborn)],
    "mark-nobody": [(worker, "Trials", MarksNobody)],
    "accuse-the-first": [(worker, "Assignment", AccusesTheFirst)],
    "try-beside-others": [(worker, "Assignment", TriesPartitionsBesideOthers)],
}
"""What each mutant puts in the place of what."""


@contextmanager
def mutated(name: str | None) -> Iterator[None]:
    """Run with a mutant, or with the runtime as it is."""
    with ExitStack() as undo:
        for module, attribute, mutant in MUTANTS[name] if name is not None else ():
            undo.callback(setattr, module, attribute, getattr(module, attribute))
            setattr(module, attribute, mutant)
        yield
