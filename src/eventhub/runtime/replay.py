"""Dead letters: looked at, replayed to the group that gave them up, or dropped.

What was settled is remembered in the commits of a group of its own, ``<group>.replay.<topic>``. While
a replay runs, they carry a mark that says where it sends. A run that ends without taking its mark
away may have sent letters that it does not remember, so the next one looks for their replay ids in
the destination before it sends anything. Thus a letter arrives once, however often a replay is
repeated and wherever it breaks off, unless the broker takes a record long after it was given up.
"""

from __future__ import annotations

import math
from collections import Counter
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from hashlib import blake2b
from typing import TYPE_CHECKING

from eventhub import headers as names
from eventhub.clock import Clock, SystemClock
from eventhub.errors import BrokerError, DeclarationError, PublishRefused
from eventhub.headers import without_control
from eventhub.record import ProducerRecord, Record
from eventhub.runtime.dead_letter import DeadLetter, read_dead_letter
from eventhub.runtime.reading import Reading
from eventhub.service import dead_letter_topic, replay_topic

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence

    from eventhub.brokers.base import Broker, Outcome, Producer, TopicInfo

_READ_AT_ONCE = 500  # letters between two commits
_SENT_AT_ONCE = 100  # the same, where each of them may fail on its own
_ORIGIN = (
    names.ORIGIN_TOPIC,
    names.ORIGIN_PARTITION,
    names.ORIGIN_OFFSET,
    names.ORIGIN_TIMESTAMP,
    names.ORIGIN_GROUP,
)  # what stays known of a letter that is replayed; the story of its failure begins anew


class Destination(Enum):
    """Who gets replayed letters."""

    GROUP = "group"
    """The group that gave them up, and no other; the default."""
    ORIGIN = "origin"
    """The topic they came from, so that every group gets them again."""


_MARKS = {Destination.GROUP: 1, Destination.ORIGIN: 2}  # bits, since runs of both kinds may break off


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters are meant; what is None does not matter."""

    since: float | None = None
    """Those that failed at this time or later, in seconds since the epoch."""
    until: float | None = None
    """Those that failed before this time."""
    handler: str | None = None
    """Those of this handler."""
    error_type: str | None = None
    """Those of errors of this class, by its qualified name."""
    key: bytes | None = None
    """Those of records with this key."""
    place: tuple[int, int] | None = None
    """The one in this partition at this offset of the dead-letter topic."""

    def takes(self, letter: DeadLetter) -> bool:
        """Whether a letter is meant."""
        record = letter.record
        return (
            (self.since is None or letter.failed_at >= self.since)
            and (self.until is None or letter.failed_at < self.until)
            and self.handler in {None, letter.handler}
            and self.error_type in {None, letter.error_type}
            and self.key in {None, record.key}
            and self.place in {None, (record.partition, record.offset)}
        )


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """How letters are replayed."""

    destination: Destination = Destination.GROUP
    """Who gets them."""
    rate: float = math.inf
    """Letters a second at most."""
    max_replays: int = 3
    """Replays of one record after which it is left alone: it does not get better by itself."""

    def __post_init__(self) -> None:
        """Refuse a rate at which nothing would ever be sent."""
        if not self.rate > 0:
            msg = f"a replay needs a rate above 0 letters a second, not {self.rate}"
            raise DeclarationError(msg)


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of the letters that were meant, or would become of them in a dry run."""

    done: int
    """Letters that were replayed or dropped."""
    known: int
    """Letters that an earlier run had replayed before it broke off; they are not sent again."""
    left: Mapping[str, int]
    """Letters that were left alone, by the reason."""
    complete: bool
    """False if the rest has to wait until older letters are settled, since no more gaps can be remembered."""


