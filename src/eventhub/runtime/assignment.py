"""The partitions that a worker owns: taken over, drained and committed, one assignment after the other.

The client's own view is never asked: it shows partitions that are long lost (Kafka 4.3.1 with
aiokafka 0.14: after max.poll.interval, and during a slow revocation). What counts is what the
listener was told, under an epoch that rises with every assignment.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import structlog

from eventhub.errors import BrokerError, CommitFailed, RecordUnreadable
from eventhub.record import TopicPartition
from eventhub.runtime.delay import Delay
from eventhub.runtime.hooks import tell
from eventhub.runtime.offset_map import decode_map
from eventhub.runtime.offsets import Offsets
from eventhub.runtime.options import Options, Start
from eventhub.runtime.partition import Partition

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from eventhub.brokers.base import Consumer, OffsetAndMetadata, OffsetRange
    from eventhub.record import Record
    from eventhub.runtime.burst import Batch
    from eventhub.runtime.channels import Channel
    from eventhub.runtime.lanes import Lanes
    from eventhub.runtime.offset_map import OffsetMap

log = structlog.get_logger()

MINUTE = 60.0  # seconds: how long a rebalance counts
CAREFUL_RESTARTS = 5  # deaths in a row at one place that are no accident
CAREFUL_RECORDS = 1000  # as many as may be in flight: the record that kills is among them


class Assignment:
    """The listener of one consumer, and the only one who commits for it."""

    def __init__(self, group: str, channels: Mapping[str, Channel], lanes: Lanes, options: Options) -> None:
        """Own nothing yet.

        Args:
            group: The consumer group.
            channels: What is read, by topic.
            lanes: Who handles the records.
            options: Grace periods, deadlines and where to start.
        """
        self._group = group
        self._channels = channels
        self._lanes = lanes
        self._options = options
        self._consumer: Consumer | None = None
        self._committing = asyncio.Lock()
        self._lost = False  # whether the group has refused a commit: what is owned belongs to others
        self._apart: TopicPartition | None = None  # whose records were read past the client last
        self.partitions: dict[TopicPartition, Partition] = {}
        """What is owned now."""
        self.asked: dict[TopicPartition, float] = {}
        """The partitions that every poll asks for, each with the monotonic time since when that is so."""
        self.epoch = 0
        """Rises with every change of what is owned."""
        self.unjoined_since: float | None = options.clock.monotonic()
        """Monotonic time since when the group has given us no share; None while it has, be it nothing."""
        self.idle_since: float | None = None
        """Monotonic time since when our share is nothing; None while it is more, or before the first."""
        self._assigned_at: deque[float] = deque(maxlen=100)
        self.failure: BrokerError | None = None
        """Why an assignment could not be taken over, or cannot be right; None while there is nothing against it."""
        self.commits_failed = 0
        """Commits in a row that failed."""

    @property
    def joined(self) -> bool:
        """Whether the group has given us our share, be it nothing."""
        return self.unjoined_since is None

    def rebalances(self, now: float) -> int:
        """How often the group has shared its partitions out within the last minute."""
        return sum(now - at <= MINUTE for at in self._assigned_at)

    def use(self, consumer: Consumer) -> None:
        """Speak through this consumer."""
        self._consumer = consumer

    # -- the listener -----------------------------------------------------------------------------

    async def on_revoked(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Drain and commit what is owned, then let go of it; at once if it belongs to others already."""
        self.epoch += 1
        self.unjoined_since = self._options.clock.monotonic()
        leaving = [self.partitions[tp] for tp in partitions if tp in self.partitions]
        for partition in leaving:
            partition.draining = True
        if not self._committing.locked():  # one that is under way may never be answered, and tells as much
            await self.commit(leaving)  # a refusal tells that the group went on without us
        await self._lanes.drain(leaving, 0.0 if self._lost else self._options.drain_grace)
        if not self._lost:
            await self.give_up(leaving)
        for partition in leaving:
            del self.partitions[partition.topic_partition]
        log.info("eventhub.partitions_revoked", group=self._group, partitions=len(partitions), epoch=self.epoch)

    async def on_assigned(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Take partitions over, each where the group left it."""
        self.epoch += 1
        self._lost = False
        try:
            await self._take_over(sorted(partitions))
        except BrokerError as error:  # the client would swallow it; the worker sees it at its next poll
            self.failure = error
            return
        self.unjoined_since, now = None, self._options.clock.monotonic()
        self._assigned_at.append(now)
        self.idle_since = None if partitions else self.idle_since or now
        log.info("eventhub.partitions_assigned", group=self._group, partitions=len(partitions), epoch=self.epoch)
        tell(self._options.hooks, lambda hook: hook.on_rebalanced(self._group, frozenset(partitions)))

    async def _take_over(self, partitions: Sequence[TopicPartition]) -> None:
        consumer = self._speaking()
        # Partition 0 speaks for the group: a member that gets nothing but new partitions sees no commit of its own.
        first = [TopicPartition(topic, 0) for topic in self._channels]
        committed = await consumer.committed([*partitions, *first])
        ranges = await consumer.offsets(partitions)
        known_group = any(position is not None for position in committed.values())
        taken = [self._found(tp, committed[tp], ranges[tp], known_group=known_group) for tp in partitions]
        if any(partition.careful for partition in taken):  # a death must accuse nobody who was tried beside its cause
            for partition in taken:
                partition.careful, partition.careful_until = True, partition.position + CAREFUL_RECORDS
        for partition in taken:
            self.partitions[partition.topic_partition] = partition
            self._lanes.adopt(partition)
            consumer.seek(partition.topic_partition, partition.position)

    def _found(
        self, tp: TopicPartition, position: OffsetAndMetadata | None, held: OffsetRange, *, known_group: bool
    ) -> Partition:
        """A partition as the group left it; careful if processes kept dying in it."""
        start = start_offset(position, held, self._options.start, known_group=known_group)
        done_before = decode_map(position.metadata, start) if position is not None and position.metadata else None
        restarts = restarts_of(done_before, start, held)
        partition = self._partition(tp, Offsets(start, done_before, restarts=restarts))
        partition.committed = position
        if partition.delay is not None and restarts:  # it may hold nothing but what waits, which kills nobody
            partition.untouched, partition.offsets.restarts = True, restarts - 1
        died_trying = done_before is not None and done_before.trying
        if restarts >= CAREFUL_RESTARTS or died_trying:
            partition.careful = True
            partition.killer = start if died_trying else None
            log.error("eventhub.partition_careful", **_place(tp), group=self._group, restarts=restarts)
        return partition

    def _partition(self, tp: TopicPartition, offsets: Offsets) -> Partition:
        """A partition in our hands, of which nothing was read yet."""
        channel = self._channels[tp.topic]
        wait = min(channel.wait, self._options.longest_delay)
        delay = Delay(wait) if channel.wait else None
        return Partition(tp, channel.ordering, offsets, offsets.next, origin=channel.origin, delay=delay)

    # -- records and positions --------------------------------------------------------------------

    def ask(self) -> list[TopicPartition]:
        """The partitions that the next poll asks for."""
        now = self._options.clock.monotonic()
        self.asked = {tp: self.asked.get(tp, now) for tp in self.askable()}
        return list(self.asked)

    def askable(self) -> list[TopicPartition]:
        """The partitions that may be asked for more: none whose next record is not due, or first is too far behind."""
        span, now = self._options.max_span, self._options.clock.monotonic()
        return [
            tp
            for tp, partition in self.partitions.items()
            if not partition.draining
            and not partition.crowded
            and not partition.unreadable
            and not partition.rests(now)
            and (partition.careful or not partition.one_by_one)  # keys get their lanes back once the one is empty
            and partition.position - partition.offsets.committable < span
        ]

    def accept(self, polled: Mapping[TopicPartition, Sequence[Record]]) -> list[Batch]:
        """The polled records with their partitions; what is no longer owned, or not due yet, is left out."""
        accepted: list[Batch] = []
        for tp, records in polled.items():
            partition = self.partitions.get(tp)
            if partition is not None and records and (due := self._due(partition, records)):
                accepted.append((partition, due))
        return accepted

    def _due(self, partition: Partition, records: Sequence[Record]) -> Sequence[Record]:
        """The records that may be handled now; the first that has to wait is where the partition is read on."""
        clock, due = self._options.clock, records
        if partition.delay is not None:
            due = partition.delay.due(records, clock.now(), clock.monotonic())
        partition.position = records[-1].offset + 1
        if len(due) < len(records):
            partition.position = records[len(due)].offset
            self._speaking().seek(partition.topic_partition, partition.position)
        return due

    async def announce(self, batches: Collection[Batch]) -> None:
        """Let a death be counted where records of a retry topic are taken up for the first time."""
        touched = [partition for partition, _ in batches if partition.untouched]
        for partition in touched:
            partition.untouched = False
            partition.offsets.restarts += 1
        if touched:
            await self.commit(touched)

    def seek_again(self) -> None:
        """Put the client back to our own positions, after records were thrown away."""
        for tp, partition in self.partitions.items():
            self._speaking().seek(tp, partition.position)

    async def read_apart(self, most: int) -> None:
        """Find records that the client cannot take apart, and hand over at most so many of one partition all the same.

        Where nobody can, the partition stands still, loudly: going past the record would lose it, and
        others of its batch. The next partition has its turn at the next call, once there is room for more.
        """
        self.seek_again()
        for tp in sorted(self.askable(), key=lambda tp: (self._apart is not None and tp <= self._apart, tp)):
            try:
                await self._speaking().poll([tp], max_records=most, timeout=0.1)
            except RecordUnreadable:
                partition = self.partitions.get(tp)
                if partition is not None and await self._read_partition_apart(partition, most):
                    self._apart = tp
                    break
        self.seek_again()

    async def _read_partition_apart(self, partition: Partition, most: int) -> bool:
        """Hand over at most so many records of a partition, past the client; True if there were any."""
        tp, asked = partition.topic_partition, partition.position
        facts = {**_place(tp), "group": self._group, "offset": asked}
        try:
            records, following = await self._speaking().read_apart(tp, asked, max_records=most)
        except RecordUnreadable as error:
            partition.unreadable = True
            log.error("eventhub.partition_unreadable", **facts, error=str(error))  # noqa: TRY400 - a traceback says nothing more
            return False
        if self.partitions.get(tp) is not partition:  # revoked meanwhile; somebody else reads them
            return False
        log.warning("eventhub.records_read_apart", **facts, records=len(records))
        batches = self.accept({tp: records})
        if not records or partition.position > records[-1].offset:  # all that was read is taken up, or there is nothing
            partition.position = following
        if batches:
            await self.announce(batches)
            self._lanes.feed(batches)
        return bool(batches)

    async def reset(self, positions: Mapping[TopicPartition, int | None]) -> None:
        """Go on at the first record that the log still holds; a position past its end means another log.

        Raises:
            BrokerError: If the broker does not say what it holds.
        """
        mine = {tp: partition for tp in positions if (partition := self.partitions.get(tp)) is not None}
        ranges = await self._speaking().offsets(mine)
        for tp, partition in mine.items():
            held, asked = ranges[tp], partition.position
            first = asked if held.beginning <= asked <= held.end else held.beginning
            log.warning("eventhub.offset_reset", **_place(tp), group=self._group, asked=asked, offset=first)
            if first < asked:
                await self._lanes.drain([partition], self._options.drain_grace)
            if self.partitions.get(tp) is not partition:  # revoked meanwhile; its position is another's to find
                continue
            if first < asked:  # what was finished in the last log says nothing about this one
                again = self.partitions[tp] = self._partition(tp, Offsets(first))
                self._lanes.adopt(again)
            partition.position = first
            self._speaking().seek(tp, first)

    def lag(self) -> int:
        """How many offsets the owned partitions hold beyond the last record fetched, as of the last fetch."""
        now = self._options.clock.monotonic()
        return self._beyond(partition for partition in self.partitions.values() if not partition.rests(now))

    def waiting(self) -> int:
        """How many offsets lie in retry topics whose next record is not due, as of the last fetch; none of the lag."""
        now = self._options.clock.monotonic()
        return self._beyond(partition for partition in self.partitions.values() if partition.rests(now))

    def _beyond(self, partitions: Iterable[Partition]) -> int:
        ends = ((partition, self._speaking().end_offset(partition.topic_partition)) for partition in partitions)
        return sum(max(end - partition.position, 0) for partition, end in ends if end is not None)

    def silence(self) -> float:
        """The longest time in seconds without an answer for a partition that was asked all that time."""
        now = self._options.clock.monotonic()
        found = (min(self._speaking().silence(tp) or 0.0, now - since) for tp, since in self.asked.items())
        return max(found, default=0.0)

    def withheld(self) -> int:
        """How many offsets of the owned partitions lie behind open transactions, as of the last fetch."""
        return sum(self._speaking().withheld(tp) for tp in self.partitions)

    # -- commits ----------------------------------------------------------------------------------

    async def give_up(self, partitions: Collection[Partition]) -> None:
        """Commit for the last time, in order: what the next owner finds is no crash."""
        for partition in partitions:
            partition.offsets.restarts = 0
            partition.offsets.trying = None
        await self.commit(partitions)

    async def commit(self, partitions: Collection[Partition] | None = None) -> bool:
        """Commit what is due of these partitions, or of all that are owned; a failure is logged, never raised.

        A failed commit is no error of any record: the next commit covers it, or another member
        handles the records again. What was given up meanwhile is left out: the broker would take
        a commit for it, and go back behind what its new owner has done.

        Returns:
            False if it failed; what was due may be stored all the same, or be due at the next commit.
        """
        async with self._committing:
            asked = self.partitions.values() if partitions is None else partitions
            mine = [p for p in asked if self.partitions.get(p.topic_partition) is p]
            due = {p: offset for p in mine if (offset := p.commit_due()) is not None}
            if not due:
                return True
            try:
                async with asyncio.timeout(self._options.commit_timeout):
                    await self._speaking().commit({p.topic_partition: offset for p, offset in due.items()})
            except (BrokerError, TimeoutError) as error:
                self.commits_failed += 1
                refused = isinstance(error, CommitFailed)  # late, it may be of an assignment that is gone
                self._lost = refused and any(self.partitions.get(p.topic_partition) is p for p in due)
                report = log.info if refused else log.warning
                report("eventhub.commit_failed", group=self._group, error=str(error) or type(error).__name__)
                return False
            self.commits_failed = 0
            for partition, offset in due.items():
                partition.committed = offset
            stored = {partition.topic_partition: offset.offset for partition, offset in due.items()}
            tell(self._options.hooks, lambda hook: hook.on_committed(self._group, stored))
            return True

    def _speaking(self) -> Consumer:
        if self._consumer is None:
            msg = "the assignment has no consumer yet; use() comes first"
            raise RuntimeError(msg)
        return self._consumer


def restarts_of(known: OffsetMap | None, start: int, held: OffsetRange) -> int:
    """How often in a row a partition with records to read was taken over without progress, this time included.

    Whoever gives a partition up in order sets the number back, so only processes that died count.
    """
    if held.end <= start:
        return 0
    return 1 + (known.restarts if known is not None else 0)


def _place(tp: TopicPartition) -> dict[str, object]:
    return {"topic": tp.topic, "partition": tp.partition}


def start_offset(committed: OffsetAndMetadata | None, held: OffsetRange, start: Start, *, known_group: bool) -> int:
    """Where to begin in a partition.

    A partition without a commit in a group that has commits is new: it was added while the
    group was running, so all of it is unread, whatever ``start`` says.
    """
    if committed is not None:
        return committed.offset
    if known_group or start is Start.EARLIEST:
        return held.beginning
    return held.end
