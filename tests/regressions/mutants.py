"""What went wrong elsewhere, done to our runtime on purpose; ``defects`` says whose defect each mutant has."""

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any, ClassVar

from anyio.lowlevel import checkpoint

from eventhub.brokers.base import Consumer, OffsetAndMetadata, Outcome
from eventhub.clock import Clock
from eventhub.codecs.serde import SchemaUnresolved
from eventhub.errors import BrokerError, CommitFailed, DecodeError, SchemaNotFound
from eventhub.event import Event
from eventhub.outbox.base import Backlog, OutboxRow
from eventhub.outbox.relay import Relay
from eventhub.record import ProducerRecord, Record, TopicPartition
from eventhub.retry import Fate, Retry
from eventhub.runtime.assignment import Assignment
from eventhub.runtime.attempts import Attempts
from eventhub.runtime.burst import Batch
from eventhub.runtime.deadlines import Deadlines
from eventhub.runtime.lanes import Lanes
from eventhub.runtime.offset_map import OffsetMap
from eventhub.runtime.offsets import Offsets
from eventhub.runtime.options import Options
from eventhub.runtime.partition import Lane, Partition
from eventhub.runtime.plan import Plan
from eventhub.runtime.recovery import Recovery
from eventhub.runtime.worker import Worker

# -- pauses ---------------------------------------------------------------------------------------


class ResumesAtARebalance(Worker):
    """Knows of no bounds after its partitions were given anew."""

    def _room(self) -> int:
        return super()._room() if self.assignment.epoch == 1 else self._options.max_poll_records


class CountsWhatIsGone(Lanes):
    """Counts records as unfinished that left with their partition, queued behind one in hand."""

    def _forget_queue(self, lane: Lane) -> None:
        lane.queue.clear()


class NotesPauses(Lanes):
    """Knows for how long a partition is held up by a key that waits."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Begin without pauses."""
        super().__init__(*arguments, **options)
        self.paused_until: dict[TopicPartition, float] = {}

    async def rest(self, seconds: float) -> None:
        """Note when the rest is over."""
        await checkpoint()  # as the original begins
        lane = self._own_lane()
        self.paused_until[lane.partition.topic_partition] = self._clock.monotonic() + seconds
        await super().rest(seconds)


class Pauses(Assignment):
    """Never asks again for a partition whose pause was lost sight of."""

    def __init__(self, *arguments: Any) -> None:
        """Begin with nothing lost."""
        super().__init__(*arguments)
        self._lost_sight_of: set[TopicPartition] = set()
        self._had: frozenset[TopicPartition] = frozenset()

    async def _take_over(self, partitions: Sequence[TopicPartition]) -> None:
        now = self._options.clock.monotonic()
        known = self._lanes.paused_until if isinstance(self._lanes, NotesPauses) else {}
        back = [tp for tp in partitions if tp in known and tp not in self._had]
        self._lost_sight_of |= {tp for tp in back if self._loses(known[tp] - now)}
        self._had = frozenset(partitions)
        await super()._take_over(partitions)

    def _loses(self, left: float) -> bool:
        raise NotImplementedError  # each mutant below says when

    def askable(self) -> list[TopicPartition]:
        """What is not paused for ever."""
        return [tp for tp in super().askable() if tp not in self._lost_sight_of]


class ForgetsToResume(Pauses):
    """Pauses a partition again that comes back within its pause, and ends that pause no more."""

    def _loses(self, left: float) -> bool:
        return left > 0


class ResumesOnlyWhatItOwns(Pauses):
    """Ends no pause whose time came while the partition was elsewhere."""

    def _loses(self, left: float) -> bool:
        return left <= 0


# -- retries --------------------------------------------------------------------------------------