class DeadLetterTopic:
    """The dead letters of one group from one topic."""

    def __init__(self, broker: Broker, topic: str, group: str, *, clock: Clock | None = None) -> None:
        """Name them.

        Args:
            broker: Where they are; already started.
            topic: The topic that the records were read from.
            group: The service that gave them up.
            clock: What paces replays, or None for the system's.
        """
        self._broker = broker
        self._topic = topic
        self._group = group
        self._clock = clock if clock is not None else SystemClock()
        self._name = dead_letter_topic(topic, group)
        self._memory = f"{group}.replay.{topic}"
        self._destinations = {Destination.GROUP: replay_topic(topic, group), Destination.ORIGIN: topic}

    async def pending(self, selection: Selection = Selection()) -> AsyncGenerator[DeadLetter, None]:
        """The letters that are neither replayed nor dropped, in order within each partition.

        Whoever leaves early closes it (``contextlib.aclosing``).

        Raises:
            BrokerError: If there is no such topic, or the broker does not answer.
        """
        async with Reading(self._broker, self._name, memory=self._memory) as reading:
            async for batch in reading.batches(_READ_AT_ONCE):
                for letter in map(read_dead_letter, batch):
                    if selection.takes(letter):
                        yield letter

    async def replay(
        self, selection: Selection, options: ReplayOptions = ReplayOptions(), *, dry_run: bool = True
    ) -> Settled:
        """Send letters once more, with their original bytes and a count of their replays.

        Raises:
            BrokerError: If the destination does not exist, another run holds the letters, or the broker
                does not take one. What was sent by then is remembered, or found by the next run.
        """
        destination = await self._destination(options.destination)
        tally = _Tally()
        if dry_run:
            await self._look(selection, tally, options)
            return tally.settled()
        mark = _MARKS[options.destination]
        sent_before = _SentBefore(self._broker, self._destinations)
        started = self._clock.monotonic()
        async with self._producer() as producer, self._reading() as reading:
            async for batch in reading.batches(max(1, int(min(_SENT_AT_ONCE, options.rate)))):
                fresh = await sent_before.settle(batch, reading, tally)
                meant = [letter for letter in map(read_dead_letter, fresh) if selection.takes(letter)]
                due = [letter for letter in meant if not tally.leaves(self._hindrance(letter, options))]
                if not due:
                    continue
                if not reading.has_room([letter.record for letter in due]):
                    return tally.settled(complete=False)
                await reading.commit(mark)
                outcomes = await producer.send([replayed(letter, destination) for letter in due])
                failure = tally.note(due, outcomes, reading)
                await reading.commit(mark)
                if failure is not None:
                    raise failure
                await self._clock.sleep(tally.done / options.rate - (self._clock.monotonic() - started))
            await reading.commit(None)
        return tally.settled()

    async def drop(self, selection: Selection, *, dry_run: bool = True) -> Settled:
        """Settle letters without sending them anywhere; the topic's retention deletes them some day.

        Raises:
            BrokerError: If there is no such topic, another run holds the letters, or the broker does not answer.
        """
        tally = _Tally()
        if dry_run:
            await self._look(selection, tally)
            return tally.settled()
        async with self._reading() as reading:
            async for batch in reading.batches(_READ_AT_ONCE):
                due = [record for record in batch if selection.takes(read_dead_letter(record))]
                if not due:
                    continue
                if not reading.has_room(due):
                    return tally.settled(complete=False)
                for record in due:
                    reading.settle(record)
                await reading.commit(0)
                tally.done += len(due)
        return tally.settled()

    async def _look(self, selection: Selection, tally: _Tally, options: ReplayOptions | None = None) -> None:
        """Count what would be done; without options nothing hinders it."""
        async with aclosing(self.pending(selection)) as letters:
            async for letter in letters:
                if options is None or not tally.leaves(self._hindrance(letter, options)):
                    tally.done += 1

    def _hindrance(self, letter: DeadLetter, options: ReplayOptions) -> str | None:
        """Why a letter cannot be replayed, or None."""
        if letter.origin is None or letter.origin.topic != self._topic or letter.group != self._group:
            return f"it does not say that {self._group} gave it up from {self._topic}"
        if letter.is_reference:
            return "its value was too large and is only at the origin"
        if letter.replay_count >= options.max_replays:
            return f"it was replayed {options.max_replays} times already"
        return None

    async def _destination(self, destination: Destination) -> TopicInfo:
        name = self._destinations[destination]
        info = (await self._broker.admin.topics()).get(name)
        if info is None:
            msg = f"there is no topic {name} to replay to; create it with as many partitions as {self._name}"
            raise BrokerError(msg, retriable=False)
        return info

    def _reading(self) -> Reading:
        return Reading(self._broker, self._name, memory=self._memory, remembers=True)

    @asynccontextmanager
    async def _producer(self) -> AsyncIterator[Producer]:
        producer = self._broker.producer()
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()


