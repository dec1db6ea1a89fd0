"""The laws that no history may break, checked while it happens.

What a process does is seen from outside: what its handler is called for, what it asks of the broker
and what the broker answers. From that the laws keep their own account of what is finished, and
compare it with what the process commits.
"""

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from eventhub.brokers.base import OffsetAndMetadata
from eventhub.headers import ID
from eventhub.record import Record, TopicPartition
from eventhub.runtime.offset_map import OffsetMap, decode_map
from eventhub.service import retry_wait
from tests.simulation.history import History
from tests.simulation.ledger import Lane, Ledger, Place
from tests.simulation.plan import GROUP, ORDERS, Manner, Plan
from tests.simulation.processes import Process

MILLISECOND = 0.001
"""The seconds by which a record's time may be rounded."""


@dataclass(slots=True, eq=False)
class Share:
    """One partition in the hands of one process, from its assignment to its revocation."""

    start: int | None = None
    """Where it began to read, or None before it said so."""
    known: OffsetMap | None = None
    """What predecessors had finished beyond the start."""
    polled: int = 0
    """One past the last record that the client was given."""
    finished: set[int] = field(default_factory=set)
    """What was finished in this term."""
    late: set[int] = field(default_factory=set)
    """Of these, what was finished only after its handler had been cancelled: it need not count."""
    committed: int = 0
    """What was last asked to be committed."""
    verified: int = 0
    """Offset below which everything is known to be finished."""
    told: dict[Lane, int] = field(default_factory=dict)
    """For each lane, how many of its orders are known to be finished."""


@dataclass(slots=True, eq=False)
class Term:
    """What a process owns between two rebalances."""

    shares: dict[TopicPartition, Share]
    over: bool = False
    """Whether it has given everything up."""
    in_doubt: bool = False
    """Whether its last commit failed, so that what it finished may come again."""


@dataclass(slots=True, eq=False)
class Attempt:
    """One call of the handler."""

    process: Process
    number: int
    place: Place
    """Where the record was read."""
    share: Share
    cancelled: bool = False
    """Whether the handler was cancelled and went on."""


