"""Writes in batches, in order, confirmed by all in-sync replicas.

Each partition has a lane. Nothing under way: a record ships at once. A batch under way: records
gather, and make the next batch. The client's producer is replaced whenever a batch fails, since
its sequence cannot be trusted afterwards.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from itertools import count
from typing import Any

import structlog
from aiokafka.errors import InvalidTimestampError

from eventhub.brokers.base import Outcome, TopicInfo
from eventhub.brokers.kafka.admin import KafkaAdmin
from eventhub.brokers.kafka.errors import FOREIGN, Place, explain, place_of, translate
from eventhub.brokers.kafka.lanes import Call, Entry, Lane
from eventhub.brokers.kafka.refusals import BATCH_OVERHEAD, batch_size_of, refusal
from eventhub.brokers.kafka.session import Session
from eventhub.brokers.kafka.topics import TopicCache
from eventhub.brokers.partitioner import murmur2
from eventhub.errors import BrokerError, PublishRefused, PublishUncertain
from eventhub.record import ProducerRecord, TopicPartition

log = structlog.get_logger()

DELIVERY_TIMEOUT = 30.0
"""Seconds until the outcome of a record is uncertain."""
MAX_PENDING = 20_000
"""Records on their way; more have to wait in front."""
MAX_PENDING_BYTES = 32 * 1024 * 1024
SETTLE_TIMEOUT = 5.0
"""Seconds that healthy partitions have to finish their batch when another one makes the producer be replaced."""
FLUSH_TIMEOUT = 1.0
"""Seconds that a stop waits for what is on its way."""
_DOUBT_AGE = 1.0  # seconds after which what is known of a topic does not suffice to refuse a record
_YIELD_EVERY = 256
_CLOCK = "set this machine's clock right, or see what times the topic takes (message.timestamp.*)"
_BACK_OFF = (0.05, 0.2, 1.0, 2.0)
_CACHED_KEY_BYTES = 64

_hash = lru_cache(maxsize=65_536)(murmur2)


class _Stop(Exception):
    """Ends a task group; it never leaves this module."""


class KafkaProducer:
    """A connection that writes."""

    def __init__(
        self,
        options: Mapping[str, Any],
        admin: KafkaAdmin,
        *,
        delivery_timeout: float = DELIVERY_TIMEOUT,
        settle_timeout: float = SETTLE_TIMEOUT,
    ) -> None:
        """Remember how to connect.

        Args:
            options: The client's keyword arguments.
            admin: Who knows the topics.
            delivery_timeout: Seconds until an outcome is uncertain.
            settle_timeout: Seconds for healthy partitions when another one makes the client be replaced.
        """
        self._options = options
        self._timeout = delivery_timeout
        self._settle_timeout = settle_timeout
        self._max_batch = int(options["max_batch_size"])
        self._max_record = int(options["max_request_size"])
        self._topics = TopicCache(admin)
        self._lanes: dict[TopicPartition, Lane] = {}
        self._spread = count()
        # Who sends is who came first: a fair lock keeps the order also while one waits for room.
        self._entrance = asyncio.Lock()
        self._room = asyncio.Event()
        self._room.set()
        self._drained = asyncio.Event()
        self._drained.set()
        self._pending = self._pending_bytes = 0
        # The session in use, or None while it is being replaced.
        self._session: Session | None = None
        self._connected = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._runner: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Connect.

        Raises:
            BrokerError: If the broker cannot be reached, or denies writing.
        """
        self._session = await Session.open(self._options)
        # One task that outlives this call and owns the group of all others, since stop may be called by another task.
        self._runner = asyncio.get_running_loop().create_task(self._run())
        await self._connected.wait()

    async def stop(self) -> None:
        """Disconnect; what is unconfirmed after a second is uncertain."""
        self._stopping.set()
        if self._runner is not None:
            await asyncio.wait({self._runner})
        session, self._session = self._session, None
        if session is not None:
            await session.discard()

    async def send(self, records: Sequence[ProducerRecord]) -> Sequence[Outcome]:
        """Write records and say what became of each, in the order given."""
        if not records:
            return []
        call = Call(len(records), asyncio.get_running_loop().create_future())
        accepted = 0 if self._entrance.locked() else self._accept_at_once(records, call)
        if accepted < len(records):
            async with self._entrance:
                await self._accept_in_turn(records, accepted, call)
        return await call.done

    def _accept_at_once(self, records: Sequence[ProducerRecord], call: Call) -> int:
        """Accept as many of the first records as need no waiting, or as may go without letting others have a turn."""
        for place, record in enumerate(records[:_YIELD_EVERY]):
            if not self._accept(record, place, call):
                return place
        return min(len(records), _YIELD_EVERY)

    async def _accept_in_turn(self, records: Sequence[ProducerRecord], first: int, call: Call) -> None:
        """Accept the others, waiting for room and for news of their topics. Who comes later waits at the entrance."""
        for place in range(first, len(records)):
            if not place % _YIELD_EVERY:
                await asyncio.sleep(0)
            while not self._accept(records[place], place, call):
                if not self._room.is_set():
                    await self._room.wait()
                    continue
                info = await self._topics.read(records[place].topic)
                if isinstance(info, BrokerError):
                    call.settle(place, info)
                    break

    def _accept(self, record: ProducerRecord, place: int, call: Call) -> bool:
        """Queue or refuse a record; False if that has to wait for room, or for news of its topic."""
        info = self._topics.known(record.topic)
        if info is None or not self._room.is_set():
            return False
        now = asyncio.get_running_loop().time()
        size = batch_size_of(record)
        refused = refusal(record, size, info, time.time(), self._max_record)
        if refused is None:
            partition = TopicPartition(record.topic, self._partition(record, info))
            self._queue(self._lane(partition), Entry(record, size, now + self._timeout, call, place))
        elif self._topics.older(record.topic, now - _DOUBT_AGE):
            return False  # what speaks against it may have changed
        else:
            call.settle(place, refused)
        return True

    def _partition(self, record: ProducerRecord, info: TopicInfo) -> int:
        """The partition asked for, or the key's, or for a null key the next in turn."""
        if record.partition is not None:
            return record.partition
        key = record.key
        if key is None:
            return next(self._spread) % info.partitions
        hashed = _hash(key) if len(key) <= _CACHED_KEY_BYTES else murmur2(key)
        return (hashed & 0x7FFFFFFF) % info.partitions

    def _lane(self, partition: TopicPartition) -> Lane:
        lane = self._lanes.get(partition)
        if lane is None:
            lane = self._lanes[partition] = Lane(partition, self._settled)
        return lane

    def _queue(self, lane: Lane, entry: Entry) -> None:
        if self._group is None or self._stopping.is_set():
            entry.call.settle(entry.place, _stopped())
            return
        self._pending += 1
        self._pending_bytes += entry.size
        self._drained.clear()
        if self._pending >= MAX_PENDING or self._pending_bytes >= MAX_PENDING_BYTES:
            self._room.clear()
        lane.put(entry)
        if not lane.running:
            lane.running = True
            self._group.create_task(self._ship(lane))

    def _settled(self, records: int, size: int) -> None:
        """So many records and bytes have their outcome."""
        self._pending -= records
        self._pending_bytes -= size
        if self._pending < MAX_PENDING and self._pending_bytes < MAX_PENDING_BYTES:
            self._room.set()
        if not self._pending:
            self._drained.set()

    async def _run(self) -> None:
        """Own the lanes' tasks until the stop, and leave no record without an outcome."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._connected.set()
                await self._stopping.wait()
                await self._flush()
                self._group = None
                raise _Stop  # noqa: TRY301 - the way to end a group's tasks
        except* _Stop:
            pass
        finally:
            self._group = None
            for lane in self._lanes.values():
                lane.fail_all(_stopped)

    async def _flush(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_TIMEOUT):
                await self._drained.wait()

    async def _ship(self, lane: Lane) -> None:
        """Write what is in a lane, batch by batch, until it is empty."""
        try:
            while lane:
                session = await self._current_session(lane.deadline)
                if session is None:
                    lane.fail_all(lambda: PublishUncertain(f"{_place(lane)}: no connection within {self._timeout:g} s"))
                else:
                    await self._ship_batch(lane, session)
        finally:
            lane.running = False

    async def _ship_batch(self, lane: Lane, session: Session) -> None:
        topic = lane.partition.topic
        info = self._topics.known(topic)
        if self._topics.claim_stale(topic, asyncio.get_running_loop().time()) and self._group is not None:
            self._group.create_task(self._topics.read(topic))
        limit = min(self._max_batch, info.max_record_bytes) if info else self._max_batch
        batch = lane.take(limit, BATCH_OVERHEAD)
        try:
            base_offset = await session.write(lane.partition, batch)
        except TimeoutError:
            lane.put_back(batch)
            self._overdue(lane, session)
        except FOREIGN as error:
            lane.put_back(batch)
            await self._failed(lane, len(batch), session, error)
        except BaseException:  # a stop, or a fault of ours: whatever waits is settled at the end
            lane.put_back(batch)
            raise
        else:
            lane.written(batch, base_offset)

    def _overdue(self, lane: Lane, session: Session) -> None:
        """The first batch has no answer: its session was discarded, or its time is up."""
        if session.discarded and asyncio.get_running_loop().time() < lane.deadline:
            return  # sent again, before anything newer; it may be written twice, but never out of order
        self._replace(session, lane, "no answer in time")
        lane.fail_all(lambda: PublishUncertain(f"{_place(lane)}: no answer within {self._timeout:g} s"))

    async def _failed(self, lane: Lane, size: int, session: Session, error: BaseException) -> None:
        """The first ``size`` records were refused, or their fate is unknown; the session's sequence has a gap now."""
        self._replace(session, lane, explain(error))
        match place_of(error):
            case Place.REFUSED if size == 1 and isinstance(error, InvalidTimestampError) and lane.is_stamped_here:
                lane.fail_all(lambda: BrokerError(f"{_place(lane)}: {explain(error)}; {_CLOCK}"))
            case Place.REFUSED if size == 1:
                lane.fail(lane.pop(1), lambda: PublishRefused(f"{_place(lane)}: {explain(error)}"))
            case Place.REFUSED | Place.UNKNOWN if size > 1:
                await self._sift(lane, size)
            case Place.SEQUENCE:
                pass  # nothing of it was written, and it is still the first in its lane
            case Place.TOPIC_RIGHT | Place.CLUSTER_RIGHT:
                lane.fail_all(lambda: translate(error, _place(lane)))
            case _:
                lane.fail_all(lambda: PublishUncertain(f"{_place(lane)}: {explain(error)}"))

    async def _sift(self, lane: Lane, size: int) -> None:
        """Find the record for which a batch was refused: by the topic's new settings, else by sending each alone."""
        info = await self._topics.read(lane.partition.topic)
        rest = []
        for entry in lane.pop(size):
            if isinstance(info, BrokerError):
                refused = None
            else:
                refused = refusal(entry.record, entry.size, info, time.time(), self._max_record)
            if refused is None:
                rest.append(entry)
            else:
                lane.fail([entry], partial(PublishRefused, str(refused)))
        lane.put_back(rest)
        lane.alone = len(rest) if len(rest) == size else 0

    async def _current_session(self, deadline: float) -> Session | None:
        """The session in use; None if there is none before the deadline."""
        while self._session is None:
            try:
                async with asyncio.timeout_at(deadline):
                    await self._connected.wait()
            except TimeoutError:
                break
        return self._session if asyncio.get_running_loop().time() < deadline else None

    def _replace(self, session: Session, lane: Lane, reason: str) -> None:
        """Stop using a session and open another, unless that is under way."""
        if session is not self._session or self._group is None:
            return
        self._session = None
        self._connected.clear()
        topic, partition = lane.partition
        log.warning("eventhub.producer_replaced", topic=topic, partition=partition, reason=reason)
        self._group.create_task(self._renew(session))
        self._group.create_task(self._topics.read(topic))

    async def _renew(self, old: Session) -> None:
        await old.settled(self._settle_timeout)
        await old.discard()
        for attempt in count():
            try:
                self._session = await Session.open(self._options)
            except BrokerError as error:
                log.warning("eventhub.producer_unconnected", reason=str(error))
                await asyncio.sleep(_BACK_OFF[min(attempt, len(_BACK_OFF) - 1)])
            else:
                self._connected.set()
                return


def _place(lane: Lane) -> str:
    return f"writing to {lane.partition.topic}[{lane.partition.partition}]"


def _stopped() -> BrokerError:
    return PublishUncertain("the producer was stopped")