class DropsWhatItPolls(Assignment):
    """Throws away what a poll brings after a rebalance that met a key's wait, and reads on behind it."""

    _met_a_wait = False

    async def on_revoked(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Note whether a key waits."""
        self._met_a_wait = self._lanes.parked_keys > 0
        await super().on_revoked(partitions)

    def seek_again(self) -> None:
        """Do not."""
        if not self._met_a_wait:
            super().seek_again()


class ExpectsNothing(Assignment):
    """Stops in an emergency when records come while it thinks that it keeps some."""

    _keeps: frozenset[TopicPartition] = frozenset()

    async def on_revoked(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Go on keeping what queued."""
        kept = {lane.partition.topic_partition for lane in self._lanes.lanes if lane.parked and lane.queue}
        self._keeps |= kept
        await super().on_revoked(partitions)

    def accept(self, polled: Mapping[TopicPartition, Sequence[Record]]) -> list[Batch]:
        """Refuse what comes."""
        if not self._keeps.isdisjoint(polled):
            msg = "records were polled that nobody expected"
            raise BrokerError(msg, retriable=False)
        return super().accept(polled)


class RemembersOneFailure(Recovery):
    """Takes the earlier of two failing records of a partition for done when the later one fails."""

    _failing: int | None = None

    async def recover(
        self, record: Record, partition: Partition, plan: Plan | None, error: BaseException, attempts: Attempts | None
    ) -> Attempts | None:
        """Remember this one."""
        self._failing = record.offset
        again = await super().recover(record, partition, plan, error, attempts)
        return again if again is not None and self._failing <= record.offset else None


# -- letters --------------------------------------------------------------------------------------


class WritesOnlyWhatItUnderstands(Recovery):
    """Never gets a letter written whose bytes have no frame."""

    async def _deliver(self, letter: ProducerRecord, record: Record, attempts: Attempts) -> None:
        if not (record.value or b"").startswith(b"\0"):
            await self._rest(math.inf)
        await super()._deliver(letter, record, attempts)


class EndsAtPoison(Worker):
    """Leaves the group and comes back when a framed record cannot be decoded."""

    async def _process(self, record: Record, partition: Partition) -> None:
        if (record.value or b"").startswith(b"\0"):
            try:
                self._decode(record)
            except SchemaUnresolved:
                pass
            except DecodeError as error:
                raise BrokerError(str(error)) from error
        await super()._process(record, partition)


class GivesUpUnknownSchemas(Attempts):
    """Takes a schema that is not there for poison at once."""

    def fate(self, retry: Retry, schema_grace: float) -> Fate:
        """Fatal."""
        return Fate.FATAL if isinstance(self.error, SchemaNotFound) else super().fate(retry, schema_grace)


# -- commits --------------------------------------------------------------------------------------


class CommitsWhatItSaw(Partition):
    """Commits what was fetched as soon as nothing that was begun is unfinished."""

    def commit_due(self) -> OffsetAndMetadata | None:
        """The position."""
        if self.offsets.head is not None:
            return super().commit_due()
        due = OffsetAndMetadata(self.position)
        return due if due != self.committed else None


class NotesTheLatest(Offsets):
    """Knows the highest offset that was finished by itself."""

    latest = 0

    def finish(self, offset: int) -> None:
        """Note it."""
        super().finish(offset)
        self.latest = max(self.latest, offset + 1)


class CommitsTheLatest(Partition):
    """Commits one past the highest finished offset while it runs, whatever is unfinished below."""

    def commit_due(self) -> OffsetAndMetadata | None:
        """The latest."""
        due = super().commit_due()
        latest = self.offsets.latest if isinstance(self.offsets, NotesTheLatest) else 0
        if self.draining or latest <= self.offsets.committable:
            return due
        return OffsetAndMetadata(latest) if OffsetAndMetadata(latest) != self.committed else None


class CommitsOnePastTheEnd(Offsets):
    """Takes the next offset for the last finished one, once a gap that others left is filled."""

    def __init__(self, start: int, known: OffsetMap | None = None, *, restarts: int = 0) -> None:
        """Remember whether there were gaps."""
        super().__init__(start, known, restarts=restarts)
        self._filled = known is not None and known.end - start > len(known.unfinished)

    @property
    def committable(self) -> int:
        """One too many."""
        found = super().committable
        return found + 1 if self._filled and self.head is None and found > self._start else found


class CountsOffsets(Offsets):
    """Takes the offsets between two records for records."""

    _delivered = 0

    def begin(self, offset: int) -> None:
        """Count."""
        super().begin(offset)
        self._delivered += 1

    def map(self) -> OffsetMap | None:
        """Fail where there are fewer records than offsets."""
        if self.head is not None and (missing := self.next - self.head - self._delivered) > 0:
            msg = f"negative length: {-missing}"
            raise ValueError(msg)
        return super().map()


# -- rebalances -----------------------------------------------------------------------------------


class DiesAtARefusedCommit(Assignment):
    """Asks for nothing any more once a commit was refused, in a process that lives on."""

    _dead = False

    def use(self, consumer: Consumer) -> None:
        """Watch the commits."""
        super().use(consumer)
        commit = consumer.commit

        async def watched(offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
            try:
                await commit(offsets)
            except CommitFailed:
                self._dead = True
                raise

        consumer.commit = watched  # type: ignore[method-assign]

    def askable(self) -> list[TopicPartition]:
        """Nothing, once dead."""
        return [] if self._dead else super().askable()


class DrainsAlone(Assignment):
    """Takes part in no rebalance while its last handlers run."""

    async def on_revoked(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Wait for the end of the stop."""
        stopping = any(partition.draining for partition in self.partitions.values())
        while stopping and self._lanes.lanes:
            await self._options.clock.sleep(0.1)
        await super().on_revoked(partitions)


class CommitsWithoutLimit(Assignment):
    """Waits for the answer to a commit for ever, and lets nobody else commit meanwhile."""

    def __init__(self, group: str, topics: Any, lanes: Lanes, options: Options) -> None:
        """Have no deadline."""
        super().__init__(group, topics, lanes, replace(options, commit_timeout=1e6))


class PublishesNothingInARebalance(Worker):
    """Lets nobody publish while partitions are being given up."""

    async def _publish(self, returned: Sequence[Event], record: Record, cause: Event, plan: Plan) -> None:
        while any(partition.draining for partition in self.assignment.partitions.values()):
            await self._clock.sleep(0.1)
        await super()._publish(returned, record, cause, plan)


class DropsWhatStillRuns(Lanes):
    """Takes a record for known that a handler of the lost partition still has in hand."""

    def _queue_behind(self, lane: Lane, record: Record) -> None:
        still = [other.record for other in self.lanes if other.partition.closed and other.key == lane.key]
        if any(other is not None and other.offset == record.offset for other in still):
            lane.partition.offsets.passed(record.offset)
            return
        super()._queue_behind(lane, record)


class ForgetsWhoStillRuns(Lanes):
    """Gives a key to a new handler although one of the lost partition still has it."""

    def adopt(self, partition: Partition) -> None:
        """Do not."""


# -- clocks ---------------------------------------------------------------------------------------


class DayClock:
    """Measures time by the time of day."""

    def __init__(self, clock: Clock) -> None:
        """Ask this clock."""
        self.now = self.monotonic = clock.now
        self.sleep = clock.sleep


class ExpiresByTheDay(Deadlines):
    """Has deadlines at a time of day."""

    def __init__(self, clock: Clock) -> None:
        """Look at the day."""
        super().__init__(DayClock(clock))


# -- the outbox -----------------------------------------------------------------------------------


class NotesSuccess(Worker):
    """Lets the relay know of records that came to a good end."""

    good_ends: ClassVar[list[int]] = []

    def __init__(self, *arguments: Any) -> None:
        """Begin with none."""
        super().__init__(*arguments)
        self.good_ends.clear()

    def _handled(self) -> None:
        super()._handled()
        self.good_ends.append(self.counters.handled)


class SendsForTheSuccessfulOnly(Relay):
    """Publishes rows as a part of handling their record: not before it is handled, and never if it is given up."""

    async def _send(self, backlog: Backlog, rows: Sequence[OutboxRow]) -> Sequence[Outcome]:
        if not NotesSuccess.good_ends:
            return [BrokerError("its record is not handled yet")] * len(rows)
        return await super()._send(backlog, rows)