class Laws:
    """The account of one history."""

    def __init__(self, plan: Plan, ledger: Ledger, history: History, now: Callable[[], float]) -> None:
        """Begin with nothing handled, at a time of day that is told when it is asked for."""
        self._now = now
        self._plan = plan
        self._ledger = ledger
        self._history = history
        self._terms: dict[Process, Term] = {}
        self._running: dict[tuple[Process, Lane], Attempt] = {}
        self._owed: dict[tuple[Process, Place], tuple[Attempt, int]] = {}  # receipts that are not acknowledged yet
        self._front: dict[Lane, int] = {}  # the highest offset that was ever completed
        self.stored: dict[TopicPartition, OffsetAndMetadata] = {}
        """What the group has committed."""
        self.completed: Counter[int] = Counter()
        """How often each order's handler came to its end."""
        self.failed: Counter[int] = Counter()
        """How many attempts at each order did not."""
        self.finished: set[int] = set()
        """Orders that some process finished in good time."""
        self.over = False
        """Whether everything is handled, and nothing may be handled again."""
        self.breach: str | None = None
        """The first law that was broken, and how."""
        self.broken = asyncio.Event()
        """Set with it."""

    def break_(self, text: str) -> None:
        """Note that a law is broken; only the first matters."""
        if self.breach is None:
            self.breach = text
            self._history.note("LAW", text)
            self.broken.set()

    # -- what a process owns ----------------------------------------------------------------------

    def takes_over(self, process: Process, partitions: Collection[TopicPartition]) -> None:
        """A member was given partitions."""
        self._history.note(process.name, "is given", *(f"{topic}[{number}]" for topic, number in sorted(partitions)))
        self._terms[process] = Term({tp: Share() for tp in partitions})

    def begins_at(
        self, process: Process, partition: TopicPartition, offset: int, told: OffsetAndMetadata | None
    ) -> None:
        """A member reads a partition from an offset on, told what is committed; later seeks only repeat that."""
        share = self._share(process, partition)
        if share is None or share.start is not None:
            return
        share.start = share.committed = share.verified = share.polled = offset
        if told is None:
            return
        share.known = decode_map(told.metadata, offset)
        if told.offset != offset:
            self.break_(f"{process.name} begins {_at(partition, offset)}, committed is {told.offset}")

    def polled(self, process: Process, partition: TopicPartition, records: Sequence[Record]) -> None:
        """A member was given records."""
        if (wait := wait_in(partition)) is not None:
            for record in records:
                place = Place(partition, record.offset)
                self._ledger.stands_again(number_of(record), place, record.timestamp + wait)
        share = self._share(process, partition)
        if share is not None:
            share.polled = max(share.polled, records[-1].offset + 1)

    def gives_up(self, process: Process) -> None:
        """A member has given up all its partitions; what it finished must be stored."""
        term = self._terms.get(process)
        if term is None or term.over:
            return
        term.over = True
        self._history.note(process.name, "has given up its partitions", "in doubt" if term.in_doubt else "")
        if term.in_doubt or process.dead:
            return
        for partition, share in term.shares.items():
            lost = [offset for offset in sorted(share.finished - share.late) if not self._stored(partition, offset)]
            if lost:
                self.break_(f"{process.name} gives up {_at(partition, lost[0])}, finished but not committed")

    def _share(self, process: Process, partition: TopicPartition) -> Share | None:
        term = self._terms.get(process)
        return None if term is None or term.over else term.shares.get(partition)

    # -- what a handler does ----------------------------------------------------------------------

    def begins(self, process: Process, number: int, read_at: Place | None, told: int | None) -> Attempt:
        """A handler is called for a record that was read at a place, and is told the number of the attempt or not."""
        place = read_at or self._ledger.places[number]
        lane, share = self._ledger.lane(place), self._share(process, place.partition)
        self._history.note(process.name, "handles", number, _at(*place), lane.key)
        attempt = Attempt(process, number, place, share or Share())
        if not process.dead:
            attempt.share.finished -= attempt.share.late & {place.offset}
            wrong = self._wrong_to_begin(attempt, place, lane) or self._wrong_to_try(attempt, told)
            if wrong is not None:
                self.break_(f"{process.name} handles order {number} at {_at(*place)}{wrong}")
            self._running[process, lane] = attempt
        return attempt

    def _wrong_to_begin(self, attempt: Attempt, place: Place, lane: Lane) -> str | None:
        """Why a handler must not be called now, or None."""
        share = attempt.share
        if (other := self._at_once(attempt.process, lane)) is not None:
            return f" while order {other.number} of the same key is being handled by {other.process.name}"
        if share.start is None or place.offset < share.start:
            return ", which it does not own"
        if self._finished(share, place):
            return " again, although it is finished"
        if (before := self._unfinished_before(share, place, lane)) is not None:
            return f" although {before} of the same key is not finished"
        if self.over or (self._plan.calm and attempt.number in self.finished):
            return " again, although nothing went wrong"
        return None

    def _wrong_to_try(self, attempt: Attempt, told: int | None) -> str | None:
        """What is wrong with the time of an attempt, or with the number that the handler is told of it, or None."""
        due = self._ledger.due.get(attempt.place)
        if due is not None and (early := due - self._now()) > MILLISECOND:
            return f" {early:.3f} s before it is due"
        if told is not None and told > self.failed[attempt.number] + 1:
            return f" as attempt {told}, after {self.failed[attempt.number]} failures"
        return " as if it had not failed before" if due is not None and told == 1 else None

    def _at_once(self, process: Process, lane: Lane) -> Attempt | None:
        """An attempt at an order of the lane that is under way and must not be, or None.

        In one process there is never another. In two there may be, once a process has outlived the loss of its
        partitions; as long as nothing goes wrong only handlers do that, those that do not end when cancelled.
        """
        if not self._plan.calm:
            return self._running.get((process, lane))
        running = (attempt for (_, own), attempt in self._running.items() if own == lane)
        return next((attempt for attempt in running if attempt.process is process or not attempt.cancelled), None)

    def _unfinished_before(self, share: Share, place: Place, lane: Lane) -> int | None:
        """The first order of a lane that should have been finished before, or None."""
        offsets = self._ledger.offsets_in(lane)
        index = share.told.get(lane, bisect_left(offsets, share.start or 0))
        while index < len(offsets) and self._finished(share, Place(place.partition, offsets[index])):
            index += 1
        share.told[lane] = index
        return offsets[index] if index < len(offsets) and offsets[index] < place.offset else None

    def completes(self, attempt: Attempt, receipts: int) -> None:
        """A handler returns."""
        if attempt.process.dead:
            return
        self._ends(attempt)
        place, lane = attempt.place, self._ledger.lane(attempt.place)
        self._history.note(attempt.process.name, "completes", attempt.number)
        if not self.completed[attempt.number]:
            if place.offset < self._front.get(lane, -1):
                self.break_(f"order {attempt.number} at {_at(*place)} is completed after a later one of its key")
            self._front[lane] = place.offset
        self.completed[attempt.number] += 1
        self.failed[attempt.number] += attempt.cancelled  # it may have been its deadline that cancelled it
        if receipts:
            self._owed[attempt.process, place] = (attempt, receipts)
        else:
            self._finish(attempt)

    def breaks_off(self, attempt: Attempt, error: BaseException, *, done: bool = False) -> None:
        """A handler raises; that may mean that the order is done with."""
        if attempt.process.dead:
            return
        self._ends(attempt)
        self._history.note(attempt.process.name, "breaks off", attempt.number, repr(error))
        self.failed[attempt.number] += 1
        if done:
            self._finish(attempt)

    def receipt_acknowledged(self, process: Process, number: int, read_at: Place | None) -> None:
        """The broker has an event that a handler returned, and the process knows it."""
        self._history.note(process.name, "has published a receipt of", number)
        place = read_at or self._ledger.places[number]
        if (process, place) in self._owed:
            attempt, owed = self._owed.pop((process, place))
            if owed > 1:
                self._owed[process, place] = (attempt, owed - 1)
            else:
                self._finish(attempt)

    def copy_acknowledged(self, process: Process, place: Place, topic: str) -> None:
        """The broker has what was sent in a record's place, a dead letter or for a retry, and the process knows it."""
        self._history.note(process.name, "has put", _at(*place), "into", topic)
        share = self._share(process, place.partition)
        if share is not None:
            share.finished.add(place.offset)

    def _ends(self, attempt: Attempt) -> None:
        key = (attempt.process, self._ledger.lane(attempt.place))
        if self._running.get(key) is attempt:
            del self._running[key]

    def _finish(self, attempt: Attempt) -> None:
        offset = attempt.place.offset
        attempt.share.finished.add(offset)
        if attempt.cancelled:
            attempt.share.late.add(offset)
        else:
            self.finished.add(attempt.number)

    def _finished(self, share: Share, place: Place) -> bool:
        """Whether a process may take an order for finished."""
        offset = place.offset
        if offset in share.finished or (share.known is not None and share.known.done(offset)):
            return True
        return offset < share.polled and self._ledger.order_at(place).manner is Manner.TOMBSTONE

    # -- what is committed ------------------------------------------------------------------------

    def commits(self, process: Process, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """A member asks for positions to be stored; what a dead one asks reaches nobody."""
        if process.dead:
            return
        for partition, position in offsets.items():
            offset_map = decode_map(position.metadata, position.offset)
            self._history.note(process.name, "commits", _at(partition, position.offset), offset_map or "")
            share = self._share(process, partition)
            if share is None or share.start is None:
                self.break_(f"{process.name} commits {_at(partition, position.offset)}, which it does not own")
                continue
            if position.offset < share.committed:
                self.break_(f"{process.name} commits {_at(partition, position.offset)} after {share.committed}")
            share.committed = position.offset
            self._verify(process, partition, share, position)

    def _verify(self, process: Process, partition: TopicPartition, share: Share, position: OffsetAndMetadata) -> None:
        """Whatever a commit calls done is finished, and it counts no attempt that was not made."""
        offset_map = decode_map(position.metadata, position.offset)
        end = offset_map.end if offset_map is not None else position.offset
        offsets = self._ledger.offsets(partition)
        for offset in offsets[bisect_left(offsets, share.verified) : bisect_left(offsets, end)]:
            claimed = offset < position.offset or (offset_map is not None and offset_map.done(offset))
            if claimed and not self._finished(share, Place(partition, offset)):
                self.break_(f"{process.name} commits {_at(partition, offset)} as done, which is not finished")
            made = offset_map.attempts.get(offset, 0) if offset_map is not None else 0
            if made > self.failed[self._ledger.order_at(Place(partition, offset)).number]:
                self.break_(f"{process.name} commits {made} attempts at {_at(partition, offset)}, fewer were made")
        share.verified = max(share.verified, position.offset)

    def commit_ended(self, process: Process, *, stored: bool) -> None:
        """A member knows what became of its commit, or does not."""
        term = self._terms.get(process)
        if term is not None:
            term.in_doubt = not stored
        if not stored:
            self._history.note(process.name, "does not know what became of its commit")

    def note_stored(self, positions: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """The group's positions have changed."""
        for partition, position in positions.items():
            before = self.stored.get(partition)
            if before is not None and position.offset < before.offset:
                self.break_(f"committed goes back to {_at(partition, position.offset)} from {before.offset}")
            self.stored[partition] = position

    def _stored(self, partition: TopicPartition, offset: int) -> bool:
        """Whether whoever takes over knows that an offset is finished."""
        position = self.stored.get(partition)
        if position is None:
            return False
        offset_map = decode_map(position.metadata, position.offset)
        return offset < position.offset or (offset_map is not None and offset_map.done(offset))


def wait_in(partition: TopicPartition) -> int | None:
    """The seconds for which records wait in a partition, or None if they do not."""
    return retry_wait(partition.topic, ORDERS, GROUP)


def number_of(record: Record) -> int:
    """The number of an order that was set aside; its id is its number."""
    return int(record.header(ID) or b"")


def _at(partition: TopicPartition, offset: int) -> str:
    waits = wait_in(partition)
    return f"{partition.partition}@{offset}" + (f" of those that wait {waits} s" if waits is not None else "")