def replay_id(record: Record) -> bytes:
    """What names the replay of a letter: the same whenever the same letter is replayed."""
    place = f"{record.topic}/{record.partition}/{record.offset}/{record.timestamp!r}"
    return blake2b(place.encode(), digest_size=16).hexdigest().encode()


def replayed(letter: DeadLetter, destination: TopicInfo) -> ProducerRecord:
    """The record that is sent: the original bytes, where they came from, and which replay it is."""
    record = letter.record
    origin = [(name, value) for name, value in record.headers if name in _ORIGIN]
    ours = [(names.REPLAY_ID, replay_id(record)), (names.REPLAY_COUNT, b"%d" % (letter.replay_count + 1))]
    return ProducerRecord(
        topic=destination.name,
        key=record.key,
        value=record.value,
        headers=(*without_control(record.headers), *origin, *ours),
        partition=record.partition if record.partition < destination.partitions else None,
    )


@dataclass(slots=True)
class _Tally:
    """What became of letters so far."""

    done: int = 0
    known: int = 0
    left: Counter[str] = field(default_factory=Counter)

    def leaves(self, hindrance: str | None) -> bool:
        """Whether something hinders a letter; then it is counted."""
        if hindrance is not None:
            self.left[hindrance] += 1
        return hindrance is not None

    def note(self, sent: Sequence[DeadLetter], outcomes: Sequence[Outcome], reading: Reading) -> BrokerError | None:
        """Settle what the broker took; returns why it did not take the first of the others, unless it never will."""
        failure: BrokerError | None = None
        for letter, outcome in zip(sent, outcomes, strict=True):
            if isinstance(outcome, PublishRefused):
                self.left["the broker refuses it"] += 1
            elif isinstance(outcome, BrokerError):
                failure = failure or outcome
            else:
                reading.settle(letter.record)
                self.done += 1
        return failure

    def settled(self, *, complete: bool = True) -> Settled:
        return Settled(self.done, self.known, dict(self.left), complete)


class _SentBefore:
    """The replay ids that runs which broke off have left in their destinations."""

    def __init__(self, broker: Broker, destinations: Mapping[Destination, str]) -> None:
        self._broker = broker
        self._unread = dict(destinations)
        self._ids: set[bytes] = set()

    async def settle(self, batch: Sequence[Record], reading: Reading, tally: _Tally) -> Sequence[Record]:
        """Settle what was sent before; returns the others."""
        marks = {reading.mark(record) for record in batch}
        for destination, mark in _MARKS.items():
            if destination in self._unread and any(mark & left for left in marks):
                await self._read(self._unread.pop(destination))
        known = [record for record in batch if replay_id(record) in self._ids] if self._ids else []
        for record in known:
            reading.settle(record)
        tally.known += len(known)
        return [record for record in batch if record not in known] if known else batch

    async def _read(self, topic: str) -> None:
        """Note the replay ids in a topic; one that is gone holds none."""
        if topic not in await self._broker.admin.topics():
            return
        async with Reading(self._broker, topic) as reading:
            async for batch in reading.batches(_READ_AT_ONCE):
                found = (record.header(names.REPLAY_ID) for record in batch)
                self._ids.update(replay for replay in found if replay is not None)
